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

said=$(mktemp)
trap 'rm -f "$said"' EXIT
step() {
  printf '\n== %s (after %s s)\n' "$*" "$SECONDS"
  "$@" 2>&1 | tee -a "$said"
}
# Each test and script says for itself why it is skipped.
skipped() {
  printf '\n== skipped\n'
  [ -z "$quick" ] || echo 'stories, demo, service and virtual machine: scripts/test.sh without --quick'
  grep -o 'skipped: .*' "$said" | sort | uniq -c || echo 'nothing'
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
need tcpdump:tcpdump nft:nftables ethtool:ethtool chromium:chromium chromedriver:chromium-driver nats-server:nats-server openssl:openssl man:man-db tmux:tmux prometheus:prometheus \
  prometheus-alertmanager:prometheus-alertmanager /usr/sbin/sshd:openssh-server ssh:openssh-client
[ "$(id -u)" != 0 ] || export DASHCAP_TESTS_MUST_RUN=1
step cargo fmt --check
step cargo clippy --locked --all-targets -- -D warnings
step cargo clippy --locked --lib --bins --no-default-features -- -D warnings
step scripts/dependencies.sh check
cp Cargo.lock fuzz/ # the same versions; cargo adds what only the fuzzers need
# Nothing is linked, so libFuzzer itself, which is C++, need not be built.
CUSTOM_LIBFUZZER_PATH=/usr/lib/libFuzzer.a step cargo clippy --manifest-path fuzz/Cargo.toml --bins --target-dir "${CARGO_TARGET_DIR:-target}" -- -D warnings
RUSTDOCFLAGS='-D warnings' step cargo doc --locked --no-deps --document-private-items --quiet
# Stories wait more than they compute.
step cargo test --locked -- --test-threads "$((2 * $(nproc)))"
# What was tested, so that nothing is built twice.
export DASHCAP=${CARGO_TARGET_DIR:-$PWD/target}/debug/dashcap
step scripts/demo.sh "$(mktemp -d)"
step scripts/scenes.sh -j 4 --quick
step scripts/service-test.sh "$DASHCAP"
step scripts/vm-test.sh --shortest
skipped
