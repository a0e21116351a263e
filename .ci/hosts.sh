#!/usr/bin/env bash
# The tests that need a whole installation: `make up` with a host of its own beside whatever else runs here, then the host and
# browser tests against it (or the parts that are named). Everything it made is removed again.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
REPO=$(cd "$HERE/.." && pwd -P)

if [[ $(id -u) != 0 ]]; then
    echo 'skipped: host and browser tests: they make namespaces and mounts and need root'
    exit 0
fi
export GANTRY_FEATURES=worker/testing,shared/testing
. "$HERE/installation.sh"
installation ci 99 1
start_installation
export GANTRY_E2E=https://$GANTRY_PANEL GANTRY_E2E_SITES=$GANTRY_SITES GANTRY_E2E_HOST=${GANTRY_HOST_PREFIX}1
export GANTRY_E2E_UP_PID=$UP_PID GANTRY_E2E_DATABASE=$GANTRY_UP/panel/panel.db GANTRY_E2E_PASSWORD=$ONCE GANTRY_AXE=$REPO/.gantry/axe/axe.min.js
cd "$REPO"
# What `make install` installs, for its test. Built here: within a test cargo would build every dependency again.
GANTRY_PROFILE=${GANTRY_PROFILE:-dev} "$HERE/deb.sh"
# The host tests come first: they sign in with the one-time password. Then the browser finds the installation in use.
for part in ${*:-host:: browser::}; do
    cargo test --workspace --features "$GANTRY_FEATURES" --quiet --test it -- --test-threads=1 --nocapture "$part"
done
