#!/usr/bin/env bash
# Builds and runs every benchmark, and prints one table: what was measured, what it should be at most.
# The load is made inside network namespaces of its own; no interface of this machine is touched.
# Without root the benchmarks that need a network namespace say that they are skipped.
#
#   scripts/bench.sh [--rivals]      --rivals: what tcpdump, dumpcap and netsniff-ng lose at the same load
#   scripts/bench.sh --dump FILE QUIET-FROM QUIET-TO LOUD-FROM LOUD-TO
#                                    only cut, thin and report, beside editcap, cp and tcpdump, on a capture file
#                                    of gigabytes and two windows of it, in seconds since 1970
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need column:bsdextrautils

rivals=()
dump=()
case ${1-} in
  '') ;;
  --dump)
    shift
    if [ $# -ne 5 ]; then
      echo "--dump wants FILE QUIET-FROM QUIET-TO LOUD-FROM LOUD-TO" >&2
      exit 2
    fi
    dump=("$@")
    need tcpdump:tcpdump editcap:wireshark-common
    ;;
  --rivals)
    rivals=(--rivals)
    need tcpdump:tcpdump dumpcap:wireshark-common netsniff-ng:netsniff-ng
    ;;
  *)
    echo "unknown argument $1; accepted: --rivals, --dump, or none" >&2
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
figures() {
  printf '\n== figures, %s, %s processors, Linux %s\n' "$(date -u +%F)" "$(nproc)" "$(uname -r)"
  grep $'^figure\t' "$said" | cut -f 2- | column -t -s $'\t' -N measured,value,target,verdict
}
if [ ${#dump[@]} -gt 0 ]; then
  bench cut "${dump[@]}"
  bench thin "${dump[0]}"
  figures
  exit
fi
bench ring
bench fold
bench classify
bench pack
bench depth
bench detect
bench bundle
bench rates "${rivals[@]}"
bench latency
bench frames
bench incident
bench fleet

figures
