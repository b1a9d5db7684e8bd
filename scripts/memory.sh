#!/usr/bin/env bash
# The memory story, for longer than tests have time: a ring of 64 MiB and every flood at once (frames, triggers by
# socket and by file, log lines by syslog, new interfaces), a real failure in the middle. Resident memory must stay
# below what was told at the start, the account exact, and the failure kept.
#
#   scripts/memory.sh [SECONDS]       300 by default; as root
set -euo pipefail
cd "$(dirname "$0")/.."
export DASHCAP_TESTS_MUST_RUN=1 DASHCAP_MEMORY_SECONDS=${1-300}
cargo test --profile ci --test it -- --ignored --nocapture memory::
