#!/usr/bin/env bash
# Releases the commit that is checked out twice, below two places of different names, one after the other: every
# file must be the same to the byte. Takes as long as scripts/release.sh does, twice.
#
#   scripts/reproducible-test.sh [--ci]      --ci: as scripts/release.sh --ci builds
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for place in one another/longer; do
  git clone --quiet . "$work/$place"
  (cd "$work/$place" && CARGO_TARGET_DIR=$work/$place/target scripts/release.sh "$@" >/dev/null)
  rm -rf "${work:?}/$place/target"
done
if ! diff "$work/one/dist/SHA256SUMS" "$work/another/longer/dist/SHA256SUMS"; then
  echo 'FAILED: two builds of one commit differ' >&2
  exit 1
fi
cat "$work/one/dist/SHA256SUMS"
