#!/usr/bin/env bash
# Plays failures with real daemons in network namespaces of this machine, while dashcap records with its defaults,
# and judges each bundle as a person on call would: frozen by itself and soon, cause named, onset right, nothing
# false. `quiet-*` are controls: nothing fails, nothing may freeze. Prints a row for each observer; exit status 1 if a
# scene is not right. Needs root; no service of the machine is touched.
#
#   scripts/scenes.sh [-j N] [NAME...]      all of them, or some; names take *
#   scripts/scenes.sh [-j N] --quick        the eight quickest
#   scripts/scenes.sh --list                names, and who observes
#
# DASHCAP is the program (default: the debug build), SCENE_NORMAL and SCENE_AFTER the seconds before and after.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
[ "$(id -u)" = 0 ] || { echo 'skipped: scenes make network namespaces, which needs root' >&2; exit 0; }
need python3:python3 nft:nftables ethtool:ethtool ping:iputils-ping arping:iputils-arping sysctl:procps
need dnsmasq:dnsmasq-base /sbin/dhclient:isc-dhcp-client radvd:radvd keepalived:keepalived /usr/lib/frr/zebra:frr
if [ -z "${DASHCAP-}" ]; then
  cargo build --locked --quiet
  DASHCAP=${CARGO_TARGET_DIR:-$PWD/target}/debug/dashcap
fi
export DASHCAP
exec python3 -B scripts/scenes/run.py "$@"
