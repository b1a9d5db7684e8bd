#!/usr/bin/env bash
# Everything a change must pass. As root, the tests that need network namespaces must run: a skip is a
# failure then. Without root they say that they are skipped, and why. At the end stands what was skipped.
#
#   scripts/test.sh            all of it; installs the packages it needs
#   scripts/test.sh --quick    format, lints, unit tests: no root, no packages beyond a compiler's and libpcap's
set -euo pipefail
cd "$(dirname "$0")/.."
quick=
case ${1-} in
  '') ;;
  --quick) quick=1 ;;
  *)
    echo "unknown argument $1; accepted: --quick, or none" >&2
    exit 2
    ;;
esac

DASHCAP_TESTS_SKIPPED=$(mktemp)
export DASHCAP_TESTS_SKIPPED
trap 'rm -f "$DASHCAP_TESTS_SKIPPED"' EXIT
step() { printf '\n== %s\n' "$*"; "$@"; }
skipped() { # also for the steps that are left out
  printf '\n== skipped\n'
  [ -z "$quick" ] || echo 'end to end: stories, demo, service, virtual machine, scenes (scripts/test.sh runs them)'
  sort -u "$DASHCAP_TESTS_SKIPPED" | sed 's/^/  /'
  [ -n "$quick" ] || [ -s "$DASHCAP_TESTS_SKIPPED" ] || echo '  nothing'
}

if [ -n "$quick" ]; then
  . scripts/setup.sh --build-only
  step cargo fmt --check
  step cargo clippy --locked --lib --bins -- -D warnings
  step cargo test --locked --lib
  skipped
  exit
fi

. scripts/setup.sh
need tcpdump:tcpdump ethtool:ethtool chromium:chromium man:man-db tmux:tmux
[ "$(id -u)" != 0 ] || export DASHCAP_TESTS_MUST_RUN=1
step cargo fmt --check
step cargo clippy --locked --all-targets -- -D warnings
cp Cargo.lock fuzz/ # the same versions; cargo adds what only the fuzzers need
step cargo clippy --manifest-path fuzz/Cargo.toml --bins --target-dir "${CARGO_TARGET_DIR:-target}" -- -D warnings
RUSTDOCFLAGS='-D warnings' step cargo doc --locked --no-deps --document-private-items --quiet
step cargo test --locked
step scripts/demo.sh "$(mktemp -d)"
step scripts/service-test.sh
step scripts/vm-test.sh --shortest
skipped
