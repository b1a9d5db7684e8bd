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

step() { printf '\n== %s\n' "$*"; "$@"; }
skipped() {
  printf '\n== skipped\n'
  [ -z "$quick" ] || echo '  what other programs read, stories end to end, demo, service, virtual machine: scripts/test.sh'
  [ "$(id -u)" = 0 ] || echo '  what needs network namespaces: run it as root'
  systemctl is-active --quiet systemd-journald 2>/dev/null || echo "  this machine's own journal: no journald runs here"
  [ -n "$quick" ] || [ "$(id -u)" != 0 ] || echo '  else nothing: as root, a test that skips fails'
}

if [ -n "$quick" ]; then
  . scripts/setup.sh --build-only
  step cargo fmt --check
  step cargo clippy --locked --lib --bins -- -D warnings
  step cargo test --locked --lib -- --skip interop --skip browser
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
