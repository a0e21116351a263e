# Sourced by what has test hosts of its own beside whatever else runs here.
#
#   own_lab NAME OCTET   sets where they lie and their networks, for .ci/lab/lab.sh: NAME is in every path, OCTET in the networks
#
# Any of the variables can be set before. The hosts' file trees are everybody's.
OWN_LAB_REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

own_lab() {
    local name=$1 octet=$2
    export GANTRY_LAB=${GANTRY_LAB:-$OWN_LAB_REPO/.gantry/lab-$name} GANTRY_LAB_TREES=${GANTRY_LAB_TREES:-$OWN_LAB_REPO/.gantry/lab/trees}
    export GANTRY_LAB_BRIDGE=${GANTRY_LAB_BRIDGE:-gantry$name} GANTRY_LAB_NET=${GANTRY_LAB_NET:-10.$octet.0.0/24}
    export GANTRY_LAB_NET6=${GANTRY_LAB_NET6:-fd$octet::}
}
