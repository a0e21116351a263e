#!/usr/bin/env bash
# The worker's engine on a host of its own, without panel and bus: one site, a thousand together, one more
# beside five thousand. Removed afterwards.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/../.." && pwd -P)

if [[ $(id -u) != 0 ]]; then
    echo 'skipped: batch: it makes namespaces and mounts and needs root'
    exit 0
fi

export GANTRY_LAB=${GANTRY_LAB:-$REPO/.gantry/lab-batch} GANTRY_LAB_TREES=${GANTRY_LAB_TREES:-$REPO/.gantry/lab/trees}
export GANTRY_LAB_BRIDGE=${GANTRY_LAB_BRIDGE:-gantrybatch} GANTRY_LAB_NET=${GANTRY_LAB_NET:-10.95.0.0/24}
export GANTRY_LAB_NET6=${GANTRY_LAB_NET6:-fd95::}
LAB=$REPO/.ci/lab/lab.sh NAME=${GANTRY_HOST_PREFIX:-batch}1

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
"$LAB" put "$NAME" "$HERE/batch-floor.pl" /root/batch-floor.pl 0755
ADDRESS=$("$LAB" address "$NAME")
python3 "$HERE/batch.py" --host "$ADDRESS" --samples "${SAMPLES:-5}" --sites "${SITES:-1000}" --accounts "${ACCOUNTS:-100}" --large "${LARGE:-5000}" \
    --out "$REPO/target/bench/batch.json" -- "$LAB" "$NAME"
