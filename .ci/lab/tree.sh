# shellcheck shell=bash
# The root tree every lab host stands on. Sourced by lab.sh, which keys the tree by a hash of this very file
# (and of GANTRY_LAB_PACKAGES): any edit here makes a new tree, existing hosts keep the one they were made on.

# The Debian release: bookworm (12) or trixie (13).
TREE_SUITE=${GANTRY_LAB_SUITE:-bookworm}
case $TREE_SUITE in
    bookworm) TREE_PHP=8.2 TREE_OTHER_PHP= ;;
    trixie) TREE_PHP=8.4 TREE_OTHER_PHP=8.2 ;;
    *) echo "no such release: $TREE_SUITE" >&2; exit 1 ;;
esac

# One line per reason. mmdebstrap's "minbase" plus these, without recommended packages.
TREE_PACKAGES=(
    systemd systemd-sysv dbus libpam-systemd      # a real boot, logins in their own sessions as on a real server
    iproute2 procps ca-certificates
    curl                                          # joining by the panel's command
    nginx openssl                                 # web server
    php-{fpm,cli,mysql,curl,mbstring,xml,gd,zip,intl} # PHP of the release, as joining would install it
    openssh-server openssh-sftp-server            # SFTP for the accounts
    acl logrotate
    nftables                                      # what accounts may reach over the network
)

# tree_build DIR: makes the tree in DIR (which must not exist yet).
tree_build() {
    local dir=$1 extra=${GANTRY_LAB_PACKAGES:-}
    local -a packages=("${TREE_PACKAGES[@]}")
    # shellcheck disable=SC2206  # a list of words is what it is
    [[ -z $extra ]] || packages+=($extra)
    local -a hooks=()
    [[ -z $TREE_OTHER_PHP ]] || hooks=("--customize-hook=$(tree_other_php)")
    mmdebstrap --quiet --variant=minbase --mode=root \
        --include="$(IFS=,; echo "${packages[*]}")" \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        "${hooks[@]}" "$TREE_SUITE" "$dir"
    tree_identity "$dir"
    tree_units "$dir"
    tree_services "$dir"
}

# A second PHP beside that of the release, as servers have it that take several from a repository: that of Debian 12, which apt
# would not mix in. Run by mmdebstrap, with the tree as $1.
tree_other_php() {
    local php=php$TREE_OTHER_PHP
    cat <<HOOK
set -e
list="\$1/etc/apt/sources.list.d/other.list" keep="\$1/var/tmp/other"
export APT_CONFIG="\$MMDEBSTRAP_APT_CONFIG"
echo 'deb http://deb.debian.org/debian bookworm main' > "\$list"
apt-get -qq update
mkdir "\$keep"
(cd "\$keep" && apt-get -qq download -t bookworm $php-fpm $php-cli $php-common $php-opcache)
for package in "\$keep"/*.deb; do dpkg-deb --fsys-tarfile "\$package" | tar -x -C "\$1" --keep-directory-symlink; done
mkdir -p "\$1/etc/php/$TREE_OTHER_PHP/fpm/pool.d" "\$1/etc/php/$TREE_OTHER_PHP/fpm/conf.d"
for module in "\$1"/usr/share/$php-*/*/*.ini; do
    if [ -e "\$module" ]; then cp "\$module" "\$1/etc/php/$TREE_OTHER_PHP/fpm/conf.d/20-\${module##*/}"; fi
done
rm -r "\$keep" "\$list"
apt-get -qq update
HOOK
}

# What every host must have for itself is not in the tree: machine id, host name, host keys.
tree_identity() {
    local dir=$1
    : > "$dir/etc/machine-id"
    rm -f "$dir/var/lib/dbus/machine-id" "$dir/etc/hostname" "$dir"/etc/ssh/ssh_host_*
    rm -f "$dir/etc/resolv.conf"
    echo '# a lab host asks nobody: it reaches its bridge and nothing else' > "$dir/etc/resolv.conf"
    echo 'UTC' > "$dir/etc/timezone"
    ln -sfn /usr/share/zoneinfo/UTC "$dir/etc/localtime"
}

tree_units() {
    local dir=$1 units=$1/etc/systemd/system
    # Addresses are given by a unit of our own from a file that lab.sh writes per host: no daemon, no waiting, and it
    # also holds when the host reboots itself.
    cat > "$units/gantry-lab-net.service" <<'UNIT'
[Unit]
Description=Static addresses of this lab host
ConditionPathExists=/etc/gantry-lab/net
Wants=network.target
Before=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/etc/gantry-lab/net
ExecStart=/sbin/ip link set lo up
ExecStart=/sbin/ip link set host0 up
ExecStart=/sbin/ip address replace ${ADDRESS4} broadcast + dev host0
ExecStart=-/sbin/ip -6 address replace ${ADDRESS6} dev host0 nodad

[Install]
WantedBy=multi-user.target
UNIT
    # Debian's ssh.service tests its configuration first and fails without keys, so they are made before it.
    cat > "$units/gantry-lab-hostkeys.service" <<'UNIT'
[Unit]
Description=SSH host keys of this lab host
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
Before=ssh.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=ssh.service
UNIT
    mkdir -p "$dir/etc/systemd/journald.conf.d" "$dir/var/log/journal" "$dir/etc/systemd/system.conf.d"
    printf '[Journal]\nStorage=persistent\nSystemMaxUse=50M\nRateLimitIntervalSec=0\n' \
        > "$dir/etc/systemd/journald.conf.d/gantry-lab.conf"
    # A hanging unit must not make a shutdown hang for the default minute and a half.
    printf '[Manager]\nDefaultTimeoutStopSec=20s\n' > "$dir/etc/systemd/system.conf.d/gantry-lab.conf"
    chroot "$dir" systemctl --quiet enable gantry-lab-net.service gantry-lab-hostkeys.service nginx.service ssh.service
    # No console, nothing to download, and PHP-FPM masters are Gantry's own units.
    chroot "$dir" systemctl --quiet disable "php$TREE_PHP-fpm.service"
    chroot "$dir" systemctl --quiet mask "php$TREE_PHP-fpm.service" ${TREE_OTHER_PHP:+"php$TREE_OTHER_PHP-fpm.service"} console-getty.service getty@tty1.service \
        apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service
    chroot "$dir" systemctl --quiet set-default multi-user.target
}

tree_services() {
    local dir=$1
    rm -f "$dir/etc/nginx/sites-enabled/default" "$dir/etc/nginx/sites-available/default"
    rm -f "$dir/var/www/html/index.nginx-debian.html"
    # Root has no password and no key: the only way in is from this machine, through the namespaces.
    chroot "$dir" usermod --password '*' root
    printf 'PermitRootLogin no\nUseDNS no\n' > "$dir/etc/ssh/sshd_config.d/00-gantry-lab.conf"
}
