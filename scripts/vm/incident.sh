#!/usr/bin/env bash
# In the virtual machine: a router and a switch joined by an aggregate of two links with LACP, VLAN 956 on
# top. LACP breaks while the links keep their carrier, dashcap runs on the router, and then it heals.
#
#   router: dp0s0 dp0s2 -> dp0bond0 -> dp0bond0.956 10.95.6.1/24
#   switch: sw0   sw2   -> po1      -> po1.956      10.95.6.2/24
#
#   incident.sh --driver bond|team --rate fast|slow --min-links N --break MODE --watch SECONDS -- DASHCAP...
#
#   --break   transmit  everything to the switch is dropped, at its end: the router's transmitter is dead
#             receive   everything to the router is dropped, at its end: its receiver is dead
#             carrier   the switch's ports go down: the control case
#   --watch   how long to wait for dp0bond0 to go down
#
# Leaves in /out: the bundles, dashcap.log, and `marks`: a line with name and time for each act.
set -euo pipefail

driver=bond rate=fast min_links=0 break=transmit watch=15
while [ "$1" != -- ]; do
  case $1 in
    --driver) driver=$2 ;;
    --rate) rate=$2 ;;
    --min-links) min_links=$2 ;;
    --break) break=$2 ;;
    --watch) watch=$2 ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
shift

# How long the aggregate may take to come up: ends that gave each other up speak every 30 s.
PATIENCE=75
# Time with everything in order before the break and after the healing, in seconds.
QUIET=3

in_router() { ip netns exec router "$@"; }
mark() { echo "$1 $EPOCHREALTIME" | tee -a /out/marks; }

until_true() { # SECONDS WHAT COMMAND...
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "never: $what" >&2; return 1; }
    sleep 0.2
  done
}

aggregate() { # NAMESPACE NAME MIN_LINKS PORT PORT
  local ns=$1 name=$2 links=$3 port fast=false
  shift 3
  if [ "$driver" = bond ]; then
    ip -n "$ns" link add "$name" type bond mode 802.3ad miimon 100 lacp_rate "$rate" min_links "$links"
    for port in "$@"; do
      ip -n "$ns" link set "$port" down
      ip -n "$ns" link set "$port" master "$name"
    done
  else
    [ "$rate" = slow ] || fast=true
    ip netns exec "$ns" teamd -d -p "/run/$name.pid" -c '{"device": "'"$name"'",
      "runner": {"name": "lacp", "active": true, "fast_rate": '"$fast"', "tx_hash": ["eth", "ipv4"]},
      "link_watch": {"name": "ethtool"}, "ports": {"'"$1"'": {}, "'"$2"'": {}}}' >"/tmp/$name.log" 2>&1
  fi
  ip -n "$ns" link set "$name" up
}

# True when both ports of the aggregate carry traffic.
whole() { # NAMESPACE NAME
  if [ "$driver" = bond ]; then
    [ "$(ip netns exec "$1" cat "/sys/class/net/$2/bonding/ad_num_ports")" = 2 ]
  else
    [ "$(ip netns exec "$1" teamdctl "$2" state | grep -c 'selected: yes')" = 2 ]
  fi
}
answers() { in_router ping -c 1 -W 1 10.95.6.2 >/dev/null 2>&1; }
in_order() { whole router dp0bond0 && whole switch po1 && answers; }
carrier() { [ "$(in_router cat /sys/class/net/dp0bond0/carrier)" = "$1" ]; }
works() { carrier 1 && answers; }

drop() { # NAMESPACE PORT...: what arrives there is lost, with the sender's own capture none the wiser
  local ns=$1 port
  shift
  for port in "$@"; do
    ip netns exec "$ns" tc qdisc add dev "$port" clsact
    echo "filter add dev $port ingress protocol all prio 1 matchall action drop" >>/tmp/break
    echo "filter del dev $port ingress protocol all prio 1 matchall" >>/tmp/heal
  done
}

ip netns add router
ip netns add switch
ip link add dp0s0 netns router type veth peer name sw0 netns switch
ip link add dp0s2 netns router type veth peer name sw2 netns switch
aggregate switch po1 0 sw0 sw2
aggregate router dp0bond0 "$min_links" dp0s0 dp0s2
for end in router:dp0bond0:1 switch:po1:2; do
  IFS=: read -r ns name host <<<"$end"
  ip -n "$ns" link add link "$name" name "$name.956" type vlan id 956
  ip -n "$ns" addr add "10.95.6.$host/24" dev "$name.956"
  ip -n "$ns" link set "$name.956" up
  ip -n "$ns" link set lo up
done
until_true "$PATIENCE" 'the aggregate came up' in_order

echo 'the aggregate is up'
mkdir /out/bundles
: >/out/dashcap.log
# Not through in_router: `ip netns exec` becomes dashcap, so that $! is dashcap itself.
ip netns exec router "$@" --output /out/bundles >>/out/dashcap.log 2>&1 &
dashcap=$!
until_true 30 'dashcap records' grep -q 'armed: ' /out/dashcap.log
ip netns exec router ping -i 1 10.95.6.2 >/dev/null 2>&1 &
pinging=$!
sleep "$QUIET"

# One process for both links, so that they break within milliseconds; its modules are there before.
for module in cls_matchall act_gact; do modprobe "$module"; done
: >/tmp/break
: >/tmp/heal
case $break in
  transmit) drop switch sw0 sw2; at=switch tool=tc ;;
  receive) drop router dp0s0 dp0s2; at=router tool=tc ;;
  carrier)
    printf 'link set %s down\n' sw0 sw2 >/tmp/break
    printf 'link set %s up\n' sw0 sw2 >/tmp/heal
    at=switch tool=ip
    ;;
  *) echo "unknown break $break" >&2; exit 2 ;;
esac
act() { ip netns exec "$at" bash -c "echo $1 \$EPOCHREALTIME | tee -a /out/marks; exec $tool -b /tmp/$1"; }

act break
until_true "$watch" 'dp0bond0 went down' carrier 0 2>/dev/null || true
sleep "$QUIET"
act heal
until_true "$PATIENCE" 'the aggregate works again' works
mark works
sleep "$QUIET"

kill "$pinging"
echo 'dashcap is told to stop'
status=0
kill -TERM "$dashcap" && wait "$dashcap" || status=$?
in_router cat /proc/net/bonding/dp0bond0 >/out/bonding.txt 2>/dev/null || true
exit "$status"
