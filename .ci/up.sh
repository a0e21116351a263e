#!/usr/bin/env bash
# `make up`: tries Gantry without touching this machine. The bus and the panel run here under users of their own; the
# managed hosts are systemd-nspawn machines on a private bridge. Ctrl-C stops all of it; the next start finds it as it was.
#
#   HOSTS=n           how many managed hosts (default 1)
#   GANTRY_SUITES     their Debian releases in turn (default "bookworm bookworm trixie": every third is Debian 13)
#   GANTRY_UP         where the panel keeps its state (default /var/lib/gantry-up)
#   GANTRY_PANEL      where the panel listens (default 127.0.0.1:8443)
#   GANTRY_SITES      where sites answer (default 127.0.0.1:8080)
#   GANTRY_PROFILE    cargo profile (default dev)
#   GANTRY_FEATURES   cargo features of the build (tests set worker/testing)
#   GANTRY_READY      a file that is written when all is up: the pid of `gantry up`, and the one-time password if it was made now
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/.." && pwd -P)
STATE=${GANTRY_UP:-/var/lib/gantry-up}
PANEL=${GANTRY_PANEL:-127.0.0.1:8443}
SITES=${GANTRY_SITES:-127.0.0.1:8080}
HOSTS=${HOSTS:-1}
PROFILE=${GANTRY_PROFILE:-dev}
PREFIX=${GANTRY_HOST_PREFIX:-web}
read -ra SUITES <<< "${GANTRY_SUITES:-bookworm bookworm trixie}"
LAB=$HERE/lab/lab.sh
DATABASE=sqlite:$STATE/panel/panel.db
UP_PID=
WORKER_PACKAGE=

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
gantry() { GANTRY_LOG=warn "$STATE/bin/gantry" "$@"; }
host_names() { local i; for ((i = 1; i <= HOSTS; i++)); do printf '%s%s\n' "$PREFIX" "$i"; done; }

stop() {
    trap '' INT TERM
    say ''
    say 'Stopping.'
    local name
    if [[ -n $UP_PID ]]; then kill -TERM "$UP_PID" 2>/dev/null || true; fi
    for name in $(host_names); do "$LAB" down "$name" 2>/dev/null || true; done
    if [[ -n $UP_PID ]]; then wait "$UP_PID" 2>/dev/null || true; fi
}

build() {
    say 'Building (the first time takes a few minutes).'
    (cd "$REPO" && cargo build --quiet --workspace --bins --profile "$PROFILE" ${GANTRY_FEATURES:+--features "$GANTRY_FEATURES"})
    local target=${CARGO_TARGET_DIR:-$REPO/target}
    BUILT=$target/$([[ $PROFILE == dev ]] && echo debug || echo "$PROFILE")
    # The hosts get what every server gets: the package.
    GANTRY_PROFILE=$PROFILE GANTRY_FEATURES=${GANTRY_FEATURES:-} "$HERE/deb.sh" worker
    mkdir -p "$STATE/packages"
    chmod 755 "$STATE/packages"
    rm -f "$STATE"/packages/*
    install -m 644 "$target"/deb/gantry-worker_*.deb "$target"/deb/gantry-worker_*.deb.sig "$STATE/packages/"
    WORKER_PACKAGE=$(echo "$STATE"/packages/gantry-worker_*.deb)
    # A copy that the panel's own users can read wherever this checkout lies.
    mkdir -p "$STATE/bin"
    chmod 711 "$STATE"
    install -m 755 "$BUILT/gantry" "$STATE/bin/gantry.new" && mv "$STATE/bin/gantry.new" "$STATE/bin/gantry"
    install -m 755 "$REPO/.gantry/bin/nats-server" "$STATE/bin/nats-server.new" && mv "$STATE/bin/nats-server.new" "$STATE/bin/nats-server"
}

# start_host NAME: boots it and installs the worker just built, unless it is there.
start_host() {
    local name=$1 package=/var/cache/gantry-lab/gantry-worker.deb number=${1#"$PREFIX"}
    GANTRY_LAB_SUITE=${SUITES[(number - 1) % ${#SUITES[@]}]} "$LAB" up "$name"
    "$LAB" exec "$name" sha256sum "$package" 2>/dev/null | cut -d' ' -f1 | grep -qx "$(sha256sum < "$WORKER_PACKAGE" | cut -d' ' -f1)" && return
    "$LAB" put "$name" "$WORKER_PACKAGE" "$package.new"
    "$LAB" exec "$name" dpkg --install "$package.new" >/dev/null
    "$LAB" exec "$name" mv "$package.new" "$package"
}

start_panel() {
    local bridge=$1
    "$STATE/bin/gantry" up --state-dir "$STATE" --listen "$PANEL" --bus-listen "$bridge:4222" --nats-server "$STATE/bin/nats-server" \
        --also-listen "$bridge:8443" --name "$bridge" --public-url "https://$bridge:8443" --worker-packages "$STATE/packages" \
        --forward-sites "$SITES" 2> "$STATE/panel.log" &
    UP_PID=$!
    local try
    for ((try = 0; try < 300; try++)); do
        curl --silent --insecure --fail --output /dev/null "https://$PANEL/healthz" && return 0
        kill -0 "$UP_PID" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$STATE/panel.log" >&2
    die "The panel did not start; its log is $STATE/panel.log."
}

# join_host NAME: lets its worker join once, by the script every server joins by, and starts it.
join_host() {
    local name=$1 bridge=$2 token
    token=$(gantry server ensure "$name" --database "$DATABASE" --hostname "$name.localhost" --role web --address "$("$LAB" address "$name")")
    if [[ -z $token ]]; then
        if "$LAB" exec "$name" test -e /var/lib/gantry-worker/identity.json; then
            "$LAB" exec "$name" systemctl enable --quiet --now gantry-worker
            return
        fi
        token=$(gantry server token "$name" --database "$DATABASE")
    fi
    "$LAB" exec "$name" sh -c "$(gantry server join-command --token "$token" --public-url "https://$bridge:8443" --tls-dir "$STATE/tls")" \
        && "$LAB" exec "$name" test -e /var/lib/gantry-worker/identity.json || die "$name could not join."
}

main() {
    [[ $(id -u) == 0 ]] || die 'make up makes network namespaces and mounts: run it as root.'
    [[ $HOSTS =~ ^[1-9][0-9]?$ ]] || die "HOSTS=$HOSTS is not a number of hosts."
    "$HERE/tools.sh" run
    build
    trap 'stop; exit 0' INT TERM
    trap stop EXIT
    local name bridge
    "$LAB" tree
    for name in $(host_names); do start_host "$name"; done
    bridge=$("$LAB" gateway)
    start_panel "$bridge"
    local password
    password=$(gantry admin first --database "$DATABASE")
    for name in $(host_names); do join_host "$name" "$bridge"; done
    say ''
    say "  Gantry is up.   https://$PANEL"
    say '  (the certificate is self-signed: your browser asks once)'
    say "  fingerprint     $(gantry server fingerprint --tls-dir "$STATE/tls")"
    if [[ -n $password ]]; then
        say '  sign in as      admin'
        say "  with password   $password   (once: you choose your own then)"
    else
        say '  sign in as      admin, with the password you chose (forgotten: see README)'
    fi
    say "  sites           http://<name>.localhost:${SITES##*:}   for a site called <name>.localhost"
    say "  hosts           $(host_names | tr '\n' ' ')"
    say "  log             $STATE/panel.log"
    say '  Ctrl-C stops all of it.'
    if [[ -n ${GANTRY_READY:-} ]]; then printf '%s %s\n' "$UP_PID" "$password" > "$GANTRY_READY"; fi
    trap - EXIT
    trap 'stop; exit 0' EXIT
    wait "$UP_PID"
}

main
