#!/usr/bin/env bash
# Tries compose.yaml with podman where there is no registry to fetch images from: the base image is a Debian tree made here, and
# PostgreSQL is Debian's in that image. Brings all of it up, lets a worker join over its network, kills a panel, a node of the bus and
# the dispatcher that leads, looks whether the worker is heard of by the other, and removes it all.
#
#   GANTRY_PROFILE, GANTRY_FEATURES   as for `make deb`, if there is no package yet (default release; dev does as well)
#   KEEP=1                            leave it running
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/.." && pwd -P)
WORK=$REPO/.gantry/compose
PODMAN_COMPOSE=(podman-compose --project-name gantry-try)
BASE=localhost/gantry-base:latest
SERVICES=(postgres bus1 bus2 bus3 serve1 serve2 dispatch1 dispatch2)
export GANTRY_IMAGE=localhost/gantry-try:latest GANTRY_POSTGRES_IMAGE=localhost/gantry-postgres:latest
# The worker reaches the bus over the network of the others. Not the node that is killed: one that dies without a word keeps the names
# of its workers for up to four minutes (README), which is longer than this waits.
export GANTRY_BUS_URL_FOR_WORKERS=tls://bus2:4222,tls://bus3:4222
# Not those of an installation that may be here.
# Below those that connections to somewhere else are given (ip_local_port_range).
export GANTRY_BUS1_PORT=17422 GANTRY_BUS2_PORT=17423 GANTRY_BUS3_PORT=17424 GANTRY_SERVE1_PORT=17443 GANTRY_SERVE2_PORT=17444

say() { printf 'compose: %s\n' "$*" >&2; }
skip() { printf 'skipped: compose: %s\n' "$*"; exit 0; }
compose() { (cd "$WORK" && "${PODMAN_COMPOSE[@]}" "$@"); }
in_container() { local service=$1; shift; podman exec "gantry-try_${service}_1" "$@"; }

[[ $(id -u) == 0 ]] || skip 'containers of their own users need root'
for tool in podman podman-compose crun iptables mmdebstrap; do
    command -v "$tool" >/dev/null || skip 'podman, podman-compose, crun, iptables and mmdebstrap are not all installed'
done

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
    rm -rf "$WORK/worker"
    dpkg-deb --extract "${CARGO_TARGET_DIR:-$REPO/target}"/deb/gantry-worker_*.deb "$WORK/worker"
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
sql() { in_container postgres setpriv --reuid postgres --clear-groups env PGPASSWORD="$(cat "$WORK/.gantry/cluster/postgres/password")" \
    psql -h 127.0.0.1 -U gantry -At -c "$1"; }
# The one that says it leads, which it does once the bus has its streams. The lease alone it takes before.
leader() {
    local service holder
    holder=$(sql "SELECT holder FROM leases WHERE name = 'dispatch'")
    for service in dispatch1 dispatch2; do
        if [[ $holder == "$service" && $(podman logs "gantry-try_${service}_1" 2>&1) == *'dispatch leads'* ]]; then echo "$service"; fi
    done
}
led_by_another() { local now; now=$(leader); [[ -n $now && $now != "$1" ]]; }
leads() { [[ -n $(leader) ]]; }
# heard_since MILLISECONDS: the worker is shown online, and was heard of after that.
heard_since() { [[ $(sql "SELECT COUNT(*) FROM servers WHERE name = 'node1' AND online = 1 AND last_seen_ms > $1") == 1 ]]; }
now_ms() { date +%s%3N; }

# A worker of a server without the role of a web server: it needs nothing of its host but a directory of its own.
join() {
    local token fingerprint
    token=$(in_container serve1 gantry server ensure node1 --hostname node1.example.org --role backup)
    fingerprint=$(in_container serve1 gantry server fingerprint)
    podman run --detach --name gantry-try_worker --network gantry-try_default --volume "$WORK/worker:/worker:ro" \
        --env GANTRY_PANEL=https://serve1:8443 --env "GANTRY_TOKEN=$token" --env "GANTRY_FINGERPRINT=$fingerprint" \
        --entrypoint /worker/usr/bin/gantry-worker "$GANTRY_IMAGE" run >/dev/null
}

down() {
    local status=$?
    trap - EXIT
    [[ $status == 0 ]] || podman logs --tail 10 gantry-try_worker >&2 || true
    [[ ${KEEP:-} == 1 ]] || { podman rm --force gantry-try_worker >/dev/null 2>&1 || true; compose down --volumes >/dev/null 2>&1 || true; rm -rf "$WORK/.gantry"; }
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
    say 'letting a worker join'
    join
    until_holds 'the worker is shown online' heard_since 0
    old=$(leader)
    say "killing serve1, bus1 and $old"
    podman kill --signal KILL gantry-try_serve1_1 gantry-try_bus1_1 "gantry-try_${old}_1" >/dev/null
    until_holds 'the second panel answers' healthy "$GANTRY_SERVE2_PORT"
    until_holds 'the other dispatcher leads' led_by_another "$old"
    until_holds 'the other dispatcher hears of the worker' heard_since "$(now_ms)"
    # A port is free a moment after whoever had it was killed.
    until_holds 'what was killed starts again' podman start gantry-try_serve1_1 gantry-try_bus1_1 "gantry-try_${old}_1"
    until_holds 'the first panel answers again' healthy "$GANTRY_SERVE1_PORT"
    echo 'compose.yaml: PostgreSQL, three bus nodes, two panels and two dispatchers came up, lost one of each, and a worker that had joined was heard on'
}

main
