#!/usr/bin/env bash
# `make clean-up`: removes what `make up` made: its hosts, their tree, the bridge, and the panel's state.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
STATE=${GANTRY_UP:-/var/lib/gantry-up}
"$HERE/lab/lab.sh" clean
case "$STATE" in
    /var/lib/gantry-up* | /tmp/*)
        # What a fault that was interrupted has mounted there.
        awk -v below="$STATE/" 'index($2, below) == 1 { print $2 }' /proc/mounts | tac | xargs --no-run-if-empty --max-args=1 umount
        rm -rf --one-file-system "$STATE"
        ;;
    *) echo "left as it is: $STATE" >&2 ;;
esac
