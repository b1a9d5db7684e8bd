#!/usr/bin/env bash
# Gathers what the fuzzers begin with, mostly from tests/data and docs, into fuzz/corpus/TARGET. Nothing
# that is there already is touched: fuzzers keep there what they found.
#
#   fuzz/seed.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need editcap:wireshark-common zstd:zstd gzip:gzip

corpus=fuzz/corpus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Keeps standard input as a seed, under a name made of its content.
keep() { # TARGET
  local name
  mkdir -p "$corpus/$1"
  cat >"$work/seed"
  name=seed-$(sha256sum "$work/seed")
  cp "$work/seed" "$corpus/$1/${name:0:21}"
}
each_line() { # TARGET < LINES
  local line
  while IFS= read -r line; do printf '%s\n' "$line" | keep "$1"; done
}

# Each frame of a capture in a classic file of its own: behind 24 bytes of the file's header, whose 21st
# is the link type, and 16 of the record's. At most so many of a file: its frames are much alike.
FRAMES=40
split() { # FILE
  rm -f "$work"/frame*
  editcap -F pcap -r "$1" "$work/some.pcap" "1-$FRAMES" 2>/dev/null || return 0
  editcap -F pcap -c 1 "$work/some.pcap" "$work/frame.pcap" 2>/dev/null || return 0
  find "$work" -name 'frame*' -size +0 | sort
}
bytes() { tail -c "+$(($2 + 1))" "$1"; } # FILE FROM

for file in tests/data/{control,protocols,capture-files}/*.pcap*; do
  keep capture_file <"$file"
  gzip -c "$file" | keep capture_file
  zstd -qc "$file" | keep capture_file
  keep conversation <"$file"
  # A byte that says in which format it is written, or how many frames are kept.
  for byte in '\0' '\1' '\2'; do
    { printf "$byte"; cat "$file"; } | keep cut
    { printf "$byte"; cat "$file"; } | keep thin
  done
  split "$file" | while read -r frame; do
    { head -c 21 "$frame" | tail -c 1; bytes "$frame" 40; } | keep frame
  done
done

# A step of one second, and the PDU behind 14 bytes of Ethernet.
split tests/data/control/tcpdump-LACP.pcap | while read -r frame; do
  printf '\2'; bytes "$frame" 54 | head -c 110
done | keep lacp

# nlmon puts 16 bytes before each message.
for file in tests/data/netlink/*.pcap; do
  split "$file" | while read -r frame; do bytes "$frame" 56 | keep netlink; done
  split "$file" | while read -r frame; do bytes "$frame" 56; done | keep netlink
done
# RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWNEIGH (linux/rtnetlink.h) of 10.0.0.2/24, 10.0.0.1 on interface 2.
{
  printf '\x28\0\0\0\x14\0\0\0\0\0\0\0\0\0\0\0\x02\x18\x80\0\x02\0\0\0'
  printf '\x08\0\x01\0\x0a\0\0\x02\x08\0\x02\0\x0a\0\0\x02'
  printf '\x2c\0\0\0\x18\0\0\x04\0\0\0\0\0\0\0\0\x02\0\0\0\xfe\x03\0\x01\0\0\0\0'
  printf '\x08\0\x05\0\x0a\0\0\x01\x08\0\x04\0\x02\0\0\0'
  printf '\x30\0\0\0\x1c\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x02\0\0\0\x02\0\0\x01'
  printf '\x08\0\x01\0\x0a\0\0\x01\x0a\0\x02\0\x02\0\0\0\0\x09\0\0'
} | keep netlink

for file in tests/data/netlink/bonding-*.txt; do keep host_text <"$file"; done

# Changes of the file's head and of its first page: where, and to what.
printf '\1\10\0\0\0\1\0\20\0\0\377\20\20\0\0\2' | keep ring_recovery
printf '\1\0\0\1\0\3\4\0\1\0\0' | keep ring_recovery

# What asks for a hook and for collectors that the runner was not told of.
story='"story":{"incident":"x_link-down_eth0","trigger":"link-down","object":"eth0","sentence":"eth0: DOWN","time":"2026-11-22T14:14:20.811089123Z","bundle":"../x"}'
each_line runner <<LINES
{"ask":"hook","id":7,"name":"copy",$story}
{"ask":"collect","id":8,$story}
{"ask":"roster","hooks":[{"name":"copy","command":["/bin/true"]}],"collect":"/etc","output":"/"}
LINES

# A byte that says where it is cut, then a stream (RFC 3164, 5424, 6587).
{
  printf '\x80<30>Nov 22 14:14:20 r1 vrrp[812]: Entering FAULT STATE\n'
  printf '<30>1 2026-11-22T14:14:20.811Z r1 vrrp 812 - [id@1 k="v"] NSM Interface is Down\n'
} | keep syslog
printf '\x40%s' '61 <30>1 2026-11-22T14:14:20Z r1 vrrp - - - Entering FAULT STATE6 <13>ab' | keep syslog
printf '\x20%s' '<189>29: r1: *Feb 29 00:00:00.123 UTC: %LINK-3-UPDOWN: Interface Gi0/1, down' | keep syslog

each_line log_line <<'LINES'
6,1234,5678901,-,caller=T1;bond0: (slave eth0): link status definitely down
{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1","MESSAGE":"down","PRIORITY":"3","_PID":"1","SYSLOG_IDENTIFIER":"x"}
{"__CURSOR":"s","MESSAGE":[104,255,105],"_HOSTNAME":["a","b"],"_TRANSPORT":"kernel"}
LINES

# A byte that says of whom, then the answer: ping(8)'s, a DNS header with its question, HTTP.
printf '\0E\0\0\x24\0\0\0\0\x40\x01\0\0\x0a\0\0\x01\x0a\0\0\x02\0\0\xff\xfe\0\0\0\x01\0\0\0\0\0\0\0\0' | keep probe
printf '\1\x81\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0' | keep probe
printf '\2\0\1\x81\x80\0\1\0\0\0\0\0\0\7example\3org\0\0\1\0\1' | keep probe
printf '\3HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n' | keep probe

each_line webhook <<'LINES'
{"reason":"disk is full","pre":"90s","post":1.5}
{"version":"4","status":"firing","groupLabels":{"alertname":"BgpDown"},"truncatedAlerts":1,"alerts":[{"status":"firing","labels":{"severity":"critical","instance":"leaf1"},"annotations":{"summary":"gone"}},{"status":"resolved"}]}
{"status":"resolved","alerts":[],"commonLabels":{"alertname":"x"},"commonAnnotations":{"description":"y"}}
LINES

grep -ho '{"v":1,.*}' docs/control.md | each_line control
each_line control <<'LINES'
{"v":1,"command":"snapshot","reason":"x","pre":"90s","post":1.5,"wait":true}
{"v":1,"command":"events","follow":true}
{"v":1,"answer":"fate","fate":"written","path":"/x","frames":1,"bytes":2}
{"v":1,"answer":"missed","count":7}
LINES

# The example with every key in force, and each key alone. Filters are left out, as the target does.
sed -n 's/^#\{0,1\}\([a-z_]* = .*\|\[\[.*\]\]\)$/\1/p' docs/dashcap.toml | grep -v filter >"$work/example"
keep configuration <"$work/example"
each_line configuration <"$work/example"
printf '[[trigger]]\nkind = "link-down"\ninterface = "eth*"\npre = "90s"\n' | keep configuration
sed -n 's/^\([a-z_]*\) = .*/"\1 = "/p' "$work/example" | sort -u >"$corpus/configuration.dict"

sed -n '/^const EVENTS: &str = r#"/,/^"#;/p' src/recorder/replay/host/tests.rs |
  sed 's/^const EVENTS: &str = r#"//; /^"#;$/d' >"$work/events"
keep host_events <"$work/events"
each_line host_events <"$work/events"
keep host_events <<'TABLE'
date,if,carr,state,age,chngs,ping 192.0.2.1
2026-11-22T14:14:10Z,eth0,1,up,5.0,3,0.412
2026-11-22T14:14:20Z,eth0,0,down,2.5,4,lost
2026-11-22 14:14:30,eth0,,gone,0,5,
TABLE
