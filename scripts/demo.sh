#!/usr/bin/env bash
# The main job, shown on a real kernel: builds dashcap, makes two network namespaces with traffic
# between them, pulls the link, and shows the bundle. Touches no interface of this machine.
# Without root it does the same in a user namespace.
#
#   scripts/demo.sh [DIRECTORY]      where the bundle appears (default: target/demo)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
cargo build --locked --quiet
exec "${CARGO_TARGET_DIR:-target}/debug/dashcap" demo --output "${1:-target/demo}"
