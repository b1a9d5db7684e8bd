#!/usr/bin/env bash
# How far a fleet on one server goes, with a real nats-server: emulated members by the ten thousand, and real recorders in
# network namespaces. Prints each figure beside what is wanted of it, and fails if one is missed; figures are worth
# something on a quiet machine only. Touches no interface of this machine.
#
#   scripts/fleet-scale.sh [PART...]       default: every part
#
#   emulate      members in one process (MEMBERS): how soon all have a notice, how many bytes, what idle ones cost
#   recorders    `dashcap run` (HOSTS): idle, at a failure, in a storm of notices, one of them killed and started again
#
# DASHCAP is the program (default: a release build), MEMBERS are numbers of members (default: "200 10000"), HOSTS is how
# many recorders there are (default: 40). Needs root. Logs and bundles stay in target/fleet-scale.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need nats-server:nats-server openssl:openssl column:bsdextrautils
[ "$(id -u)" = 0 ] || { echo 'network namespaces need root: sudo scripts/fleet-scale.sh' >&2; exit 1; }
MEMBERS=${MEMBERS:-200 10000} HOSTS=${HOSTS:-40}
[ $# != 0 ] || set -- emulate recorders
for part in "$@"; do
  case $part in emulate | recorders) ;; *) echo "unknown part $part; accepted: emulate, recorders" >&2; exit 2 ;; esac
done
if [ -z "${DASHCAP-}" ]; then
  cargo build --locked --quiet --release --bin dashcap
  DASHCAP=${CARGO_TARGET_DIR:-target}/release/dashcap
fi
DASHCAP=$(realpath "$DASHCAP")
place=target/fleet-scale
rm -rf "$place"
mkdir -p "$place"
place=$(realpath "$place")
# A connection is an open file, of this side and of the server.
ulimit -n "$(ulimit -Hn)"
PATIENCE=120 # seconds for anything
IDLE=60      # seconds in which nothing happens: each member looks into the stream once
. scripts/spaces.sh

# Without IPv6: what forty kernels ask for routers on one bridge would be counted as bytes of each of them.
quiet_space() {
  space "$1"
  in_ "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
}
until_true() { # WHAT COMMAND...
  local end=$((SECONDS + PATIENCE)) what=$1
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || { echo "not within $PATIENCE s: $what" >&2; exit 1; }
    sleep 0.1
  done
}
# A figure, beside the most it should be.
figure() { # WHAT VALUE UNIT MOST
  awk -v OFS='\t' -v what="$1" -v value="$2" -v unit="$3" -v most="$4" \
    'BEGIN { print what, value " " unit, "<= " most " " unit, value <= most ? "reached" : "MISSED" }' | tee -a "$place/figures"
}
per() { awk -v value="$1" -v by="$2" -v digits="${3:-1}" 'BEGIN { printf "%.*f", digits, value / by }'; }
# Nanoseconds that the threads of processes have run (Documentation/scheduler/sched-stats.rst); of those called COMM only.
ran() { # COMM PID...
  local comm=$1 pid task time sum=0
  shift
  for pid in "$@"; do
    for task in /proc/"$pid"/task/*; do
      # A thread may have ended meanwhile.
      [ -z "$comm" ] || [ "$(cat "$task/comm" 2>/dev/null)" = "$comm" ] || continue
      time=$(cut -d ' ' -f 1 "$task/schedstat" 2>/dev/null) || continue
      sum=$((sum + ${time:-0}))
    done
  done
  echo "$sum"
}
# Bytes on an interface of a namespace, both ways.
bytes() { # SPACE INTERFACE
  in_ "$1" ip -json -s link show "$2" | jq '.[0].stats64 | .rx.bytes + .tx.bytes'
}
ask() { in_ bus "$DASHCAP" fleet --fleet nats://127.0.0.1:4222/scale --as noc "$@"; }

# The server: with TLS to the hosts, without to this namespace; anybody may say anything.
quiet_space bus
ip -n "$(named bus)" link add br0 type bridge
ip -n "$(named bus)" addr add 10.9.0.1/16 dev br0
ip -n "$(named bus)" link set br0 up
cd "$place"
key='req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'
openssl $key -subj /CN=authority -keyout ca.key -out ca.pem 2>/dev/null
openssl $key -subj /CN=bus -CA ca.pem -CAkey ca.key -addext subjectAltName=IP:10.9.0.1 \
  -addext basicConstraints=critical,CA:FALSE -keyout server.key -out server.pem 2>/dev/null
cat >nats.conf <<CONF
host: 0.0.0.0
port: 4222
allow_non_tls: true
tls { cert_file: "$place/server.pem", key_file: "$place/server.key" }
jetstream { store_dir: "$place/store" }
CONF
ip netns exec "$(named bus)" nats-server -c nats.conf >nats.log 2>&1 &
server=$!
until_true 'the server is ready' ask init >/dev/null 2>&1

emulate() { # MEMBERS NOTICES
  # A fleet of its own, so that nobody reads what others were told.
  local members=$1 told idle_ran server_ran moved emulator where=nats://127.0.0.1:4222/emulated$1
  printf '\n== %s emulated members\n' "$members"
  in_ bus "$DASHCAP" fleet --fleet "$where" --as noc init >/dev/null
  ip netns exec "$(named bus)" "$DASHCAP" fleet --fleet "$where" --as noc --json emulate -n "$members" --notices "$2" --idle "$((IDLE + 2))s" \
    >"emulate-$members" 2>"emulate-$members.log" &
  emulator=$!
  until_true 'all members are connected' grep -qs 'are connected' "emulate-$members.log"
  idle_ran=$(ran '' "$emulator") server_ran=$(ran '' "$server") moved=$(bytes bus lo)
  sleep "$IDLE"
  idle_ran=$(($(ran '' "$emulator") - idle_ran)) server_ran=$(($(ran '' "$server") - server_ran))
  # What is sent on loopback is received there, too.
  moved=$((($(bytes bus lo) - moved) / 2))
  wait "$emulator"
  told=$(<"emulate-$members")
  of() { jq ".$1" <<<"$told"; }
  figure "$members idle members: share of a core each" "$(per "$idle_ran" $((members * IDLE * 10000000)) 4)" % 0.1
  printf '%s idle members: %s bytes a second each, all headers counted; the server takes %s %% of a core\n' \
    "$members" "$(per "$moved" $((members * IDLE)))" "$(per "$server_ran" $((IDLE * 10000000)))"
  if [ "$members" -le 200 ]; then
    figure "$members members: have a notice, median" "$(per "$(of pinned_median_ns)" 1000000)" ms 20
    figure "$members members: have a notice, worst" "$(per "$(of pinned_worst_ns)" 1000000)" ms 100
    figure "$members members: a notice and its answers" "$(per "$(of bytes)" 1000)" kB 350
  else
    printf '%s members have a notice after %s ms (median)\n' "$members" "$(per "$(of pinned_median_ns)" 1000000)"
    figure "$members members: have a notice, worst" "$(per "$(of pinned_worst_ns)" 1000000)" ms 1500
    figure "$members members: all have answered" "$(per "$(of answered_worst_ns)" 1000000)" ms 5000
  fi
}

# Each host has a cable to the bus and one to a network on which somebody talks.
host() { # NUMBER
  local name=h$1 end
  quiet_space "$name"
  for end in bus:bus0:10.9 lan:eth0:10.8; do
    IFS=: read -r bridge interface network <<<"$end"
    ip link add "$interface" netns "$(named "$name")" type veth peer name "$name" netns "$(named "$bridge")"
    ip -n "$(named "$bridge")" link set "$name" master br0 up
    ip -n "$(named "$name")" addr add "$network.1.$1/16" dev "$interface"
    ip -n "$(named "$name")" link set "$interface" up
  done
  # A directory of its own for the file: a recorder looks at each change beside it, and the logs of all would be such.
  mkdir -p "$name" "config/$name"
  cat >"config/$name/dashcap.toml" <<CONF
pre = "20s"
post = "3s"
[fleet]
name = "scale"
servers = ["tls://10.9.0.1:4222"]
ca_file = "$place/ca.pem"
host = "$name"
groups = ["all", "emulated"]
[[trigger]]
kind = "link-down"
fleet = { to = ["group:all"] }
CONF
}
recorder=()
record() { # NUMBER
  local name=h$1
  # Not through in_: each of these becomes the next, so that $! is dashcap itself.
  ip netns exec "$(named "$name")" unshare --uts sh -c 'printf %s "$0" >/proc/sys/kernel/hostname && exec "$@"' "$name" \
    "$DASHCAP" run -c "config/$name/dashcap.toml" -i eth0 --memory 16MiB --kernel-memory 8MiB --control "$place/$name.sock" \
    --output "$place/$name" >>"$name.log" 2>&1 &
  recorder[$1]=$!
}
whole() { find . -mindepth 3 -maxdepth 3 -path './h*' -name manifest.json -not -path '*.partial/*' -print0 | xargs -0r "$@"; }
bundles() { whole -n 1 echo | wc -l; }
has_bundles() { [ "$(bundles)" -ge "$1" ]; }
is_told() { [ "$(grep -l "$1" h*.log | wc -l)" -ge "$2" ]; }
# Frames that the capture of all recorders lost so far.
lost() {
  local number
  for number in $(seq "$HOSTS"); do "$DASHCAP" status --json --control "h$number.sock"; done |
    jq -s '[.. | objects | .kernel_dropped?, .lane_dropped? | numbers] | add'
}

recorders() {
  local number before moved missed
  printf '\n== %s recorders\n' "$HOSTS"
  quiet_space lan
  ip -n "$(named lan)" link add br0 type bridge
  ip -n "$(named lan)" addr add 10.8.0.1/16 dev br0
  ip -n "$(named lan)" link set br0 up
  for number in $(seq "$HOSTS"); do host "$number"; done
  for number in $(seq "$HOSTS"); do record "$number"; done
  until_true 'all recorders are connected' is_told 'connected to fleet' "$HOSTS"
  until_true 'all recorders record' is_told 'armed: ' "$HOSTS"
  in_ lan ping -q -b -i 0.01 10.8.255.255 >/dev/null 2>&1 &

  before=$(ran api "${recorder[@]}") moved=0
  for number in $(seq "$HOSTS"); do moved=$((moved - $(bytes "h$number" bus0))); done
  sleep "$IDLE"
  before=$(($(ran api "${recorder[@]}") - before))
  for number in $(seq "$HOSTS"); do moved=$((moved + $(bytes "h$number" bus0))); done
  figure "an idle recorder: its share of a core for the fleet" "$(per "$before" $((HOSTS * IDLE * 10000000)) 4)" % 0.1
  figure "an idle recorder: bytes a second to and from the server, TLS and all headers counted" "$(per "$moved" $((HOSTS * IDLE)))" B 50

  printf '\n-- the link of one host falls\n'
  ip -n "$(named h1)" link set eth0 down
  until_true 'all have a bundle' has_bundles "$HOSTS"
  # All have one clock here, so what each says of the moment can be compared.
  whole jq -r '[.window.closed.from.mono_ns, .window.closed.to.mono_ns] | @tsv' | sort -n >windows
  figure "$HOSTS recorders: their windows are apart by" \
    "$(awk 'NR == 1 { f = F = $1; t = T = $2 } { F = $1 > F ? $1 : F; t = $2 < t ? $2 : t; T = $2 > T ? $2 : T } END { d = F - f > T - t ? F - f : T - t; printf "%.1f", d / 1e6 }' windows)" ms 1000
  local event
  event=$(jq -r '.triggers[0].time' h1/*Z_link-down_eth0/manifest.json)
  for number in $(seq 2 "$HOSTS"); do grep -m 1 'fleet: h1 asked' "h$number.log" | grep -oE '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z'; done |
    while read -r at; do echo $((($(date -d "$at" +%s%N) - $(date -d "$event" +%s%N)) / 1000)); done | sort -n >pinned
  figure "$HOSTS recorders: pinned after the event, median" "$(awk '{ v[NR] = $1 } END { printf "%.1f", v[int((NR + 1) / 2)] / 1000 }' pinned)" ms 20
  figure "$HOSTS recorders: pinned after the event, worst" "$(awk 'END { printf "%.1f", $1 / 1000 }' pinned)" ms 100
  ip -n "$(named h1)" link set eth0 up

  printf '\n-- 200 notices as soon as they can be said\n'
  before=$(ran '' "${recorder[@]}") missed=$(lost)
  local begun=$EPOCHREALTIME took
  ask emulate -n 2 --notices 200
  took=$(awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }')
  sleep 10
  before=$(($(ran '' "${recorder[@]}") - before))
  printf '200 notices within %s s\n' "$took"
  until_true 'all have one bundle more' has_bundles $((2 * HOSTS))
  sleep 2
  figure "storm: bundles a host" "$(per "$(($(bundles) - HOSTS))" "$HOSTS" 2)" bundle 1
  figure "storm: share of a core of a recorder for ten seconds" "$(per "$before" $((HOSTS * 100000000)) 2)" % 5
  figure "storm: frames that capture lost" "$(($(lost) - missed))" frames 0

  printf '\n-- one recorder is killed, and is away while somebody asks\n'
  kill -KILL "${recorder[HOSTS]}"
  wait "${recorder[HOSTS]}" 2>/dev/null || true
  ask freeze --group all --ago 5s --pre 10s --post 1s | cut -d , -f 1 | awk '{ n[$2]++ } END { for (s in n) print n[s], "answered", s }'
  record "$HOSTS"
  until_true 'the one that was away has read it' grep -q 'fleet: noc asked' "h$HOSTS.log"
  grep 'fleet: noc asked' "h$HOSTS.log" | sed 's/^/the one that was away: /'
  # Its memory begins after the event, and it must say so.
  grep 'fleet: noc asked' "h$HOSTS.log" | grep -qE 'Late|Partial' || { echo 'it says that it has what it cannot have' >&2; exit 1; }
}

for part in "$@"; do
  case $part in
    emulate) for members in $MEMBERS; do emulate "$members" "$([ "$members" -gt 1000 ] && echo 5 || echo 20)"; done ;;
    recorders) recorders ;;
  esac
done
printf '\n== figures, %s processors, load %s\n' "$(nproc)" "$(cut -d ' ' -f 1 /proc/loadavg)"
column -t -s $'\t' -N measured,value,wanted,verdict "$place/figures"
! grep -q MISSED "$place/figures"
