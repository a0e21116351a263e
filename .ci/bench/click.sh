#!/usr/bin/env bash
# From click to serving, on a whole installation of its own beside whatever else runs here. Removed afterwards.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/../.." && pwd -P)

if [[ $(id -u) != 0 ]]; then
    echo 'skipped: click: it makes namespaces and mounts and needs root'
    exit 0
fi

export GANTRY_PROFILE=${GANTRY_PROFILE:-release}
. "$REPO/.ci/installation.sh"
installation bench 97 2
mkdir -p "$REPO/target/bench"
start_installation
HOST=${GANTRY_HOST_PREFIX}1
"$REPO/.ci/lab/lab.sh" put "$HOST" "$HERE/floor.sh" /root/floor.sh 0755
ADDRESS=$("$REPO/.ci/lab/lab.sh" address "$HOST")
PASSWORD=$ONCE python3 "$HERE/click.py" --panel "$GANTRY_PANEL" --host "$ADDRESS" --samples "${SAMPLES:-100}" --sizes "${SIZES:-0,100}" \
    --out "$REPO/target/bench/click.json" -- "$REPO/.ci/lab/lab.sh" exec "$HOST" /root/floor.sh
