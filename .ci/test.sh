#!/usr/bin/env bash
# `make test`: everything CI runs. `test.sh fast` leaves out hosts and browser.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/.." && pwd -P)
cd "$REPO"
export CARGO_TERM_COLOR=never
PASSED=0 FAILED=0 SKIPPED=0
POSTGRES_DIR=

say() { printf '\n== %s\n' "$*"; }

# PostgreSQL of its own, on a socket in a directory of its own.
start_postgres() {
    local bin
    bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1) || true
    [[ -n $bin && $(id -u) == 0 ]] || { echo 'PostgreSQL: no server here, or not root'; return 0; }
    POSTGRES_DIR=$(mktemp -d /tmp/gantry-pg.XXXXXX)
    chown postgres: "$POSTGRES_DIR"
    as_postgres "$bin/initdb" -D "$POSTGRES_DIR/data" -A trust -U gantry --no-sync >/dev/null
    as_postgres "$bin/pg_ctl" -D "$POSTGRES_DIR/data" -w -l "$POSTGRES_DIR/log" \
        -o "-c listen_addresses= -c unix_socket_directories=$POSTGRES_DIR -c fsync=off -c max_connections=300" start >/dev/null
    PG_BIN=$bin
    # The socket's directory takes the place of the host, so its slashes are encoded.
    export TEST_PG_URL="postgres://gantry@${POSTGRES_DIR//\//%2F}/postgres"
}

as_postgres() { (cd / && setpriv --reuid postgres --regid postgres --init-groups -- "$@"); }

stop_postgres() {
    [[ -n $POSTGRES_DIR ]] || return 0
    as_postgres "$PG_BIN/pg_ctl" -D "$POSTGRES_DIR/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$POSTGRES_DIR"
}
trap stop_postgres EXIT

# skips NAME LOG: what a step's output says it skips. What waits for GANTRY_E2E is no skip of the fast tests: another step runs it.
skips() {
    if [[ $1 == 'fast tests' ]]; then grep -av 'GANTRY_E2E' "$2"; else cat "$2"; fi | grep -aoE '(^|[^[:alnum:]])skipped: .*' | sed -E 's/^.?skipped: //'
}

# unlisted NAME LOG: the skips that .ci/skips.txt does not have.
unlisted() { skips "$1" "$2" | sort -u | grep -vxF -f <(grep -v '^#' "$HERE/skips.txt"); }

# count NAME COMMAND...: runs a step and adds up what it says it passed and skipped. A skip that is not expected is a failure.
count() {
    local name=$1 log
    shift
    say "$name"
    log=$(mktemp)
    if "$@" 2>&1 | tee "$log"; then
        local passed failed
        passed=$(awk '/^test result:/ { sum += $4 } END { print sum + 0 }' "$log")
        failed=$(awk '/^test result:/ { sum += $6 } END { print sum + 0 }' "$log")
        PASSED=$((PASSED + ${passed:-0})) FAILED=$((FAILED + ${failed:-0}))
        SKIPPED=$((SKIPPED + $(skips "$name" "$log" | wc -l || true)))
        if unlisted "$name" "$log"; then
            echo "FAILED: $name skips what .ci/skips.txt does not list"
            rm -f "$log"
            exit 1
        fi
    else
        FAILED=$((FAILED + 1))
        # Once more what went wrong, so that the end of a long output says it.
        grep -aE -A2 'VIOLATION|panicked at|--- FAILED|^error|make up failed' "$log" | grep -avE '^--|stack backtrace' | cut -c1-300 | tail -n 30 || true
        echo "FAILED: $name"
        rm -f "$log"
        exit 1
    fi
    rm -f "$log"
}

main() {
    if [[ ${1:-} == fast ]]; then "$HERE/tools.sh" run; else "$HERE/tools.sh" test; fi
    count 'format' cargo fmt --all --check
    count 'lints' cargo clippy --workspace --all-targets --features worker/testing,shared/testing --quiet -- -D warnings
    start_postgres
    # With what tests say that pass: some say that they skip.
    count 'fast tests' cargo test --workspace --features worker/testing,shared/testing --quiet -- --show-output
    if [[ ${1:-} != fast ]]; then
        count 'hosts and browser' "$HERE/hosts.sh"
        # With the packages of the step before. A little more than a minute once the base image is there.
        count 'compose' env GANTRY_PROFILE=dev "$HERE/compose.sh"
        # `make chaos` has all.
        count 'faults at random, a minute' env ONLY=random SECONDS_LONG=60 SEED=1 FAULTS=quick "$HERE/chaos.sh"
        count 'faults at system calls, a sample' env ONLY=syscalls POINTS=38 SEED=1 "$HERE/chaos.sh"
    fi
    printf '\n%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
}

main "$@"
