#!/usr/bin/env bash
# A look for drift on a host of its own, without panel and bus: a thousand sites, and nothing changed. Removed afterwards.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/../.." && pwd -P)

if [[ $(id -u) != 0 ]]; then
    echo 'skipped: reconcile: it makes namespaces and mounts and needs root'
    exit 0
fi

export GANTRY_LAB=${GANTRY_LAB:-$REPO/.gantry/lab-reconcile} GANTRY_LAB_TREES=${GANTRY_LAB_TREES:-$REPO/.gantry/lab/trees}
export GANTRY_LAB_BRIDGE=${GANTRY_LAB_BRIDGE:-gantrylook} GANTRY_LAB_NET=${GANTRY_LAB_NET:-10.94.0.0/24}
export GANTRY_LAB_NET6=${GANTRY_LAB_NET6:-fd94::}
LAB=$REPO/.ci/lab/lab.sh NAME=${GANTRY_HOST_PREFIX:-look}1

clean() {
    local status=$?
    trap - EXIT
    "$LAB" clean >/dev/null 2>&1 || true
    exit "$status"
}
trap clean EXIT

cd "$REPO"
mkdir -p target/bench
cargo build --quiet --release -p worker
"$LAB" remove "$NAME" >/dev/null 2>&1 || true
"$LAB" up "$NAME"
"$LAB" put "$NAME" target/release/gantry-worker /usr/bin/gantry-worker 0755
"$LAB" put "$NAME" "$HERE/reconcile-floor.pl" /root/reconcile-floor.pl 0755
python3 "$HERE/reconcile.py" --samples "${SAMPLES:-10}" --sites "${SITES:-1000}" --accounts "${ACCOUNTS:-100}" \
    --out "$REPO/target/bench/reconcile.json" -- "$LAB" "$NAME"
