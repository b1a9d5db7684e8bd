#!/usr/bin/env bash
# Feeds every parser of bytes from outside with damaged input, and stops at the first that panics, hangs or
# eats memory. Works with stable Rust: dashcap's own code has no unsafe outside src/sys, so coverage
# without a sanitizer is enough.
#
#   fuzz/run.sh [SECONDS [TARGET...]]      default: 60 seconds for each target
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need c++:g++
command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz

seconds=${1-60}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || {
  echo "not a number of seconds: $seconds; accepted: fuzz/run.sh 60, or fuzz/run.sh 60 frame netlink" >&2
  exit 2
}
mapfile -t all < <(cargo fuzz list)
targets=("${@:2}")
[ ${#targets[@]} != 0 ] || targets=("${all[@]}")
for target in "${targets[@]}"; do
  [[ " ${all[*]} " == *" $target "* ]] || { echo "no target $target; accepted: ${all[*]}" >&2; exit 2; }
done

fuzz/seed.sh
cp Cargo.lock fuzz/ # The versions that dashcap is built with; cargo adds what only the fuzzers need.
# Comparisons with a few constant bytes (a magic, a key) stay calls of memcmp, where libFuzzer sees what was
# wanted; as the loads that LLVM makes of them, it finds not even four bytes in 38 million attempts.
export RUSTFLAGS="${RUSTFLAGS-} -Cllvm-args=-max-loads-per-memcmp=0"
[ "${#targets[@]}" != "${#all[@]}" ] || cargo fuzz build --sanitizer none
for target in "${targets[@]}"; do
  printf '\n== %s\n' "$target"
  words=()
  [ ! -e "fuzz/corpus/$target.dict" ] || words=("-dict=fuzz/corpus/$target.dict")
  # A second is a hundred times what any input takes; 1 GiB holds the largest block, window and table.
  cargo fuzz run --sanitizer none "$target" -- -max_total_time="$seconds" -max_len=65536 -timeout=1 -rss_limit_mb=1024 \
    -print_final_stats=1 -verbosity=0 "${words[@]}"
done
