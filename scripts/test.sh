#!/usr/bin/env bash
# Everything a change must pass. As root, the tests that need network namespaces must run: a skip is a
# failure then. Without root they say that they are skipped, and why.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need tcpdump:tcpdump ethtool:ethtool chromium:chromium man:man-db tmux:tmux
[ "$(id -u)" != 0 ] || export DASHCAP_TESTS_MUST_RUN=1

step() { printf '\n== %s\n' "$*"; "$@"; }
step cargo fmt --check
step cargo clippy --locked --all-targets -- -D warnings
cp Cargo.lock fuzz/ # the same versions; cargo adds what only the fuzzers need
step cargo clippy --manifest-path fuzz/Cargo.toml --bins --target-dir "${CARGO_TARGET_DIR:-target}" -- -D warnings
RUSTDOCFLAGS='-D warnings' step cargo doc --locked --no-deps --document-private-items --quiet
step cargo test --locked
step scripts/demo.sh "$(mktemp -d)"
step scripts/service-test.sh
step scripts/vm-test.sh --shortest
