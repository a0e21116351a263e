# Sourced by what needs a host alone, without panel and bus: removed at the end.
#
#   lone_host NAME OCTET PROGRAM   makes one with PROGRAM as its worker; NAME is in every path, OCTET in its networks.
#                                  Sets LAB, the lab's script, and HOST, the host's name
#
# Any of the variables that `lone_host` sets can be set before.
LONE_REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=.ci/lab/own.sh
source "$LONE_REPO/.ci/lab/own.sh"

lone_host() {
    local name=$1 octet=$2 program=$3
    own_lab "$name" "$octet"
    LAB=$LONE_REPO/.ci/lab/lab.sh HOST=${GANTRY_HOST_PREFIX:-$name}1
    trap leave_lone_host EXIT
    "$LAB" remove "$HOST" >/dev/null 2>&1 || true
    "$LAB" up "$HOST"
    "$LAB" put "$HOST" "$program" /usr/bin/gantry-worker 0755
}

leave_lone_host() {
    local status=$?
    trap - EXIT
    "$LAB" clean >/dev/null 2>&1 || true
    exit "$status"
}
