#!/usr/bin/env bash
# Two virtual machines record the cable between them, with clocks that are minutes apart and run at different speeds;
# `dashcap fleet report` must say how far apart they are. What is true is asked for beside the cable, on serial
# lines: a clock showed what it answers between the question and the answer (Cristian 1989). Fails if for any frame
# the band of the report has no moment in common with that. Needs no KVM.
#
#   scripts/vm-clocks-test.sh [CASE...]     default: every case
#
#   drift      minutes apart, 200 ppm against each other
#   step       the same, and one clock is set 5 s ahead meanwhile
#
# DASHCAP is the program (default: one that is built). The bundles stay in target/vm/results/clocks-CASE.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need python3:python3 strip:binutils
case " $* " in *" -"*) echo 'accepted: drift, step' >&2; exit 2 ;; esac
[ $# != 0 ] || set -- drift step
if [ -z "${DASHCAP-}" ]; then
  cargo build --locked --quiet --bin dashcap
  DASHCAP=${CARGO_TARGET_DIR:-target}/debug/dashcap
fi
tmp=$(mktemp -d)
machines=()
ended() {
  local machine
  for machine in "${machines[@]}"; do kill "$machine" 2>/dev/null || true; done
  wait || true
  rm -rf "$tmp"
}
trap ended EXIT
mkdir "$tmp/payload"
cp scripts/vm/clocks.sh "$tmp/payload/"
# The memory disk holds all of it.
strip -o "$tmp/payload/dashcap" "$DASHCAP"

boot() { # NAME OTHER ADDRESS OF-THE-OTHER AHEAD TICK
  scripts/vm/boot.sh --limit 300 --cable "$tmp/cable-$1" "$tmp/cable-$2" --line "$tmp/line-$1" \
    "$tmp/payload" "$out/$1" ./clocks.sh "${@:3}" &
  machines+=($!)
}

for case in "$@"; do
  printf '\n== %s\n' "$case"
  out=$PWD/target/vm/results/clocks-$case
  rm -rf "$out"
  mkdir -p "$out"
  rm -f "$tmp"/line-* "$tmp"/cable-*
  boot a b 192.0.2.1 192.0.2.2 0 10000
  boot b a 192.0.2.2 192.0.2.1 187 10002
  python3 scripts/vm/clocks.py ask "$case" "$tmp/line-a" "$tmp/line-b" >"$out/asked"
  for machine in "${machines[@]}"; do wait "$machine"; done
  machines=()
  "$DASHCAP" fleet report "$out"/[ab]/bundles/*Z_* --pcapng "$out/merged.pcapng"
  tshark -r "$out/merged.pcapng" -T fields -e frame.interface_name -e frame.time_epoch -e frame.comment 2>/dev/null \
    >"$out/frames"
  python3 scripts/vm/clocks.py judge "$case" "$out/asked" "$out/frames"
done
