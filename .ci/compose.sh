#!/usr/bin/env bash
# Tries compose.yaml with podman where there is no registry to fetch images from: the base image is a Debian tree made here, and
# PostgreSQL is Debian's in that image. Brings all of it up, kills a panel and a node of the bus, stops the dispatcher that leads,
# looks whether the others go on, and removes it all.
#
#   GANTRY_PROFILE, GANTRY_FEATURES   as for `make deb` (default release)
#   KEEP=1                            leave it running
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/.." && pwd -P)
WORK=$REPO/.gantry/compose
PODMAN_COMPOSE=(podman-compose --project-name gantry-try)
BASE=localhost/gantry-base:latest
SERVICES=(postgres bus1 bus2 bus3 serve1 serve2 dispatch1 dispatch2)
export GANTRY_IMAGE=localhost/gantry-try:latest GANTRY_POSTGRES_IMAGE=localhost/gantry-postgres:latest
# Not those of an installation that may be here.
export GANTRY_BUS1_PORT=47422 GANTRY_BUS2_PORT=47423 GANTRY_BUS3_PORT=47424 GANTRY_SERVE1_PORT=47443 GANTRY_SERVE2_PORT=47444

say() { printf 'compose: %s\n' "$*" >&2; }
skip() { printf 'skipped: compose: %s\n' "$*"; exit 0; }
compose() { (cd "$WORK" && "${PODMAN_COMPOSE[@]}" "$@"); }
in_container() { local service=$1; shift; podman exec "gantry-try_${service}_1" "$@"; }

[[ $(id -u) == 0 ]] || skip 'containers of their own users need root'
command -v podman >/dev/null && command -v podman-compose >/dev/null || skip 'podman and podman-compose are not installed'

# crun knows version 1 of control groups and version 2, but not both side by side: it is shown the second alone, and only here.
if [[ -d /sys/fs/cgroup/unified && -z ${OWN_MOUNTS:-} ]]; then
    OWN_MOUNTS=1 exec unshare --mount -- bash -c 'umount --recursive /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$0" "$@"' "$0" "$@"
fi

# Limits above what this machine may give are refused, not lowered; controllers may not be delegated.
export CONTAINERS_CONF=$WORK/containers.conf

prepare() {
    mkdir -p "$WORK/target"
    printf '[containers]\ndefault_ulimits = ["nofile=%s:%s", "nproc=30000:30000"]\ncgroups = "disabled"\n[engine]\nruntime = "crun"\n' \
        "$(ulimit -Hn)" "$(ulimit -Hn)" > "$CONTAINERS_CONF"
    cp "$REPO/compose.yaml" "$REPO/.dockerignore" "$WORK/"
    install -D -m 644 "$REPO/web/package/Containerfile" "$WORK/web/package/Containerfile"
    rm -rf "$WORK/target/deb" && mkdir -p "$WORK/target/deb"
    cp "${CARGO_TARGET_DIR:-$REPO/target}"/deb/gantry_*.deb "$WORK/target/deb/"
}

images() {
    if ! podman image exists "$BASE"; then
        say 'making the base image'
        mmdebstrap --quiet --variant=minbase --include=ca-certificates,postgresql --format=tar bookworm "$WORK/base.tar"
        podman import --quiet "$WORK/base.tar" "$BASE" >/dev/null
        rm "$WORK/base.tar"
    fi
    say 'building the images'
    (cd "$WORK" && podman build --quiet --isolation chroot --build-arg "BASE=$BASE" -f web/package/Containerfile -t "$GANTRY_IMAGE" . >/dev/null)
    # What of the official image's entry point compose.yaml counts on: a user of this name, with the password of this file.
    mkdir -p "$WORK/postgres-image"
    cat > "$WORK/postgres-image/start" <<'START'
#!/bin/sh
set -e
bin=$(ls -d /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
    install -d -m 700 -o postgres -g postgres "$data"
    install -m 600 -o postgres -g postgres "$POSTGRES_PASSWORD_FILE" /tmp/password
    setpriv --reuid postgres --regid postgres --init-groups "$bin/initdb" -D "$data" -A scram-sha-256 -U "$POSTGRES_USER" --pwfile /tmp/password
    rm /tmp/password
    echo 'host all all all scram-sha-256' >> "$data/pg_hba.conf"
    setpriv --reuid postgres --regid postgres --init-groups "$bin/postgres" --single -D "$data" postgres <<SQL
CREATE DATABASE "$POSTGRES_USER" OWNER "$POSTGRES_USER";
SQL
fi
install -d -o postgres -g postgres /var/run/postgresql
exec setpriv --reuid postgres --regid postgres --init-groups "$bin/postgres" -D "$data" -c listen_addresses='*'
START
    printf 'FROM %s\nCOPY --chmod=755 start /start\nENTRYPOINT ["/start"]\n' "$BASE" > "$WORK/postgres-image/Containerfile"
    podman build --quiet --isolation chroot -t "$GANTRY_POSTGRES_IMAGE" "$WORK/postgres-image" >/dev/null
}

# until WHAT COMMAND...: tries once a second.
until_holds() {
    local what=$1 try
    shift
    for ((try = 0; try < 120; try++)); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 1
    done
    say "waited two minutes until $what"
    compose ps >&2 || true
    local service
    for service in "${SERVICES[@]}"; do podman logs --tail 5 "gantry-try_${service}_1" >&2 || true; done
    return 1
}

healthy() { curl --silent --insecure --fail --noproxy '*' --output /dev/null "https://127.0.0.1:$1/healthz"; }
leader() { in_container postgres setpriv --reuid postgres --clear-groups env PGPASSWORD="$(cat "$WORK/.gantry/cluster/postgres/password")" \
    psql -h 127.0.0.1 -U gantry -At -c "SELECT holder FROM leases WHERE name = 'dispatch'"; }
led_by_another() { local now; now=$(leader); [[ -n $now && $now != "$1" ]]; }
leads() { [[ -n $(leader) ]]; }

down() {
    local status=$?
    trap - EXIT
    [[ ${KEEP:-} == 1 ]] || { compose down --volumes >/dev/null 2>&1 || true; rm -rf "$WORK/.gantry"; }
    exit "$status"
}

main() {
    [[ -e ${CARGO_TARGET_DIR:-$REPO/target}/deb ]] && compgen -G "${CARGO_TARGET_DIR:-$REPO/target}/deb/gantry_*.deb" >/dev/null || "$HERE/deb.sh"
    prepare
    images
    trap down EXIT
    say 'making keys and configurations'
    mkdir -p "$WORK/.gantry/cluster"
    podman run --rm --network none --volume "$WORK/.gantry/cluster:/cluster" "$GANTRY_IMAGE" \
        cluster init --dir /cluster --node bus1,bus2,bus3 --name localhost
    say 'starting'
    compose up --detach "${SERVICES[@]}" >"$WORK/up.log" 2>&1 || { cat "$WORK/up.log" >&2; exit 1; }
    until_holds 'the first panel answers' healthy "$GANTRY_SERVE1_PORT"
    until_holds 'the second panel answers' healthy "$GANTRY_SERVE2_PORT"
    until_holds 'a dispatcher leads' leads
    local password old
    password=$(in_container serve1 gantry admin first)
    [[ -n $password ]] || { say 'no one-time password was printed'; exit 1; }
    old=$(leader)
    say "killing serve1 and bus1, stopping $old"
    podman kill --signal KILL gantry-try_serve1_1 gantry-try_bus1_1 >/dev/null
    podman stop "gantry-try_${old}_1" >/dev/null
    until_holds 'the second panel answers' healthy "$GANTRY_SERVE2_PORT"
    until_holds 'the other dispatcher leads' led_by_another "$old"
    podman start gantry-try_serve1_1 gantry-try_bus1_1 "gantry-try_${old}_1" >/dev/null
    until_holds 'the first panel answers again' healthy "$GANTRY_SERVE1_PORT"
    echo 'compose.yaml: PostgreSQL, three bus nodes, two panels and two dispatchers came up, lost one of each, and went on'
}

main
