#!/usr/bin/env bash
# Runs in a virtual machine (see boot.sh): a host whose clock is wrong and runs at a speed of its own records the
# cable to another machine. Whoever holds the other end of its serial line asks it for the time, and tells it
# what to do; each command is one letter, each answer one line.
#
#   clocks.sh ADDRESS OTHER AHEAD TICK
#
#   AHEAD    seconds by which the clock is set ahead before anything is recorded
#   TICK     microseconds that the clock goes on by each 10 ms (adjtimex(2)); 10002 is 200 ppm fast
#
#   t        what the clock shows
#   s        set the clock 5 s ahead
#   q        keep what was recorded, and end
set -euo pipefail
address=$1 other=$2 ahead=$3 tick=$4

modprobe virtio_net
for _ in {1..100}; do [ ! -e /sys/class/net/eth0 ] || break; sleep 0.1; done
date -s "@$(($(date +%s) + ahead))" >/dev/null
adjtimex -t "$tick" >/dev/null
ip link set eth0 up
ip addr add "$address/24" dev eth0
hostname "host-$address"
# The other machine may boot later.
until ping -c 1 -W 1 "$other" >/dev/null 2>&1; do :; done

mkdir /out/bundles
./dashcap run -i eth0 --memory 32MiB --kernel-memory 8MiB --pre 10m --post 1s --control off --output /out/bundles \
  >/out/dashcap.log 2>&1 &
recorder=$!
until grep -q 'armed: ' /out/dashcap.log; do sleep 0.1; done
# Each asks the other, so that frames go both ways.
ping -i 0.05 "$other" >/dev/null &
pinging=$!

exec 3<>/dev/ttyS1
stty -F /dev/ttyS1 115200 raw -echo
echo ready >&3
while read -r -n 1 -u 3 command; do
  case $command in
    t) echo "$EPOCHREALTIME" >&3 ;;
    s) date -s "@$(($(date +%s) + 5))" >/dev/null; echo set >&3 ;;
    q) break ;;
  esac
done
kill -USR1 "$recorder"
until compgen -G '/out/bundles/*Z_*/manifest.json' >/dev/null; do sleep 0.2; done
kill "$pinging"
kill -INT "$recorder"
wait "$recorder"
