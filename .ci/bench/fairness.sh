#!/usr/bin/env bash
# How long one account's change waits for others, on a whole installation of its own beside whatever else runs here. Removed
# afterwards.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/../.." && pwd -P)

if [[ $(id -u) != 0 ]]; then
    echo 'skipped: fairness: it makes namespaces and mounts and needs root'
    exit 0
fi

export GANTRY_PROFILE=${GANTRY_PROFILE:-release}
. "$REPO/.ci/installation.sh"
installation fair 96 3
mkdir -p "$REPO/target/bench"
start_installation
PASSWORD=$ONCE python3 "$HERE/fairness.py" --panel "$GANTRY_PANEL" --samples "${SAMPLES:-100}" --out "$REPO/target/bench/fairness.json" \
    -- "$REPO/.ci/lab/lab.sh" "${GANTRY_HOST_PREFIX}1"
