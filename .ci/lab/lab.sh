#!/usr/bin/env bash
# The lab: managed hosts for tests and for trying Gantry, as systemd-nspawn machines on this machine.
#
#   lab.sh tree                     build the root tree all hosts stand on (once; a no-op afterwards)
#   lab.sh up NAME [INDEX]          start a host and wait until it is ready (a no-op when it runs)
#   lab.sh exec NAME COMMAND...     run a command in it (exit code and standard input passed through)
#   lab.sh put NAME SRC DEST [MODE] copy a file into it (atomically; owner root, mode 0644 unless told)
#   lab.sh address NAME [6]         its IPv4 (or IPv6) address
#   lab.sh gateway                  this machine's own address on the bridge
#   lab.sh root NAME                its root directory as seen from here
#   lab.sh init NAME                the process id of its init, as seen from here
#   lab.sh list                     NAME INDEX ADDRESS STATE INIT, one host a line
#   lab.sh down NAME                clean shutdown; its files are kept
#   lab.sh cut NAME                 power cut: everything in it is killed at once; its files are kept
#   lab.sh reboot NAME              down and up (a host that reboots itself stays off until the next "up")
#   lab.sh net-cut NAME             pull its network cable     lab.sh net-heal NAME    plug it in again
#   lab.sh remove NAME              down, and delete its files
#   lab.sh clean                    remove all hosts, the bridge and the tree
#
# Settings (environment):
#   GANTRY_LAB           state directory (default: .gantry/lab in the repository)
#   GANTRY_LAB_TREES     where trees are kept (default: trees/ in the state directory); may be shared by several labs
#   GANTRY_LAB_BRIDGE    name of the bridge (default gantry0)
#   GANTRY_LAB_NET       its IPv4 network, a /24 (default 10.88.0.0/24): the bridge is .1, host INDEX is .(10+INDEX)
#   GANTRY_LAB_NET6      its IPv6 prefix, a /64 (default fd88::): ::1 and ::(10+INDEX), written with the same digits
#   GANTRY_LAB_SUITE     the Debian release of the tree and of hosts made on it: bookworm (default) or trixie
#   GANTRY_LAB_PACKAGES  further packages for the tree
#
# Host names are unique on a machine (they name the veth end). Nothing is routed or translated: hosts reach each
# other and this machine's end of the bridge, and nothing else. Only processes that this script started are ever
# signalled: a recorded process id counts only together with its recorded start time.
set -euo pipefail
umask 022

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/../.." && pwd -P)
LAB=${GANTRY_LAB:-$REPO/.gantry/lab}
TREES=${GANTRY_LAB_TREES:-$LAB/trees}
BRIDGE=${GANTRY_LAB_BRIDGE:-gantry0}
NET=${GANTRY_LAB_NET:-10.88.0.0/24}
NET6=${GANTRY_LAB_NET6:-fd88::}
HOST_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
BOOT_SECONDS=90
STOP_SECONDS=60

# shellcheck source=tree.sh
. "$HERE/tree.sh"

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# ---------------------------------------------------------------------------------------------- ground

usage() { sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

need_root() { [[ $(id -u) == 0 ]] || die 'must run as root (it makes namespaces, mounts and a bridge)'; }

# What this machine lacks is installed, as on a fresh Debian.
need_tools() {
    local -a missing=()
    command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
    command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
    command -v ip >/dev/null || missing+=(iproute2)
    command -v nsenter >/dev/null || missing+=(util-linux)
    [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
    ((${#missing[@]} == 0)) && return 0
    say "installing ${missing[*]}"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}"; } \
        >&2 </dev/null || die "could not install ${missing[*]}"
}

need_state() {
    case "$LAB$TREES" in *[:,\\\ ]*) die "state directory must not contain spaces, colons, commas or backslashes: $LAB" ;; esac
    mkdir -p "$LAB/hosts" "$TREES"
    chmod 0700 "$LAB" "$TREES"
    LAB=$(cd "$LAB" && pwd -P)
    TREES=$(cd "$TREES" && pwd -P)
}

# 12 characters, so that the veth end "vb-NAME" fits the kernel's limit unshortened.
check_name() { [[ ${1:-} =~ ^[a-z][a-z0-9-]{0,11}$ && $1 != *- ]] || die "not a host name (1 to 12 of a-z 0-9 -): '${1:-}'"; }

host_dir() { printf '%s/hosts/%s' "$LAB" "$1"; }

# need_host NAME: a checked name of a host that was made before.
need_host() {
    check_name "${1:-}"
    [[ -e $(host_dir "$1")/index ]] || die "no such host: $1"
}

# The locks end with the process. Descriptor 8: the whole lab; 9: one host. Long-lived children close both.
lock_lab() { exec 8>"$LAB/lock"; flock -w 900 8 || die 'another run holds the lab'; }
unlock_lab() { exec 8>&-; }
lock_host() {
    exec 9>"$LAB/hosts/$1.lock"
    flock -w 300 9 || die "another run is busy with $1"
}

# ---------------------------------------------------------------------------------------------- processes

# start_time PID: the kernel's start time of a process (field 22 of stat, counted after the command's parenthesis).
start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    # A zombie or a dead process is no longer running.
    [[ $1 != Z && $1 != X ]] || return 1
    printf '%s' "${20}"
}

# nspawn_pid NAME: prints the process id of the host's systemd-nspawn if it is the recorded one and runs.
nspawn_pid() {
    local pid started
    [[ -e $(host_dir "$1")/pid ]] && read -r pid started < "$(host_dir "$1")/pid" || return 1
    [[ $pid =~ ^[0-9]+$ && $started == "$(start_time "$pid")" ]] || return 1
    printf '%s' "$pid"
}

# init_pid NAME: the child of systemd-nspawn that is process 1 of its own namespace.
init_pid() {
    local nspawn child
    nspawn=$(nspawn_pid "$1") || return 1
    for child in $(cat "/proc/$nspawn/task/$nspawn/children" 2>/dev/null || ps -o pid= --ppid "$nspawn"); do
        if [[ $(sed -n 's/^NSpid:.*[[:space:]]//p' "/proc/$child/status" 2>/dev/null) == 1 ]]; then
            printf '%s' "$child"
            return 0
        fi
    done
    return 1
}

# in_host NAME COMMAND...: replaces nothing, passes standard input and exit code through.
in_host() {
    local name=$1 pid
    shift
    pid=$(init_pid "$name") || die "$name is not running"
    # The cgroup namespace too, where the kernel has one: what runs in there sees the host's own tree.
    nsenter -t "$pid" -m -u -i -n -p -C -- /usr/bin/env -i PATH="$HOST_PATH" HOME=/root USER=root LOGNAME=root \
        LANG=C.UTF-8 TERM="${TERM:-dumb}" SYSTEMD_PAGER= SYSTEMD_COLORS=0 "$@"
}

# ---------------------------------------------------------------------------------------------- tree

tree_key() { { cat "$HERE/tree.sh"; printf '%s %s' "$TREE_SUITE" "${GANTRY_LAB_PACKAGES:-}"; } | sha256sum | cut -c1-12; }

# Prints the tree's directory; builds it if it is not there. Built beside its place and renamed, so a tree that
# exists is whole.
ensure_tree() {
    local key dir temp began=$SECONDS
    key=$(tree_key)
    dir=$TREES/$key
    if [[ ! -d $dir ]]; then
        exec 7>"$TREES/lock"
        flock -w 900 7 || die 'another run is building the tree'
        if [[ ! -d $dir ]]; then
            temp=$TREES/.building
            rm -rf --one-file-system "$temp"
            say "building the root tree $key (a minute or two, once)"
            # The build keeps the lock (descriptor 7) open: should this script be killed, nobody starts another one beside it.
            # A shell of its own, because "||" would switch errexit off inside.
            # shellcheck disable=SC2016  # expanded by that shell
            bash -euo pipefail -c '. "$1"; tree_build "$2"' bash "$HERE/tree.sh" "$temp" \
                </dev/null 8>&- 9>&- >"$TREES/build.log" 2>&1 || {
                tail -n 30 "$TREES/build.log" >&2
                die "the tree could not be built; the whole log: $TREES/build.log"
            }
            chmod 0755 "$temp"
            mv -T "$temp" "$dir"
            say "root tree $key built in $((SECONDS - began)) s, $(du -sm "$dir" | cut -f1) MB"
        fi
        exec 7>&-
    fi
    printf '%s' "$dir"
}

# ---------------------------------------------------------------------------------------------- network

net4() { # net4 LAST: an address of the lab's network
    [[ $NET =~ ^([0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3})\.0/24$ ]] || die "GANTRY_LAB_NET must be a /24, as in 10.88.0.0/24: $NET"
    printf '%s.%s' "${BASH_REMATCH[1]}" "$1"
}
net6() { printf '%s%s' "$NET6" "$1"; }

# Makes the bridge or takes over one left by an earlier run.
ensure_bridge() {
    local mac
    if ! ip link show dev "$BRIDGE" >/dev/null 2>&1; then
        ip link add name "$BRIDGE" type bridge
        # A fixed hardware address: a bridge otherwise takes a new one whenever a host comes or goes. Made from the name,
        # so that two labs differ.
        mac=$(printf '%s' "$BRIDGE" | sha256sum | sed 's/^\(..\)\(..\)\(..\)\(..\).*/02:88:\1:\2:\3:\4/')
        ip link set dev "$BRIDGE" address "$mac"
    fi
    ip address replace "$(net4 1)/24" broadcast + dev "$BRIDGE"
    ip -6 address replace "$(net6 1)/64" dev "$BRIDGE" nodad 2>/dev/null || say 'no IPv6 on this machine; going on without'
    ip link set dev "$BRIDGE" up
}

# The lowest index no other host has.
free_index() {
    local n taken
    taken=" $(cat "$LAB"/hosts/*/index 2>/dev/null | tr '\n' ' ')"
    for ((n = 1; n <= 200; n++)); do
        [[ $taken == *" $n "* ]] || { printf '%s' "$n"; return 0; }
    done
    die 'no free index'
}

# claim_index NAME [INDEX]: records the host's index; refuses one that another host has.
claim_index() {
    local name=$1 wanted=${2:-} dir other
    dir=$(host_dir "$name")
    if [[ -z $wanted ]]; then
        [[ -e $dir/index ]] && return 0
        wanted=$(free_index)
    fi
    [[ $wanted =~ ^[1-9][0-9]{0,2}$ ]] && ((wanted <= 240)) || die "index must be 1 to 240: $wanted"
    for other in "$LAB"/hosts/*/index; do
        [[ $other == "$dir/index" || ! -e $other ]] || [[ $(<"$other") != "$wanted" ]] \
            || die "index $wanted belongs to $(basename "$(dirname "$other")")"
    done
    mkdir -p "$dir"
    printf '%s\n' "$wanted" > "$dir/index"
}

host_index() { cat "$(host_dir "$1")/index"; }

# ---------------------------------------------------------------------------------------------- root of a host

mounted() { mountpoint -q "$(host_dir "$1")/root"; }

mount_root() {
    local name=$1 dir tree
    dir=$(host_dir "$name")
    mkdir -p "$dir/upper" "$dir/work" "$dir/root"
    mounted "$name" && unmount_root "$name"
    # A host stays on the tree it was made on: its upper layer means nothing on another.
    if [[ -e $dir/tree && -d $(<"$dir/tree") ]]; then
        tree=$(<"$dir/tree")
    else
        tree=$(ensure_tree)
        [[ ! -e $dir/tree ]] || die "$name stood on $(<"$dir/tree"), which is gone: remove $name and make it anew"
        printf '%s\n' "$tree" > "$dir/tree"
    fi
    chmod 0755 "$dir/upper"
    mount -t overlay overlay -o "lowerdir=$tree,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
}

unmount_root() {
    local root try
    root=$(host_dir "$1")/root
    for try in 1 2 3 4 5 6 7 8 9 10; do
        mountpoint -q "$root" || return 0
        umount -R "$root" 2>/dev/null || sleep "0.$try"
    done
    # Something on this machine still looks into it: let the mount go when that ends.
    umount -R -l "$root" 2>/dev/null || true
}

# What the host needs to know of itself.
write_identity() {
    local name=$1 root index
    root=$(host_dir "$name")/root
    index=$(host_index "$name")
    mkdir -p "$root/etc/gantry-lab"
    printf 'ADDRESS4=%s/24\nADDRESS6=%s/64\n' "$(net4 $((10 + index)))" "$(net6 $((10 + index)))" > "$root/etc/gantry-lab/net"
    printf '%s\n' "$name" > "$root/etc/hostname"
    printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 %s\n%s panel\n' "$name" "$(net4 1)" \
        > "$root/etc/hosts"
}

# ---------------------------------------------------------------------------------------------- cgroups

# Each host gets a cgroup of its own beneath the one this script runs in: systemd inside manages the whole group it
# finds itself in, and two hosts in one group would take each other's processes for their own. A version 1 controller
# is taken along only where this process sits at its very top; where somebody keeps this process in a group of its own
# (to account for its memory, say), it stays there.

# Prints the mount point and the group of this process for every hierarchy that a host gets a group in.
cgroup_places() {
    local id controllers path
    while IFS=: read -r id controllers path; do
        case $id:$controllers in
            0:) # version 2: alone, or beside version 1 hierarchies
                if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
                    printf '/sys/fs/cgroup /\n'
                elif [[ -d /sys/fs/cgroup/unified ]]; then
                    printf '/sys/fs/cgroup/unified %s\n' "$path"
                fi
                ;;
            *:name=systemd) printf '/sys/fs/cgroup/systemd %s\n' "$path" ;;
            *:cpu | *:cpuacct | *:pids | *:cpu,cpuacct) [[ $path != / ]] || printf '/sys/fs/cgroup/%s /\n' "$controllers" ;;
        esac
    done < /proc/self/cgroup
}

# cgroup_enter NAME: puts this very process there and records where. A hierarchy that refuses is left out.
cgroup_enter() {
    local name=$1 top path dir
    : > "$(host_dir "$name")/cgroups"
    while read -r top path; do
        dir=${top}${path%/}/gantry-lab-$name
        mkdir "$dir" 2>/dev/null || [[ -d $dir ]] || continue
        if echo $$ > "$dir/cgroup.procs" 2>/dev/null; then
            echo "$dir" >> "$(host_dir "$name")/cgroups"
        else
            rmdir "$dir" 2>/dev/null || true
        fi
    done < <(cgroup_places)
}

# cgroup_open NAME: lets a booted host's systemd set CPU and task limits in its own groups, so that they are felt.
# systemd-nspawn mounts version 1 controllers read-only; only those whose group is this host's own are opened (its cgroup
# namespace shows it nothing above). systemd looks at its controllers once, hence the re-execution. Memory limits are
# set but not felt.
cgroup_open() {
    local name=$1 dir opened=
    while read -r dir; do
        case $dir in
            /sys/fs/cgroup/cpu/* | /sys/fs/cgroup/cpuacct/* | /sys/fs/cgroup/pids/* | /sys/fs/cgroup/cpu,cpuacct/*)
                in_host "$name" mount -o remount,bind,rw "$(dirname "$dir")" 2>/dev/null && opened=1
                ;;
        esac
    done < "$(host_dir "$name")/cgroups"
    [[ -z $opened ]] || in_host "$name" systemctl daemon-reexec || say "$name: systemd could not be re-executed; CPU and task limits are not felt"
}

cgroup_remove() {
    local dir file
    file=$(host_dir "$1")/cgroups
    [[ -e $file ]] || return 0
    while read -r dir; do
        [[ $dir == /sys/fs/cgroup/*/gantry-lab-"$1" || $dir == /sys/fs/cgroup/gantry-lab-"$1" ]] || continue
        [[ ! -d $dir ]] || find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done < "$file"
    rm -f "$file"
}

# ---------------------------------------------------------------------------------------------- start and stop

# boot NAME: the part that becomes systemd-nspawn. It leaves the caller's session and keeps none of its descriptors.
boot() {
    local name=$1 dir
    dir=$(host_dir "$name")
    rm -f "$dir/pid"
    setsid -f "$HERE/lab.sh" _boot "$name" </dev/null >>"$dir/nspawn.log" 2>&1 7>&- 8>&- 9>&-
}

_boot() {
    local name=$1 dir
    dir=$(host_dir "$name")
    cd /
    cgroup_enter "$name"
    printf '%s %s\n' $$ "$(start_time $$)" > "$dir/pid.new"
    mv "$dir/pid.new" "$dir/pid"
    printf '\n== %s: boot of %s\n' "$(date -u +%FT%TZ)" "$name"
    exec env -i PATH="$HOST_PATH" LANG=C.UTF-8 TERM=dumb \
        systemd-nspawn --quiet -D "$dir/root" --boot -M "$name" --hostname="$name" --register=no --keep-unit \
        --console=read-only --network-bridge="$BRIDGE" --resolv-conf=off --timezone=off --link-journal=no
}

# The address may have been another host's: this machine would go on asking for that one's network card for half a minute.
forget_neighbour() {
    local index
    index=$(host_index "$1")
    ip neighbour flush dev "$BRIDGE" to "$(net4 $((10 + index)))" 2>/dev/null || true
    ip -6 neighbour flush dev "$BRIDGE" to "$(net6 $((10 + index)))" 2>/dev/null || true
}

wait_ready() {
    local name=$1 dir state end=$((SECONDS + BOOT_SECONDS))
    dir=$(host_dir "$name")
    while ((SECONDS < end)); do
        if [[ -e $dir/pid ]] && ! nspawn_pid "$name" >/dev/null; then
            tail -n 20 "$dir/nspawn.log" >&2
            say "$name ended while booting; its log: $dir/nspawn.log"
            return 1
        fi
        if init_pid "$name" >/dev/null; then
            state=$(in_host "$name" systemctl is-system-running 2>/dev/null) || true
            case $state in
                running) return 0 ;;
                degraded)
                    say "$name is degraded: $(in_host "$name" systemctl list-units --failed --plain --no-legend | cut -d' ' -f1 | tr '\n' ' ')"
                    return 0
                    ;;
            esac
        fi
        sleep 0.1
    done
    tail -n 20 "$dir/nspawn.log" >&2
    say "$name is not ready after $BOOT_SECONDS s (${state:-no answer}); its log: $dir/nspawn.log"
    return 1
}

# wait_gone NAME PID STARTED SECONDS
wait_gone() {
    local pid=$1 started=$2 end=$((SECONDS + $3))
    while [[ $(start_time "$pid" 2>/dev/null) == "$started" ]]; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

# after_stop NAME: takes away what a stopped or dead host leaves on this machine.
after_stop() {
    ip link delete dev "vb-$1" 2>/dev/null || true
    unmount_root "$1"
    cgroup_remove "$1"
    rm -f "$(host_dir "$1")/pid"
}

kill_host() {
    local name=$1 nspawn init started init_started
    nspawn=$(nspawn_pid "$name") || return 0
    started=$(start_time "$nspawn") || return 0
    if init=$(init_pid "$name"); then
        init_started=$(start_time "$init") || init_started=
        # All the others at once, before process 1 closes its connections: of a power cut nobody sees the first signs.
        nsenter --target "$init" --pid -- /bin/sh -c 'kill -KILL -1' 2>/dev/null || true
        # The kernel ends a whole process namespace with its process 1.
        kill -KILL "$init" "$nspawn" 2>/dev/null || true
        wait_gone "$init" "$init_started" 20 || say "$name: its init does not go away"
    else
        kill -KILL "$nspawn" 2>/dev/null || true
    fi
    wait_gone "$nspawn" "$started" 20 || die "$name: systemd-nspawn does not go away"
}

# ---------------------------------------------------------------------------------------------- commands

cmd_tree() { need_tools; ensure_tree >/dev/null; }

cmd_up() {
    local name=${1:-} began=$SECONDS
    check_name "$name"
    need_tools
    lock_host "$name"
    if nspawn_pid "$name" >/dev/null; then
        wait_ready "$name"
        return
    fi
    ensure_tree >/dev/null
    lock_lab
    claim_index "$name" "${2:-}"
    ensure_bridge
    unlock_lab
    after_stop "$name"
    mount_root "$name"
    write_identity "$name"
    boot "$name"
    wait_ready "$name" && cgroup_open "$name" && wait_ready "$name" || { kill_host "$name"; after_stop "$name"; return 1; }
    forget_neighbour "$name"
    say "$name is up at $(net4 $((10 + $(host_index "$name")))) after $((SECONDS - began)) s"
}

cmd_exec() {
    check_name "${1:-}"
    (($# >= 2)) || die 'exec NAME COMMAND...'
    in_host "$@"
}

cmd_put() {
    (($# == 3 || $# == 4)) || die 'put NAME SRC DEST [MODE]'
    check_name "$1"
    [[ -f $2 ]] || die "no such file: $2"
    [[ $3 == /* ]] || die "DEST must be an absolute path: $3"
    # shellcheck disable=SC2016  # expanded by the shell in the host
    in_host "$1" /bin/sh -euc 'mkdir -p "$(dirname "$1")"; temp=$1.lab-$$; cat > "$temp"; chmod "$2" "$temp"; mv -T "$temp" "$1"' \
        sh "$3" "${4:-0644}" < "$2"
}

cmd_address() {
    need_host "${1:-}"
    if [[ ${2:-4} == 6 ]]; then net6 $((10 + $(host_index "$1"))); else net4 $((10 + $(host_index "$1"))); fi
    echo
}

cmd_gateway() { net4 1; echo; }

cmd_root() { need_host "${1:-}"; printf '%s/root\n' "$(host_dir "$1")"; }

cmd_init() { need_host "${1:-}"; init_pid "$1" || die "$1 is not running"; echo; }

cmd_list() {
    local index name pid state
    for index in "$LAB"/hosts/*/index; do
        [[ -e $index ]] || continue
        name=$(basename "$(dirname "$index")")
        if pid=$(init_pid "$name"); then state=running; else pid=- state=stopped; fi
        printf '%s %s %s %s %s\n' "$name" "$(<"$index")" "$(net4 $((10 + $(<"$index"))))" "$state" "$pid"
    done
}

cmd_down() {
    local name=${1:-} nspawn started init
    need_host "$name"
    lock_host "$name"
    if nspawn=$(nspawn_pid "$name") && started=$(start_time "$nspawn"); then
        if init=$(init_pid "$name"); then
            kill -s RTMIN+4 "$init"
            wait_gone "$nspawn" "$started" "$STOP_SECONDS" || { say "$name does not shut down; cutting its power"; kill_host "$name"; }
        else
            kill_host "$name"
        fi
    fi
    after_stop "$name"
}

cmd_reboot() {
    (cmd_down "$@")
    cmd_up "$1"
}

cmd_cut() {
    need_host "${1:-}"
    lock_host "$1"
    kill_host "$1"
    after_stop "$1"
}

cmd_remove() {
    check_name "${1:-}"
    lock_host "$1"
    # Nothing in it is worth a clean shutdown.
    kill_host "$1"
    after_stop "$1"
    ! mounted "$1" || die "$1: its root is still mounted"
    rm -rf --one-file-system "$(host_dir "$1")"
    rm -f "$LAB/hosts/$1.lock"
}

cmd_net() { # cmd_net up|down NAME
    need_host "${2:-}"
    init_pid "$2" >/dev/null || die "$2 is not running"
    ip link set dev "vb-$2" "$1"
}

cmd_clean() {
    local dir
    for dir in "$LAB"/hosts/*/; do
        [[ -d $dir ]] || continue
        (cmd_remove "$(basename "$dir")")
    done
    # Another lab's hosts may be on the same bridge.
    if [[ -d /sys/class/net/$BRIDGE/brif && -z $(ls "/sys/class/net/$BRIDGE/brif") ]]; then
        ip link delete dev "$BRIDGE"
    fi
    # Trees kept elsewhere may be another lab's too.
    [[ -n ${GANTRY_LAB_TREES:-} ]] || rm -rf --one-file-system "$TREES"
    rm -rf --one-file-system "$LAB"
}

main() {
    local command=${1:-help}
    (($# == 0)) || shift
    case $command in help | -h | --help) usage; return 0 ;; esac
    need_root
    need_state
    case $command in
        tree) cmd_tree ;;
        up) cmd_up "$@" ;;
        exec) cmd_exec "$@" ;;
        put) cmd_put "$@" ;;
        address) cmd_address "$@" ;;
        gateway) cmd_gateway ;;
        root) cmd_root "$@" ;;
        init) cmd_init "$@" ;;
        list) cmd_list ;;
        down) cmd_down "$@" ;;
        cut) cmd_cut "$@" ;;
        reboot) cmd_reboot "$@" ;;
        remove) cmd_remove "$@" ;;
        net-cut) cmd_net down "$@" ;;
        net-heal) cmd_net up "$@" ;;
        clean) cmd_clean ;;
        _boot) _boot "$@" ;;
        *) die "no such command: $command (see lab.sh help)" ;;
    esac
}

main "$@"
