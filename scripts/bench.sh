#!/usr/bin/env bash
# Builds and runs every benchmark, and prints one table: what was measured, what it should be at most.
# The load is made inside network namespaces of its own; no interface of this machine is touched.
# Without root the benchmarks that need a network namespace say that they are skipped.
#
#   scripts/bench.sh [--rivals]      --rivals: what tcpdump, dumpcap and netsniff-ng lose at the same load
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need column:bsdextrautils

rivals=()
case ${1-} in
  '') ;;
  --rivals)
    rivals=(--rivals)
    need tcpdump:tcpdump dumpcap:wireshark-common netsniff-ng:netsniff-ng
    ;;
  *)
    echo "unknown argument $1; accepted: --rivals, or none" >&2
    exit 2
    ;;
esac

cargo bench --locked --no-run --quiet
said=$(mktemp)
trap 'rm -f "$said"' EXIT
bench() { # NAME [ARGUMENT...]
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  cargo bench --locked --quiet --bench "$name" -- "$@" | tee -a "$said" | { grep -v $'^figure\t' || true; }
}
bench ring
bench fold
bench classify
bench pack
bench depth
bench detect
bench bundle
bench rates "${rivals[@]}"
bench latency
bench incident

printf '\n== figures, %s, %s processors, Linux %s\n' "$(date -u +%F)" "$(nproc)" "$(uname -r)"
grep $'^figure\t' "$said" | cut -f 2- | column -t -s $'\t' -N measured,value,target,verdict
