# Sourced by what needs a whole installation of its own: `make up` with hosts, beside whatever else runs here, removed at the end.
#
#   installation NAME OCTET PORTS   sets where everything of it lies: NAME is in every path, OCTET in its networks, PORTS in 1..5
#   start_installation              starts it and waits; sets UP_PID and ONCE, the admin's one-time password
#
# Any of the variables that `installation` sets can be set before, so that several of one kind run at the same time.
# Logs: target/test-logs/NAME.
INSTALLATION_REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=.ci/lab/own.sh
source "$INSTALLATION_REPO/.ci/lab/own.sh"

installation() {
    local name=$1 octet=$2 ports=$3
    own_lab "$name" "$octet"
    export GANTRY_UP=${GANTRY_UP:-/var/lib/gantry-up-$name}
    export GANTRY_PANEL=${GANTRY_PANEL:-127.0.0.1:${ports}8443} GANTRY_SITES=${GANTRY_SITES:-127.0.0.1:${ports}8080}
    export GANTRY_HOST_PREFIX=${GANTRY_HOST_PREFIX:-$name} HOSTS=${HOSTS:-1}
    INSTALLATION_LOG=$INSTALLATION_REPO/target/test-logs/$name
    mkdir -p "$INSTALLATION_LOG"
}

start_installation() {
    GANTRY_READY=$(mktemp)
    export GANTRY_READY
    trap leave_installation EXIT
    # What an interrupted run left behind.
    "$INSTALLATION_REPO/.ci/clean-up.sh" >/dev/null 2>&1 || true
    "$INSTALLATION_REPO/.ci/up.sh" </dev/null >"$INSTALLATION_LOG/up.log" 2>&1 & UP_PROCESS=$!
    local i
    for ((i = 0; i < 12000; i++)); do
        [[ -s $GANTRY_READY ]] && break
        kill -0 "$UP_PROCESS" 2>/dev/null || { cat "$INSTALLATION_LOG/up.log"; echo 'make up failed'; exit 1; }
        sleep 0.1
    done
    [[ -s $GANTRY_READY ]] || { cat "$INSTALLATION_LOG/up.log"; echo 'make up took too long'; exit 1; }
    # shellcheck disable=SC2034  # for whoever sources this
    read -r UP_PID ONCE < "$GANTRY_READY"
}

leave_installation() {
    local status=$? name
    trap - EXIT
    for name in "$GANTRY_LAB"/hosts/*/; do
        [[ -d $name ]] || continue
        name=$(basename "$name")
        "$INSTALLATION_REPO/.ci/lab/lab.sh" exec "$name" journalctl --no-pager -u "gantry-worker*" > "$INSTALLATION_LOG/$name.log" 2>/dev/null || true
    done
    cp "$GANTRY_UP/panel.log" "$INSTALLATION_LOG/panel.log" 2>/dev/null || true
    if [[ -n ${UP_PROCESS:-} ]]; then kill -TERM "$UP_PROCESS" 2>/dev/null || true; wait "$UP_PROCESS" 2>/dev/null || true; fi
    "$INSTALLATION_REPO/.ci/clean-up.sh" >/dev/null 2>&1 || true
    rm -f "$GANTRY_READY"
    if ((status != 0)); then
        for name in panel "${GANTRY_HOST_PREFIX}1"; do
            echo "== $INSTALLATION_LOG/$name.log ends:"
            tail -n 40 "$INSTALLATION_LOG/$name.log" 2>/dev/null || true
        done
    fi
    exit "$status"
}
