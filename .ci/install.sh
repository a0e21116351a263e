#!/usr/bin/env bash
# `make install`: makes this machine a Gantry panel and its first server, from the packages that `make deb` builds: the panel with
# its bus, and the worker, each a systemd unit. Running it again brings both to the packages as they are now and changes nothing
# else.
#
#   GANTRY_PUBLIC_URL  the panel's address as people type it and as further servers join by (default https://FULL-HOST-NAME:8443)
#   GANTRY_SERVER      this machine's name in the panel (default its short host name)
#
# To remove it: apt-get purge gantry gantry-worker. Accounts and sites stay and keep serving.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/.." && pwd -P)
DEBS=${CARGO_TARGET_DIR:-$REPO/target}/deb
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$REPO/Cargo.toml" | head -1)
ARCHITECTURE=$(dpkg --print-architecture)
WORK=
trap '[[ -z $WORK ]] || rm -rf "$WORK"' EXIT

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
deb_of() { printf '%s/%s_%s_%s.deb' "$DEBS" "$1" "$VERSION" "$ARCHITECTURE"; }

check_machine() {
    [[ $(id -u) == 0 ]] || die 'make install installs packages: run it as root.'
    local system
    # In a shell of its own: the file sets names that mean something else here.
    # shellcheck disable=SC1091
    system=$(. /etc/os-release && echo "$ID $VERSION_ID") || system='an unknown system'
    [[ $system == 'debian 12' || $system == 'debian 13' ]] || die "This machine runs $system. Gantry needs Debian 12 or 13."
    [[ -d /run/systemd/system ]] || die 'This machine was not started by systemd. Gantry needs one that was.'
}

# packages: builds them, unless somebody has, of this commit; where nobody can say of which, they are taken as they are.
packages() {
    local commit
    commit=$(git -C "$REPO" rev-parse HEAD 2>/dev/null) || commit=
    if [[ ! -s $(deb_of gantry) || ! -s $(deb_of gantry-worker) || ( -n $commit && $(cat "$DEBS/commit" 2>/dev/null) != "$commit" ) ]]; then
        "$HERE/tools.sh" build
        "$HERE/deb.sh"
    fi
}

# apt FILE...: from where apt's own user can read them.
apt() {
    local log=$WORK/apt.log
    chmod 755 "$WORK"
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install --reinstall "$@" \
        </dev/null >"$log" 2>&1 || { tail -n 20 "$log" >&2; die 'The packages could not be installed (see above).'; }
}

# name_resolves: the panel's name leads here, as Debian's installer would have written.
name_resolves() {
    local name
    name=$(hostname --fqdn 2>/dev/null || hostname)
    getent hosts "$name" >/dev/null && return 0
    say "$name has no address: adding it to /etc/hosts"
    printf '127.0.1.1 %s %s\n' "$name" "$(hostname)" >> /etc/hosts
}

install_panel() {
    say 'Installing the panel.'
    install -m 644 "$(deb_of gantry)" "$WORK/gantry.deb"
    apt "$WORK/gantry.deb"
    if [[ -n ${GANTRY_PUBLIC_URL:-} ]]; then
        sed -i "s|^GANTRY_PUBLIC_URL=.*|GANTRY_PUBLIC_URL=$GANTRY_PUBLIC_URL|" /etc/gantry/gantry.env
        systemctl restart gantry
    fi
    # What it is told: its address and where it listens.
    set -a
    # shellcheck disable=SC1091
    . /etc/gantry/gantry.env
    set +a
    local port=${GANTRY_LISTEN##*:} try
    for ((try = 0; try < 600; try++)); do
        curl --silent --insecure --fail --output /dev/null "https://localhost:$port/healthz" && return 0
        sleep 0.1
    done
    journalctl --unit=gantry --lines=20 --no-pager >&2
    die 'The panel did not start (see above).'
}

# join: this machine becomes a server, by the script every server joins by.
join() {
    local name=${GANTRY_SERVER:-} full address token
    full=$(hostname --fqdn 2>/dev/null || hostname)
    [[ -n $name ]] || name=$(hostname | tr '[:upper:]' '[:lower:]' | cut -d. -f1 | tr -cd 'a-z0-9-' | cut -c1-32)
    [[ $full == *.* ]] || full=$full.localdomain
    read -r address _ < <(hostname --all-ip-addresses) || address=
    token=$(gantry server ensure "$name" --hostname "$full" --role web --address "${address:-$full}")
    if [[ -z $token && -e /var/lib/gantry-worker/identity.json ]]; then
        say 'This machine has joined already; updating its worker.'
        install -m 644 "$(deb_of gantry-worker)" "$WORK/gantry-worker.deb"
        apt "$WORK/gantry-worker.deb"
        systemctl enable --quiet --now gantry-worker
        return
    fi
    [[ -n $token ]] || token=$(gantry server token "$name")
    say "Joining this machine as $name."
    sh -c "$(gantry server join-command --token "$token")" </dev/null >&2
    [[ -e /var/lib/gantry-worker/identity.json ]] || die 'This machine could not join (see above).'
}

main() {
    check_machine
    packages
    WORK=$(mktemp -d)
    name_resolves
    install_panel
    local password
    password=$(gantry admin first)
    join
    say ''
    say "  Gantry is installed.   $GANTRY_PUBLIC_URL"
    say "  fingerprint            $(gantry server fingerprint)"
    if [[ -n $password ]]; then
        say '  sign in as             admin'
        say "  with password          $password   (once: you choose your own then)"
    else
        say '  sign in as             admin, with the password you chose (forgotten: gantry admin reset)'
    fi
    say '  remove it with         apt-get purge gantry gantry-worker'
}

main
