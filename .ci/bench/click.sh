#!/usr/bin/env bash
# From click to serving, on a whole installation of its own beside whatever else runs here. Removed afterwards.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/../.." && pwd -P)

if [[ $(id -u) != 0 ]]; then
    echo 'skipped: click: it makes namespaces and mounts and needs root'
    exit 0
fi

export GANTRY_LAB=$REPO/.gantry/lab-bench GANTRY_LAB_TREES=${GANTRY_LAB_TREES:-$REPO/.gantry/lab/trees} GANTRY_LAB_BRIDGE=gantrybench
export GANTRY_LAB_NET=10.97.0.0/24 GANTRY_LAB_NET6=fd97::
export GANTRY_UP=/var/lib/gantry-up-bench GANTRY_PANEL=127.0.0.1:28443 GANTRY_SITES=127.0.0.1:28080 GANTRY_HOST_PREFIX=bench
export GANTRY_PROFILE=${GANTRY_PROFILE:-release} HOSTS=1
GANTRY_READY=$(mktemp)
export GANTRY_READY
LOG=$REPO/target/bench/up.log
mkdir -p "$REPO/target/bench"
UP=

clean() {
    local status=$?
    trap - EXIT
    if [[ -n $UP ]]; then kill -TERM "$UP" 2>/dev/null || true; wait "$UP" 2>/dev/null || true; fi
    if ((status != 0)); then tail -n 30 "$LOG" "$GANTRY_UP/panel.log" 2>/dev/null || true; fi
    "$REPO/.ci/clean-up.sh" >/dev/null 2>&1 || true
    rm -f "$GANTRY_READY"
    exit "$status"
}
trap clean EXIT

# What an interrupted run left behind.
"$REPO/.ci/clean-up.sh" >/dev/null 2>&1 || true
"$REPO/.ci/up.sh" </dev/null >"$LOG" 2>&1 & UP=$!
for ((i = 0; i < 12000; i++)); do
    [[ -s $GANTRY_READY ]] && break
    kill -0 "$UP" 2>/dev/null || { echo 'make up failed'; exit 1; }
    sleep 0.1
done
[[ -s $GANTRY_READY ]] || { echo 'make up took too long'; exit 1; }
read -r _ PASSWORD < "$GANTRY_READY"
"$REPO/.ci/lab/lab.sh" put bench1 "$HERE/floor.sh" /root/floor.sh 0755
ADDRESS=$("$REPO/.ci/lab/lab.sh" address bench1)
PASSWORD=$PASSWORD python3 "$HERE/click.py" --panel "$GANTRY_PANEL" --host "$ADDRESS" --samples "${SAMPLES:-100}" --sizes "${SIZES:-0,100}" \
    --out "$REPO/target/bench/click.json" -- "$REPO/.ci/lab/lab.sh" exec bench1 /root/floor.sh
