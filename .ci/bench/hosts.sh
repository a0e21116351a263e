#!/usr/bin/env bash
# The measurements that need hosts of their own, which are removed afterwards: hosts.sh click|fairness|join|batch|reconcile. What each
# measures, and the variables they take, say .ci/bench.sh and the Python file of the same name.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/../.." && pwd -P)
PART=$1
OUT=$REPO/target/bench/$PART.json

# whole NAME OCTET PORTS: panel, bus and a host.
whole() {
    export GANTRY_PROFILE=${GANTRY_PROFILE:-release}
    . "$REPO/.ci/installation.sh"
    installation "$@"
    start_installation
    LAB=$REPO/.ci/lab/lab.sh HOST=${GANTRY_HOST_PREFIX}1
}

# engine NAME OCTET: a host with the worker's engine alone.
engine() {
    cargo build --quiet --release -p worker
    . "$REPO/.ci/lone-host.sh"
    lone_host "$1" "$2" "${CARGO_TARGET_DIR:-$REPO/target}/release/gantry-worker"
}

if [[ $(id -u) != 0 ]]; then
    echo "skipped: $PART: it makes namespaces and mounts and needs root"
    exit 0
fi
cd "$REPO"
mkdir -p "$(dirname "$OUT")"
case $PART in
    click)
        whole bench 97 2
        "$LAB" put "$HOST" "$HERE/floor.sh" /root/floor.sh 0755
        PASSWORD=$ONCE python3 "$HERE/click.py" --panel "$GANTRY_PANEL" --host "$("$LAB" address "$HOST")" --samples "${SAMPLES:-100}" \
            --sizes "${SIZES:-0,100}" --out "$OUT" -- "$LAB" exec "$HOST" /root/floor.sh
        ;;
    fairness)
        whole fair 96 3
        PASSWORD=$ONCE python3 "$HERE/fairness.py" --panel "$GANTRY_PANEL" --samples "${SAMPLES:-100}" --out "$OUT" -- "$LAB" "$HOST"
        ;;
    join)
        whole joined 93 4
        # Fresh hosts, as they come from a tree.
        PASSWORD=$ONCE python3 "$HERE/join.py" --panel "$GANTRY_PANEL" --samples "${SAMPLES:-3}" --out "$OUT" --lab "$LAB" --script "$HERE/floor.sh" \
            --package "$(echo "$GANTRY_UP"/packages/gantry-worker_*.deb)"
        ;;
    batch)
        engine batch 95
        "$LAB" put "$HOST" "$HERE/batch-floor.pl" /root/batch-floor.pl 0755
        python3 "$HERE/batch.py" --host "$("$LAB" address "$HOST")" --samples "${SAMPLES:-5}" --sites "${SITES:-1000}" \
            --accounts "${ACCOUNTS:-100}" --large "${LARGE:-5000}" --out "$OUT" -- "$LAB" "$HOST"
        ;;
    reconcile)
        engine look 94
        "$LAB" put "$HOST" "$HERE/reconcile-floor.pl" /root/reconcile-floor.pl 0755
        python3 "$HERE/reconcile.py" --samples "${SAMPLES:-10}" --sites "${SITES:-1000}" --accounts "${ACCOUNTS:-100}" \
            --out "$OUT" -- "$LAB" "$HOST"
        ;;
    *) echo "no such part: $PART"; exit 1 ;;
esac
