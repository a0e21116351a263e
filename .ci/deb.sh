#!/usr/bin/env bash
# `make deb`: the two Debian packages, in target/deb.
#
#   deb.sh            gantry-worker (what runs on every server) and gantry (panel and bus, with the worker's package inside)
#   deb.sh worker     the first alone
#
#   GANTRY_PROFILE    cargo profile (default release)
#   GANTRY_FEATURES   cargo features of the build (tests set worker/testing)
#   GANTRY_RELEASE_KEY          the file of the release key, an Ed25519 private key in PEM (openssl genpkey -algorithm ed25519).
#                               Without one a key for development is made once, in target/release-key.pem
#   GANTRY_RELEASE_PUBLIC_KEYS  a file of further release keys that the worker accepts, one in base64 a line: those to come
#
# The built packages: target/deb/gantry-worker_<version>_<architecture>.deb and target/deb/gantry_<version>_<architecture>.deb.
# Those of other versions are removed; `commit` there says of what they are made. Beside the worker's lies its signature: installed
# workers whose package pins the key's public half update to it, and to no other.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/.." && pwd -P)
TARGET=${CARGO_TARGET_DIR:-$REPO/target}
PROFILE=${GANTRY_PROFILE:-release}
BUILT=$TARGET/$([[ $PROFILE == dev ]] && echo debug || echo "$PROFILE")
OUT=$TARGET/deb
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$REPO/Cargo.toml" | head -1)
ARCHITECTURE=$(dpkg --print-architecture)
# The same sources give the same package: files have the time of the commit. Not exported: the compiler's helpers look at
# it, and would build every dependency again.
EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$REPO" log -1 --format=%ct 2>/dev/null || date +%s)}
WORK=
trap '[[ -z $WORK ]] || rm -rf "$WORK"' EXIT

say() { printf 'deb: %s\n' "$*" >&2; }
deb_of() { printf '%s/%s_%s_%s.deb' "$OUT" "$1" "$VERSION" "$ARCHITECTURE"; }

# program ROOT NAME: puts a built program into /usr/bin without what only a debugger reads.
program() {
    install -D -m 755 "$BUILT/$2" "$1/usr/bin/$2"
    strip --strip-debug "$1/usr/bin/$2"
}

# libraries ROOT NAME: what the program is linked to, as dependencies of a package.
libraries() {
    mkdir -p "$WORK/shlibs/debian"
    : > "$WORK/shlibs/debian/control"
    (cd "$WORK/shlibs" && dpkg-shlibdeps -O "$1/usr/bin/$2" 2>/dev/null) | sed -n 's/^shlibs:Depends=//p'
}

# release_key: sets KEY to the file of the key that vouches for this build.
release_key() {
    KEY=${GANTRY_RELEASE_KEY:-$TARGET/release-key.pem}
    if [[ -n ${GANTRY_RELEASE_KEY:-} ]]; then
        [[ -s $KEY ]] || { say "there is no release key at $KEY"; exit 1; }
        return
    fi
    say "signing with the development key $KEY; for a release set GANTRY_RELEASE_KEY"
    [[ ! -s $KEY ]] || return 0
    (umask 077 && openssl genpkey -algorithm ed25519 -out "$KEY.new")
    mv "$KEY.new" "$KEY"
}

# public_keys: those that a worker accepts.
public_keys() {
    # The last 32 bytes of the key's DER form are the key.
    openssl pkey -in "$KEY" -pubout -outform DER | tail -c 32 | base64 -w 0
    echo
    [[ -z ${GANTRY_RELEASE_PUBLIC_KEYS:-} ]] || cat "$GANTRY_RELEASE_PUBLIC_KEYS"
}

# sign PACKAGE: writes the signature beside a package. What is signed is the statement of shared/src/release.rs.
sign() {
    local deb statement=$WORK/statement
    deb=$(deb_of "$1")
    printf 'gantry release 1\npackage %s\nversion %s\narchitecture %s\nsha256 %s\n' \
        "$1" "$VERSION" "$ARCHITECTURE" "$(sha256sum < "$deb" | cut -d' ' -f1)" > "$statement"
    openssl pkeyutl -sign -rawin -inkey "$KEY" -in "$statement" | base64 -w 0 > "$deb.sig"
}

# texts ROOT PACKAGE: licence and maintainer scripts.
texts() {
    local script
    install -D -m 644 "$REPO/LICENSE" "$1/usr/share/doc/$2/copyright"
    for script in postinst prerm postrm; do
        install -D -m 755 "$3/$script" "$1/DEBIAN/$script"
    done
}

# control ROOT PACKAGE SECTION DEPENDS RECOMMENDS DESCRIPTION
control() {
    {
        printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Gantry\n' "$2" "$VERSION" "$ARCHITECTURE"
        printf 'Section: %s\nPriority: optional\nInstalled-Size: %s\n' "$3" "$(du -sk --exclude=DEBIAN "$1" | cut -f1)"
        printf 'Depends: %s\n' "$4"
        [[ -z $5 ]] || printf 'Recommends: %s\n' "$5"
        printf 'Description: %s\n' "$6"
    } > "$1/DEBIAN/control"
}

# pack ROOT PACKAGE: beside its place first, so that a package that exists is whole.
pack() {
    local deb
    deb=$(deb_of "$2")
    mkdir -p "$OUT"
    find "$1" -exec touch --no-dereference --date="@$EPOCH" {} +
    # A build that is only tried need not be small.
    SOURCE_DATE_EPOCH=$EPOCH dpkg-deb --root-owner-group $([[ $PROFILE == dev ]] && echo '-Zgzip -z1' || echo '-Zxz') --build "$1" "$deb.new" >/dev/null
    mv "$deb.new" "$deb"
    # What was built before under another version would be taken for this one's.
    find "$OUT" -maxdepth 1 -name "$2_*.deb*" ! -name "${deb##*/}*" -delete
    say "$deb"
}

worker_package() {
    local root=$WORK/worker
    program "$root" gantry-worker
    install -D -m 644 "$REPO/worker/package/gantry-worker.service" "$root/usr/lib/systemd/system/gantry-worker.service"
    install -D -m 644 "$REPO/worker/package/gantry-worker-update.service" "$root/usr/lib/systemd/system/gantry-worker-update.service"
    # Started at every boot, it goes on with an update that was cut off, if there is one.
    mkdir -p "$root/usr/lib/systemd/system/multi-user.target.wants"
    ln -s ../gantry-worker-update.service "$root/usr/lib/systemd/system/multi-user.target.wants/gantry-worker-update.service"
    install -D -m 644 "$REPO/worker/package/config.env" "$root/usr/share/gantry-worker/config.env"
    public_keys > "$WORK/release-keys"
    install -D -m 644 "$WORK/release-keys" "$root/usr/share/gantry-worker/release-keys"
    texts "$root" gantry-worker "$REPO/worker/package"
    # What each worker needs is required; a server's roles need different packages, which joining installs. Whoever installs
    # by hand gets those of a web server, unless told otherwise.
    control "$root" gantry-worker admin \
        "$(libraries "$root" gantry-worker), systemd (>= 252), passwd, util-linux, ca-certificates" \
        'nginx, php-fpm, php-cli, openssh-server, logrotate, nftables' \
        'Gantry worker: carries out what the Gantry panel wants on this server
 It dials out to the panel and listens on nothing. Set the panel and a token in
 /etc/gantry-worker/config.env and start gantry-worker.service, or run the
 command that the panel shows for a new server.'
    pack "$root" gantry-worker
    sign gantry-worker
}

panel_package() {
    local root=$WORK/panel
    program "$root" gantry
    install -D -m 755 "$REPO/.gantry/bin/nats-server" "$root/usr/libexec/gantry/nats-server"
    install -D -m 644 -t "$root/usr/share/gantry" "$(deb_of gantry-worker)" "$(deb_of gantry-worker).sig"
    install -D -m 644 "$REPO/web/package/gantry.service" "$root/usr/lib/systemd/system/gantry.service"
    install -D -m 644 "$REPO/web/package/gantry.env" "$root/usr/share/gantry/gantry.env"
    texts "$root" gantry "$REPO/web/package"
    control "$root" gantry admin "$(libraries "$root" gantry), systemd (>= 252), util-linux, ca-certificates" '' \
        'Gantry web-hosting control panel, with its bus
 Serves the panel over HTTPS and runs the bus to which the workers of the
 managed servers connect. Carries the matching gantry-worker package.'
    pack "$root" gantry
}

main() {
    # Both, always: another selection would be another set of features, and build every dependency again.
    (cd "$REPO" && cargo build --quiet --workspace --bins --profile "$PROFILE" ${GANTRY_FEATURES:+--features "$GANTRY_FEATURES"})
    WORK=$(mktemp -d)
    release_key
    worker_package
    [[ ${1:-} == worker ]] || panel_package
    git -C "$REPO" rev-parse HEAD > "$OUT/commit" 2>/dev/null || rm -f "$OUT/commit"
}

main "$@"
