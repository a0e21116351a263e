#!/usr/bin/env bash
# `make bench`: measures the panel beside the floor of the same machine in the same run. One JSON line per figure, printed and
# kept in target/bench/<part>.json: {"name","value","unit","floor","ratio"}. A missed aim is printed and fails nothing.
#
#   ONLY=page     pages per second, beside a bare page with the same queries       (aim: at least half)
#   ONLY=sse      memory of an open page; how long a change takes to 1,000 and to 10,000 of them  (aim: 25 KiB; at most twice a broadcast)
#   ONLY=fleet    processor, memory, jobs, pages and live rows of a panel with 1,000 servers (SERVERS), whose workers are simulated
#   ONLY=assets   what a browser loads that was never here                          (aim: at most 100 KiB)
#   ONLY=click    from sending the form until PHP answers through nginx, beside a script that does the same by hand; as root
#   ONLY=batch    one site and 1,000 together by the worker's engine alone, beside a script that does the same by hand; as root
#                 (SITES, default 1000, of ACCOUNTS, default 100; SAMPLES, default 5; then one more beside LARGE, default 5000, or 0)
#   ONLY=fairness how long one account's change takes while another floods the server and a third one's PHP starts slowly, beside
#                 the same with nothing else going on; as root                                (aim: at most 2,000 ms more)
#   ONLY=join     from the command that a new server is joined by, on a fresh host, to its first site, beside dpkg and a script; as root;
#                                                                                           (aim: at most 120 s)
#   ONLY=reconcile  a look for drift at 1,000 sites that finds none, beside a script that reads and compares the same files; as root
#
# SAMPLES (default 100) is how many sites `click` makes at each size, SIZES (default 0,100) how many others there are.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/.." && pwd -P)
PARTS=${ONLY:-assets page sse fleet click join fairness batch reconcile}

say() { printf 'bench: %s\n' "$*" >&2; }

if [[ " $PARTS " == *' page '* || " $PARTS " == *' fleet '* ]] && ! command -v wrk >/dev/null; then
    [[ $(id -u) == 0 ]] || { say 'as root: apt-get install wrk'; exit 1; }
    say 'installing wrk'
    apt-get -qq update </dev/null >&2
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install wrk </dev/null >&2
fi

# Ten thousand viewers are ten thousand descriptors on each side.
ulimit -n 16384 2>/dev/null || say 'the limit of open files could not be raised'
say "$(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg)"
cd "$REPO"
for part in $PARTS; do
    case $part in
        fleet) "$HERE/tools.sh" run && cargo bench --quiet -p web --bench panel -- fleet ;;
        page | sse | assets) cargo bench --quiet -p web --bench panel -- "$part" ;;
        click | batch | fairness | join | reconcile) "$HERE/bench/hosts.sh" "$part" ;;
        *) say "no such part: $part"; exit 1 ;;
    esac
done
