#!/usr/bin/env bash
# A fleet, shown on a real kernel: three routers in network namespaces, a real nats-server with TLS and permissions, a
# link that dies in one direction. One command shows what each kept, one more says where frames were lost, which way, and
# since when. Touches no interface of this machine.
#
#   scripts/fleet-demo.sh [DIRECTORY]      where bundles and logs appear (default: target/fleet-demo)
#
# DASHCAP is the program (default: one that is built in the least time). Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need nats-server:nats-server openssl:openssl nft:nftables
[ "$(id -u)" = 0 ] || { echo 'network namespaces need root: sudo scripts/fleet-demo.sh' >&2; exit 1; }
if [ -z "${DASHCAP-}" ]; then
  cargo build --locked --quiet --bin dashcap --no-default-features --features fleet --profile quick
  DASHCAP=${CARGO_TARGET_DIR:-target}/quick/dashcap
fi
place=${1:-target/fleet-demo}
rm -rf "$place"
mkdir -p "$place"
place=$(realpath "$place")
DASHCAP=$(realpath "$DASHCAP")
. scripts/spaces.sh

# a ── cable-ab ── b ── cable-bc ── c, and each to the bus, where the server is 10.9.0.1.
pair() { # SPACE INTERFACE SPACE INTERFACE
  ip link add "$2" netns "$(named "$1")" type veth peer name "$4" netns "$(named "$3")"
  ip -n "$(named "$1")" link set "$2" up
  ip -n "$(named "$3")" link set "$4" up
}
for name in a b c bus ab bc; do space "$name"; done
ip -n "$(named bus)" link add br0 type bridge
ip -n "$(named bus)" addr add 10.9.0.1/24 dev br0
ip -n "$(named bus)" link set br0 up
number=10
for name in a b c; do
  number=$((number + 1))
  pair "$name" bus0 bus "to-$name"
  ip -n "$(named bus)" link set "to-$name" master br0
  ip -n "$(named "$name")" addr add "10.9.0.$number/24" dev bus0
done
# A cable is a bridge of its own: what dies in it was sent, and recorded, by the one end.
cable() { # LEFT RIGHT NETWORK
  local left=$1 right=$2
  pair "$left" "dp-$right" "$left$right" left
  pair "$right" "dp-$left" "$left$right" right
  ip -n "$(named "$left$right")" link add br0 type bridge
  ip -n "$(named "$left$right")" link set br0 up
  ip -n "$(named "$left$right")" link set left master br0
  ip -n "$(named "$left$right")" link set right master br0
  ip -n "$(named "$left")" addr add "$3.1/24" dev "dp-$right"
  ip -n "$(named "$right")" addr add "$3.2/24" dev "dp-$left"
}
cable a b 10.1.0
cable b c 10.2.0

cd "$place"
key='req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'
openssl $key -subj /CN=authority -keyout ca.key -out ca.pem 2>/dev/null
openssl $key -subj /CN=bus -CA ca.pem -CAkey ca.key -addext subjectAltName=IP:10.9.0.1 \
  -addext basicConstraints=critical,CA:FALSE -keyout server.key -out server.pem 2>/dev/null
openssl rand -hex 16 >password
fleet() { # NAME: [fleet] for it
  printf '[fleet]\nname = "demo"\nservers = ["tls://10.9.0.1:4222"]\nca_file = "%s"\npassword_file = "%s"\nhost = "%s"\nuser = "%s"\n' \
    "$place/ca.pem" "$place/password" "$1" "$1"
  printf 'groups = ["routers"]\n'
}
fleet noc >noc.toml
{
  printf 'host: 10.9.0.1\nport: 4222\ntls { cert_file: "%s", key_file: "%s" }\n' "$place/server.pem" "$place/server.key"
  "$DASHCAP" fleet init --as noc -c noc.toml --host a --host b --host c --person noc |
    sed "s|\"PASSWORD\"|\"$(cat password)\"|; s|jetstream {}|jetstream { store_dir: \"$place/store\" }|"
} >nats.conf
ip netns exec "$(named bus)" nats-server -c nats.conf >nats.log 2>&1 &
ask() { in_ bus "$DASHCAP" fleet --as noc -c "$place/noc.toml" "$@"; }
until ask init 2>/dev/null; do sleep 0.2; done

record() { # NAME PEER: records NAME, asks whether PEER is there
  {
    fleet "$1" | sed '1i pre = "20s"\npost = "3s"'
    printf '[[trigger]]\nkind = "probe-lost"\nfleet = { to = ["group:routers"] }\n'
  } >"$1.toml"
  # One machine: each has a host name of its own.
  ip netns exec "$(named "$1")" unshare --uts sh -c 'printf %s "$0" >/proc/sys/kernel/hostname && exec "$@"' "$1" "$DASHCAP" run -c "$1.toml" --memory 32MiB --kernel-memory 8MiB --log off --control "$place/$1.sock" \
    --probe "$2" --probe-interval 200ms --probe-timeout 200ms -i "dp-$3" --output "$place/$1" >"$1.log" 2>&1 &
  }
record a 10.1.0.2 b
record b 10.1.0.1 a
record c 10.2.0.1 b
for name in a b c; do until grep -q 'connected to fleet' "$name.log"; do sleep 0.2; done; done
ip netns exec "$(named b)" ping -q -i 0.05 10.2.0.2 >/dev/null &
ip netns exec "$(named a)" ping -q -i 0.05 10.1.0.2 >/dev/null &
sleep 8
printf '\n== who is there\n'
ask

printf '\n== from a to b nothing arrives any more; from b to a all does\n'
in_ ab nft 'add table netdev lost; add chain netdev lost in { type filter hook ingress device left priority 0; policy drop; }'
whole() { find "$place/$1" -mindepth 2 -maxdepth 2 -name manifest.json -not -path '*.partial/*' 2>/dev/null | grep -q .; }
for name in a b c; do until whole "$name"; do sleep 0.5; done; done
printf '\n== dashcap fleet incidents\n'
ask incidents
bundles=()
for name in a b c; do bundles+=("$(find "$place/$name" -mindepth 1 -maxdepth 1 -type d -name '*Z_*' | sort | head -1)"); done
printf '\n== dashcap fleet report, over the three bundles\n'
"$DASHCAP" fleet report "${bundles[@]}"
