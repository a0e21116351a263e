#!/usr/bin/env bash
# `make chaos`: faults, each followed by an audit of the whole host; a list of which is in .ci/faults.md.
#
#   ONLY=random      faults at random while people work, then calm, then an audit; over and over, on an installation of its own
#   ONLY=syscalls    the k-th system call of each kind of job goes wrong, for every k, on a host of its own
#   ONLY=messages    of the messages between panel and worker some are dropped, some repeated, delayed, damaged; then all are played again
#   ONLY=outage      a host is cut off from the bus for SECONDS_LONG (default 3600) while 200 requests wait; not one of the default parts
#   FAULTS=a,b       of the random ones only these (their names are in .ci/chaos/faults.py); `quick`: those that are over in seconds
#   SECONDS_LONG=n   how long each part may take (default 1800); all points of syscalls take days, and it says how many it tried
#   POINTS=n         so many system calls at most (default all): a sample, which does not fail for what it has not tried
#   SEED=n           the same faults again in the same order, round by round; without it each run has a seed of its own, and prints it
#
# Figures and what was injected: target/chaos/*.json; the log of each part beside them.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/.." && pwd -P)
OUT=$REPO/target/chaos

if [[ $(id -u) != 0 ]]; then
    echo 'skipped: chaos: it makes namespaces and mounts and needs root'
    exit 0
fi

random() {
    # shellcheck source=installation.sh
    . "$HERE/installation.sh"
    installation chaos 61 5
    start_installation
    PASSWORD=$ONCE python3 "$HERE/chaos/chaos.py" --panel "$GANTRY_PANEL" --host "${GANTRY_HOST_PREFIX}1" --lab "$HERE/lab/lab.sh" \
        --up "$UP_PID" --database "$GANTRY_UP/panel/panel.db" --seconds "${SECONDS_LONG:-1800}" ${SEED:+--seed "$SEED"} ${FAULTS:+--faults "$FAULTS"} \
        --out "$OUT/random.json" 2>&1 | tee "$OUT/random.log"
}

syscalls() {
    local file
    (cd "$REPO" && cargo build --quiet --workspace --bins ${GANTRY_FEATURES:+--features "$GANTRY_FEATURES"})
    # shellcheck source=lone-host.sh
    . "$HERE/lone-host.sh"
    lone_host calls 62 "${CARGO_TARGET_DIR:-$REPO/target}/debug/gantry-worker"
    "$LAB" exec "$HOST" mkdir -p -m 700 /var/lib/gantry-worker
    # strace with its libraries, beside those of the host.
    "$LAB" put "$HOST" "$(command -v strace)" /root/strace/strace 0755
    while read -r file; do
        "$LAB" put "$HOST" "$file" "/root/strace/$(basename "$file")" 0755
    done < <(ldd "$(command -v strace)" | grep -o '/[^ ]*')
    python3 "$HERE/chaos/syscalls.py" --host "$HOST" --lab "$LAB" --seconds "${SECONDS_LONG:-1800}" --points "${POINTS:-0}" ${SEED:+--seed "$SEED"} \
        --out "$OUT/syscalls.json" 2>&1 | tee "$OUT/syscalls.log"
}

outage() {
    . "$HERE/installation.sh"
    installation outage 63 4
    start_installation
    PASSWORD=$ONCE python3 "$HERE/chaos/outage.py" --panel "$GANTRY_PANEL" --host "${GANTRY_HOST_PREFIX}1" --lab "$HERE/lab/lab.sh" \
        --database "$GANTRY_UP/panel/panel.db" --seconds "${SECONDS_LONG:-3600}" --out "$OUT/outage.json" 2>&1 | tee "$OUT/outage.log"
}

messages() {
    local seed=${SEED:-$RANDOM$RANDOM} began=$SECONDS rounds=0
    cd "$REPO"
    while ((SECONDS - began < ${SECONDS_LONG:-1800})); do
        echo "chaos: messages: SEED=$((seed + rounds))"
        GANTRY_SWEEP_SEED=$((seed + rounds)) cargo test --quiet --workspace --features "$GANTRY_FEATURES" --test it -- messages::f20 || return 1
        rounds=$((rounds + 1))
    done 2>&1 | tee "$OUT/messages.log"
    printf '{"seed": %d, "rounds": %d, "violations": 0}\n' "$seed" "$(grep -c SEED= "$OUT/messages.log")" | tee "$OUT/messages.json"
}

mkdir -p "$OUT"
"$HERE/tools.sh" test
# The build that the tests made.
export GANTRY_FEATURES=worker/testing,shared/testing
for part in ${ONLY:-random syscalls messages}; do
    case $part in
        # Each part leaves nothing behind for the next.
        random | syscalls | messages | outage) ("$part") ;;
        *) echo "no such part: $part"; exit 1 ;;
    esac
done
