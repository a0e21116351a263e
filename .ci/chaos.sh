#!/usr/bin/env bash
# `make chaos`: faults at random while people work, then calm, then an audit; over and over, on an installation of its own.
#
#   SECONDS_LONG=1800   how long (default 1800)          SEED=n   the same list of faults again
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/.." && pwd -P)

if [[ $(id -u) != 0 ]]; then
    echo 'skipped: chaos: it makes namespaces and mounts and needs root'
    exit 0
fi
. "$HERE/installation.sh"
installation chaos 61 5
mkdir -p "$REPO/target/chaos"
"$HERE/tools.sh" run
start_installation
PASSWORD=$ONCE python3 "$HERE/chaos/chaos.py" --panel "$GANTRY_PANEL" --host chaos1 --lab "$HERE/lab/lab.sh" --up "$UP_PID" \
    --database "$GANTRY_UP/panel/panel.db" --seconds "${SECONDS_LONG:-1800}" ${SEED:+--seed "$SEED"} --out "$REPO/target/chaos/summary.json"
