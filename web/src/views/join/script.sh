#!/bin/sh
# Joins this host to a Gantry panel. Made for one server; its token works once, for an hour.
# It installs the worker and what the server's roles need, lets the worker join, and starts it. Nothing will listen for the
# panel on this host. Until it has joined it may be run again.
set -eu

panel=@panel@
server=@server@
token=@token@
fingerprint=@fingerprint@
made_at=@made_at@

say() { printf 'gantry: %s\n' "$*"; }
fail() {
    printf 'gantry: %s\n' "$*" >&2
    exit 1
}

# package_of ARCHITECTURE: sets file and checksum.
package_of() {
    case "$1" in
@packages@
        *) fail "this host is $1, and the panel has no worker for it." ;;
    esac
}

check_host() {
    [ "$(id -u)" = 0 ] || fail 'this must run as root. Run the same command as root, or with "sudo sh" instead of "sh" at its end.'
    ID= VERSION_ID= PRETTY_NAME='an unknown system'
    [ ! -r /etc/os-release ] || . /etc/os-release
    case "$ID:$VERSION_ID" in
        debian:12 | debian:13) ;;
        *) fail "this host runs $PRETTY_NAME. Gantry needs Debian 12 or 13." ;;
    esac
    [ -d /run/systemd/system ] || fail 'this host was not started by systemd (a plain container?). Gantry needs one that was.'
    skew=$(($(date +%s) - made_at))
    if [ "$skew" -gt 300 ] || [ "$skew" -lt -300 ]; then
        fail "this host's clock is $skew s away from the panel's, or this script is old. Set the clock (timedatectl set-ntp true) and run the panel's command again."
    fi
    if [ -e /var/lib/gantry-worker/identity.json ]; then
        joined=$(sed -n 's/^ *"server": "\(.*\)",$/\1/p' /var/lib/gantry-worker/identity.json)
        [ "$joined" = "$server" ] || fail "this host has joined a panel as $joined. To make it $server: apt-get purge gantry-worker, then run the panel's command again."
    fi
}

# quietly COMMAND...: shows what it printed only if it failed.
quietly() {
    if ! "$@" > "$work/log" 2>&1 < /dev/null; then
        tail -n 20 "$work/log" >&2
        return 1
    fi
}

# Nobody is asked anything: files that an admin has changed stay as they are.
apt() {
    DEBIAN_FRONTEND=noninteractive quietly apt-get -q -y -o DPkg::Lock::Timeout=300 -o DPkg::Options::=--force-confdef \
        -o DPkg::Options::=--force-confold --no-install-recommends "$@"
}

installed() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2> /dev/null | grep -qx installed; }

install_roles() {
    missing=
    for name in @role_packages@; do
        installed "$name" || missing="$missing $name"
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    case "$missing " in
        *' postfix '*)
            # What its installation would ask: a server of the Internet, under its own name.
            name=$(hostname --fqdn 2> /dev/null || hostname)
            printf 'postfix postfix/main_mailer_type select Internet Site\npostfix postfix/mailname string %s\n' "$name" \
                | debconf-set-selections
            ;;
    esac
    quietly apt-get -q update || say 'the package lists could not be refreshed; going on with those that are here'
    # shellcheck disable=SC2086  # a list of words is what it is
    apt install $missing || fail 'packages could not be installed (see above). Check the network and /etc/apt/sources.list, and run the command again.'
    # Debian's own PHP pool serves nobody here: each account has a PHP of its own.
    for unit in /lib/systemd/system/php*-fpm.service; do
        case "$missing $unit" in *php-fpm*.service) quietly systemctl disable --now "${unit##*/}" || true ;; esac
    done
}

install_worker() {
    package_of "$(dpkg --print-architecture)"
    # apt's own user reads it there.
    chmod 755 "$work"
    say 'fetching the worker'
    curl --silent --show-error --fail --retry 3 --proto =https @curl_trust@ --output "$work/gantry-worker.deb" "$panel@packages_path@$file" \
        || fail "the worker could not be fetched from $panel. Run the panel's command again."
    printf '%s  %s\n' "$checksum" "$work/gantry-worker.deb" | sha256sum --check --status \
        || fail 'what was fetched is not the worker of this panel. Nothing was installed. Run the command again; if it happens again, something changes what passes between this host and the panel.'
    apt install --reinstall "$work/gantry-worker.deb" || fail 'the worker could not be installed (see above).'
}

# Writes what this host joins with into the worker's settings. Whatever else an admin has set there stays.
configure() {
    umask 077
    mkdir -p /etc/gantry-worker
    chmod 755 /etc/gantry-worker
    [ -e /etc/gantry-worker/config.env ] || : > /etc/gantry-worker/config.env
    GANTRY_PANEL=$panel GANTRY_TOKEN=$token GANTRY_FINGERPRINT=$fingerprint awk '
        BEGIN { many = split("GANTRY_PANEL GANTRY_TOKEN GANTRY_FINGERPRINT", ours); for (i in ours) is_ours[ours[i]] = 1 }
        { name = $0; sub(/=.*/, "", name); gsub(/[ \t]/, "", name) }
        !(name in is_ours) { print; next }
        !written[name]++ { print name "=" ENVIRON[name] }
        END { for (i = 1; i <= many; i++) if (!(ours[i] in written)) print ours[i] "=" ENVIRON[ours[i]] }
    ' /etc/gantry-worker/config.env > /etc/gantry-worker/config.env.new
    mv /etc/gantry-worker/config.env.new /etc/gantry-worker/config.env
}

join() {
    configure
    say "joining as $server"
    GANTRY_PANEL=$panel GANTRY_TOKEN=$token GANTRY_FINGERPRINT=$fingerprint gantry-worker enroll < /dev/null \
        || fail 'this host has not joined (see above).'
    systemctl enable --quiet gantry-worker.service
    systemctl restart gantry-worker.service \
        || fail 'the worker does not start. Look at: journalctl -u gantry-worker'
}

main() {
    check_host
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    install_roles
    install_worker
    join
    say "done. $server turns green in the panel within seconds."
}

# On the last line, so that a script that arrived in part does nothing.
main
