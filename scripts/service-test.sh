#!/usr/bin/env bash
# dashcap under systemd itself: a throw-away system, booted by systemd-nspawn with this machine's /usr, in
# which `dashcap install` put the service. It is started, looked at, reloaded, killed, stopped until its
# watchdog bites, given a bad configuration. The system has no network but a cable between its own ends.
# Needs root. What happened is told; its journal stays in target/service.
#
#   scripts/service-test.sh [PROGRAM]      default: the debug build
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need systemd-nspawn:systemd-container systemctl:systemd strip:binutils
[ "$(id -u)" = 0 ] || { echo 'skipped: booting a container needs root' >&2; exit 0; }

program=${1-}
if [ -z "$program" ]; then
  cargo build --locked --quiet
  program=${CARGO_TARGET_DIR:-target}/debug/dashcap
fi
# Longer than it takes on a busy machine.
limit=200
results=$PWD/target/service
system=$(mktemp -d)
chmod 755 "$system" # it is a root that everybody passes
trap 'rm -rf --one-file-system "$system"' EXIT

mkdir -p "$system"/{dev,etc/systemd/system/multi-user.target.wants,opt,out,proc,root,run,sys,tmp,usr,var/lib,var/log/journal}
for directory in bin sbin lib lib64; do ln -s "usr/$directory" "$system/$directory"; done
cp /etc/os-release "$system/etc/"
: >"$system/etc/machine-id"
echo 'root:x:0:0:root:/root:/bin/bash' >"$system/etc/passwd"
echo 'root:x:0:' >"$system/etc/group"

strip -o "$system/dashcap" "$program"
"$system/dashcap" install --root "$system" --prefix /opt >"$system/out/installed"
rm "$system/dashcap"
cp scripts/service/story.sh "$system/out/"
cat >"$system/etc/systemd/system/story.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /out/story.sh
ExecStopPost=/bin/systemctl --no-block poweroff
StandardOutput=journal+console
UNIT
ln -s ../story.service "$system/etc/systemd/system/multi-user.target.wants/story.service"

# Where no systemd runs there is nobody to register with.
alone=()
[ -d /run/systemd/system ] || alone=(--register=no --keep-unit)
# The second hierarchy of control groups tells systemd when a service is empty, the first does not in here.
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout "$limit" systemd-nspawn "${alone[@]}" --quiet --directory="$system" --bind-ro=/usr --private-network \
  --link-journal=no --capability=CAP_NET_ADMIN,CAP_NET_RAW,CAP_SYSLOG --bind-ro=/dev/kmsg --console=read-only --boot \
  </dev/null >"$system/out/console" 2>&1 || true
rm -rf "$results"
cp -r "$system/out" "$results"
if [ "$(cat "$results/status" 2>/dev/null)" != 0 ]; then
  tail -30 "$results/console" "$results/journal" "$results/story" 2>/dev/null || true
  echo 'FAILED: dashcap under systemd'
  exit 1
fi
cat "$results/story"
