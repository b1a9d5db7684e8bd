#!/usr/bin/env bash
# A real bond and a real team lose LACP in a virtual machine with Debian's kernel, while dashcap records in
# the router. Prints for each case what dashcap saw and when, relative to the break, and judges the bundle.
# Fails if an expectation fails. Needs no KVM; works on a fresh Debian; keeps what it needs in target/vm.
#
#   scripts/vm-test.sh [--shortest | CASE...]      default: every case; --shortest: the one for test.sh
#   scripts/vm-test.sh --list                      the cases and what they expect
#
# The bundles stay in target/vm/results/CASE.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need column:bsdextrautils strip:binutils

# CASE | how the machine is started | what incident.sh does | the first trigger, / for "or" | what is expected
cases() {
  sed 's/^ *//; /^$/d' <<'TABLE'
    team-transmit-fast | | --driver team --rate fast --break transmit | lacp-expired dp0s[02] | down vlan-down carrier-kept expired-first noticed-first lacpdus tags window recovered
    team-transmit-slow | --warp | --driver team --rate slow --break transmit --watch 130 | lacp-expired dp0s[02] | down vlan-down carrier-kept expired-first noticed-first lacpdus tags window recovered
    bond-receive-fast  | | --rate fast --min-links 2 --break receive | (lacp-expired/lacp-silence/bond-port) dp0s[02] | down vlan-down carrier-kept expired-first noticed-first ports-told lacpdus tags window recovered
    bond-receive-slow  | --warp | --rate slow --min-links 2 --break receive --watch 130 | (lacp-expired/lacp-silence/bond-port) dp0s[02] | down vlan-down carrier-kept expired-first noticed-first ports-told lacpdus tags window recovered
    bond-black-hole    | | --rate fast --min-links 0 --break receive --watch 8 | (probe-lost/lacp-expired/lacp-silence/bond-port) (10.95.6.2/dp0s[02]) | stays-up carrier-kept ports-told lacpdus tags window answered-again
    bond-carrier       | | --rate fast --min-links 2 --break carrier | link-down dp0s0 | down vlan-down carrier-lost lacpdus tags window recovered
TABLE
}
SHORTEST=bond-carrier

# What dashcap is run with. The incident stays open until dashcap is stopped, so that recovery is in it.
dashcap=(./dashcap run --memory 64MiB --kernel-memory 8MiB --pre 3m --post 5m --limit 10m)
# The black hole makes no sound in netlink; only who asks the other side notices.
probing=(--probe 10.95.6.2 --probe-interval 500ms --probe-timeout 500ms)

# The story: TIME<tab>WITNESS<tab>SENTENCE, seconds from the break, of observations and triggers.
story() { # BUNDLE BREAK
  jq -r --argjson begin "$2" '
    def epoch: capture("^(?<s>[^.]*)[.](?<f>[0-9]*)Z$") | ((.s + "Z") | fromdate) + ("0." + .f | tonumber);
    [(.time | epoch) - $begin, (if .kind == "trigger" then "TRIGGER " + .trigger else .watcher end),
     .sentence] | select(.[1] != null and .[0] > -1) | @tsv' "$1/events.jsonl"
}

# The same of the wire: LACPDUs that say something else than the one before, by interface and sender.
wire() { # BUNDLE BREAK
  tshark -r "$1/capture.pcapng.zst" -Y 'lacp' -T fields -e frame.time_epoch -e frame.interface_name \
    -e frame.packet_flags_direction -e lacp.actor.state 2>/dev/null |
    awk -v OFS='\t' -v begin="$2" '
      function number(hex,  value, i) { # 0x3f, which not every awk reads
        for (i = 3; i <= length(hex); i++) value = value * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
        return value
      }
      function bit(state, n) { return int(state / 2 ^ n) % 2 }
      function words(state,  text, n) {
        text = ""
        for (n = 3; n < 8; n++) if (bit(state, n)) text = text " " name[n]
        return text == "" ? " nothing" : text
      }
      BEGIN { split("sync collecting distributing defaulted expired", all); for (n = 3; n < 8; n++) name[n] = all[n - 2] }
      {
        from = ($3 ~ /2$/) ? "router" : "switch"; actor = number($4); key = $2 from
        if ((key in last) && last[key] == actor || $1 - begin < -1) { last[key] = actor; next }
        last[key] = actor
        printf "%.6f\twire\t%s: LACPDU of the %s says%s\n", $1 - begin, $2, from, words(actor)
      }'
}

# Time of the first line of the story that matches; nothing if none does.
first() { awk -F '\t' -v pattern="$1" '$0 ~ pattern { print $1; exit }' "$work/story"; }
frames() { tshark -r "$bundle/capture.pcapng.zst" -Y "$1" -T fields -e frame.number 2>/dev/null | wc -l; }
before() { [ -n "$1" ] && [ -n "$2" ] && awk "BEGIN { exit !($1 < $2) }"; }

# The expectations by name. Each is true or false; the story, the bundle and the marks are there.
expect() {
  local down healed
  down=$(first $'\tdp0bond0: DOWN')
  healed=$(awk -v b="$break" '$1 == "heal" { printf "%.6f", $2 - b }' "$work/out/marks")
  case $1 in
    trigger) [[ $(jq -r '.triggers[0] | .kind + " " + .object' "$bundle/manifest.json") =~ ^${trigger//\//|}$ ]] ;;
    down) [ -n "$down" ] ;;
    vlan-down) [ -n "$(first $'\tdp0bond0[.]956: DOWN')" ] ;;
    stays-up) [ -z "$down" ] ;;
    carrier-kept) [ -z "$(first $'\tdp0s[02]: .*carrier on -> off')" ] ;;
    carrier-lost) [ -n "$(first $'\tdp0s[02]: .*carrier on -> off')" ] ;;
    # On the wire before anything else: an end that hears nothing says so.
    expired-first) before "$(first $'\twire\t.* expired')" "$down" ;;
    # The detectors said so, and froze the window, before the bond fell.
    noticed-first) before "$(first $'\tdetect\t.*expired')" "$down" && before "$(first $'\tTRIGGER ')" "$down" ;;
    # What the port's state was, in netlink, before the bond fell.
    ports-told) [ -n "$(first $'\tlink\tdp0s[02]: .*LACP actor [+]expired')" ] ;;
    lacpdus)
      local port way
      for port in dp0s0 dp0s2; do
        for way in 1 2; do
          [ "$(frames "lacp && frame.interface_name == $port && frame.packet_flags_direction == $way")" -gt 0 ] || return 1
        done
      done
      ;;
    tags) [ "$(frames 'vlan.id == 956')" -gt 0 ] ;;
    # Every interface is covered from before the break.
    window) before "$(jq -r '.window.covered.from.time' "$bundle/manifest.json" | from_break)" 0 ;;
    recovered) before "$healed" "$(awk -F '\t' '/\tdp0bond0: UP/ { t = $1 } END { print t }' "$work/story")" ;;
    answered-again)
      local answered
      answered=$(awk -F '\t' '/\tprobe 10.95.6.2 answered/ { t = $1 } END { print t }' "$work/story")
      before "$healed" "$answered"
      ;;
    *) echo "there is no expectation $1" >&2; return 1 ;;
  esac
}
from_break() { local at; read -r at && awk -v a="$(date -u -d "$at" +%s.%N)" -v b="$break" 'BEGIN { printf "%.6f", a - b }'; }

run_case() { # CASE MACHINE SCENARIO TRIGGER EXPECTATIONS
  local name=$1 machine=$2 scenario=$3 trigger=$4 expectations=$5 failed=() expectation begun=$SECONDS
  work=$PWD/target/vm/results/$name
  rm -rf "$work"
  mkdir -p "$work/out"
  local extra=()
  [ "$name" != bond-black-hole ] || extra=("${probing[@]}")
  printf '\n== %s: %s\n' "$name" "$scenario"
  # shellcheck disable=SC2086 # both are lists of words
  if ! scripts/vm/boot.sh $machine "$payload" "$work/out" ./incident.sh $scenario -- "${dashcap[@]}" "${extra[@]}"; then
    tail -20 "$work/out/dashcap.log" 2>/dev/null || true
    echo "FAILED: the scenario did not end well"
    return 1
  fi
  local bundles=("$work"/out/bundles/*/)
  if [ ${#bundles[@]} != 1 ] || [ ! -e "${bundles[0]}manifest.json" ]; then
    tail -20 "$work/out/dashcap.log"
    echo "FAILED: one bundle was expected, not: ${bundles[*]##*bundles/}"
    return 1
  fi
  bundle=${bundles[0]%/}
  break=$(awk '$1 == "break" { print $2 }' "$work/out/marks")
  { story "$bundle" "$break"; wire "$bundle" "$break"
    awk -v OFS='\t' -v b="$break" '{ printf "%.6f\tMARK\t%s\n", $2 - b, $1 }' "$work/out/marks"; } |
    sort -s -g >"$work/story"
  # Pings answered every half second are the pulse, not the story; of lost ones the 1st, 2nd, 4th, 8th, ... do.
  grep -v $'\tprobe\tprobe .* answered after' "$work/story" |
    grep -vP '\tprobe\tprobe .* lost .*, (?!(1|2|4|8|16|32|64) )\d+ in a row' | awk -F '\t' '{ printf "%+9.3f  %-18s %s\n", $1, $2, $3 }'
  printf 'bundle %s: %s LACPDUs, %s frames tagged 956, %s frames in all, covered from %s s\n' "${bundle##*/}" \
    "$(frames lacp)" "$(frames 'vlan.id == 956')" "$(frames frame)" \
    "$(jq -r '.window.covered.from.time' "$bundle/manifest.json" | from_break)"
  for expectation in trigger $expectations; do
    expect "$expectation" || failed+=("$expectation")
  done
  if [ ${#failed[@]} != 0 ]; then
    echo "FAILED: ${failed[*]}"
    return 1
  fi
  echo "ok: trigger $expectations ($((SECONDS - begun)) s)"
}

case ${1-} in
  --list) cases | column -t -s '|'; exit ;;
  --shortest) set -- "$SHORTEST" ;;
  -*) echo "unknown argument $1; accepted: --shortest, --list, or names of cases" >&2; exit 2 ;;
esac
for wanted in "$@"; do
  cases | grep -q "^$wanted " || { echo "there is no case $wanted; see --list" >&2; exit 2; }
done

cargo build --locked --quiet
payload=$(mktemp -d)
trap 'rm -rf "$payload"' EXIT
cp scripts/vm/incident.sh "$payload/"
# The memory disk holds all of it: 10 MB instead of 110.
strip -o "$payload/dashcap" "${CARGO_TARGET_DIR:-target}/debug/dashcap"

broken=()
while IFS='|' read -r name machine scenario trigger expectations <&3; do
  name=${name%% *} trigger=$(xargs <<<"$trigger")
  [ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
  run_case "$name" "$machine" "$(xargs <<<"$scenario")" "$trigger" "$(xargs <<<"$expectations")" || broken+=("$name")
done 3< <(cases)
if [ ${#broken[@]} != 0 ]; then
  printf '\nfailed: %s\n' "${broken[*]}"
  exit 1
fi
