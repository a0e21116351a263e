#!/usr/bin/env bash
# The tests that need a whole installation: `make up` with a host of its own beside whatever else runs here, then the host and
# browser tests against it. Everything it made is removed again.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/.." && pwd -P)

if [[ $(id -u) != 0 ]]; then
    echo 'skipped: host and browser tests: they make namespaces and mounts and need root'
    exit 0
fi

export GANTRY_LAB=$REPO/.gantry/lab-test GANTRY_LAB_TREES=$REPO/.gantry/lab/trees GANTRY_LAB_BRIDGE=gantrytest
export GANTRY_LAB_NET=10.99.0.0/24 GANTRY_LAB_NET6=fd99::
export GANTRY_UP=/var/lib/gantry-up-test GANTRY_PANEL=127.0.0.1:18443 GANTRY_SITES=127.0.0.1:18080 GANTRY_HOST_PREFIX=ci
export GANTRY_FEATURES=worker/testing,shared/testing HOSTS=1
READY=$(mktemp)
export GANTRY_READY=$READY
export GANTRY_AXE=$REPO/.gantry/axe/axe.min.js
OUT=$REPO/target/test-logs
mkdir -p "$REPO/target"
UP=

clean() {
    local status=$?
    trap - EXIT
    mkdir -p "$OUT"
    "$HERE/lab/lab.sh" exec ci1 journalctl --no-pager -u gantry-worker > "$OUT/worker.log" 2>/dev/null || true
    cp "$GANTRY_UP/panel.log" "$OUT/panel.log" 2>/dev/null || true
    if [[ -n $UP ]]; then kill -TERM "$UP" 2>/dev/null || true; wait "$UP" 2>/dev/null || true; fi
    "$HERE/clean-up.sh" || true
    rm -f "$READY"
    if ((status != 0)); then
        echo "== the panel's log ends:"; tail -n 40 "$OUT/panel.log" 2>/dev/null || true
        echo "== the worker's log ends:"; tail -n 60 "$OUT/worker.log" 2>/dev/null || true
    fi
    exit "$status"
}
trap clean EXIT

# What an interrupted run left behind.
"$HERE/clean-up.sh" 2>/dev/null || true
"$HERE/up.sh" </dev/null >"${OUT}.up" 2>&1 & UP=$!
for ((i = 0; i < 6000; i++)); do
    [[ -s $READY ]] && break
    kill -0 "$UP" 2>/dev/null || { cat "${OUT}.up"; echo 'make up failed'; exit 1; }
    sleep 0.1
done
[[ -s $READY ]] || { cat "${OUT}.up"; echo 'make up took too long'; exit 1; }
read -r GANTRY_E2E_UP_PID GANTRY_E2E_PASSWORD < "$READY"
export GANTRY_E2E_UP_PID GANTRY_E2E_PASSWORD
export GANTRY_E2E=https://$GANTRY_PANEL GANTRY_E2E_SITES=$GANTRY_SITES GANTRY_E2E_HOST=ci1
cd "$REPO"
# The host tests come first: they sign in with the one-time password. Then the browser finds the installation in use.
for part in ${*:-host:: browser::}; do
    cargo test --workspace --features worker/testing,shared/testing --quiet --test it -- --test-threads=1 --nocapture "$part"
done
