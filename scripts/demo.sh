#!/usr/bin/env bash
# The main job, shown on a real kernel: builds dashcap, makes two network namespaces with traffic
# between them, pulls the link, and shows the bundle. Touches no interface of this machine.
# Without root it does the same in a user namespace.
#
#   scripts/demo.sh [DIRECTORY]      where the bundle appears (default: target/demo)
#
# DASHCAP is the program (default: one that is built with no more than this needs, in the least time).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
if [ -z "${DASHCAP-}" ]; then
  cargo build --locked --quiet --bin dashcap --no-default-features --profile quick
  DASHCAP=${CARGO_TARGET_DIR:-target}/quick/dashcap
fi
exec "$DASHCAP" demo --output "${1:-target/demo}"
