# Runs as a service inside the system that service-test.sh boots; tells what it saw in /out.
# Sourced by nothing: systemd starts it as root.
exec >/out/story 2>&1
set -euo pipefail
told() { journalctl --sync; journalctl -o cat -u dashcap --no-pager; }
ended() {
  local status=$?
  told >/out/journal || true
  systemctl status dashcap --no-pager >/out/status-at-the-end 2>&1 || true
  echo "$status" >/out/status
}
trap ended EXIT
property() { systemctl show dashcap -p "$1" --value; }
is() { # WHAT FOUND WANTED
  [ "$2" = "$3" ] || { echo "FAILED: $1 is $2, not $3"; return 1; }
  echo "ok: $1 is $2"
}
until_true() { # WHAT COMMAND...
  local deadline=$((SECONDS + 60)) what=$1
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "FAILED: never: $what"; return 1; }
    sleep 0.1
  done
  echo "ok: $what"
}
restarted() { [ "$(property NRestarts)" = "$1" ] && [ "$(property ActiveState)" = active ]; }
says() { told | grep -q -- "$1"; }
# A bundle has no number of the status behind it yet: its directory appears whole.
bundle_there() { compgen -G '/var/lib/dashcap/*/manifest.json' >/dev/null; }

ip link set lo up
ip link add eth0 type veth peer name far0
ip link set eth0 up
ip link set far0 up

# The unit as it is, but for a watchdog that bites while one watches.
mkdir -p /etc/systemd/system/dashcap.service.d
printf '[Service]\nWatchdogSec=4s\n' >/etc/systemd/system/dashcap.service.d/test.conf
systemctl daemon-reload
systemctl start dashcap
is 'after start, ActiveState' "$(property ActiveState)" active
process=$(property MainPID)
says 'recording eth0' || says 'recording eth0, far0' || { told; exit 1; }
echo 'ok: frames were recorded when it said that it is ready'
grep -q "^Uid:[[:space:]]$(id -u dashcap)[[:space:]]" "/proc/$process/status"
echo 'ok: it runs as dashcap'
# Bit 13 (linux/capability.h): CAP_NET_RAW. It may have given up more by itself.
bounds=$(sed -n 's/^CapBnd:[[:space:]]*//p' "/proc/$process/status")
is 'the bound of its capabilities' "$bounds" 0000000000002000
is 'descriptors of the kernel log it was given' "$(find "/proc/$process/fd" -lname /dev/kmsg | wc -l)" 4
is 'TasksMax' "$(property TasksMax)" 2048
most=$(property MemoryMax) machine=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024))
[ "$most" != infinity ] && [ "$most" -lt "$machine" ] || { echo "FAILED: MemoryMax is $most of $machine"; exit 1; }
echo "ok: MemoryMax is $((most * 100 / machine)) % of the machine's"
until_true 'its status is told' eval '[[ $(property StatusText) == *frames/s* ]]'
systemctl status dashcap --no-pager | sed -n '/Active:/p; /Status:/p'

fed=$(property WatchdogTimestampMonotonic)
sleep 10 # two and a half times what the watchdog waits
[ "$(property WatchdogTimestampMonotonic)" -gt "$fed" ]
is 'the process, after ten seconds under a watchdog of four,' "$(property MainPID)" "$process"

/opt/bin/dashcap status >/dev/null
/opt/bin/dashcap snapshot --reason story --post 1s --wait
bundle_there
grep -q '>\[' /var/lib/dashcap/*/system/kernel-log.txt
echo 'ok: its bundle has the kernel log'
is 'mode and owner of the directory of incidents' "$(stat -c '%a %U %G' /var/lib/dashcap)" '750 dashcap dashcap'

[[ $(journalctl -q -u dashcap -p warning -o cat) == *'snapshot asked for by uid 0'* ]]
is 'lines of no weight that journalctl -p warning shows' "$(journalctl -q -u dashcap -p warning -o cat | grep -c INFO || true)" 0

echo 'post = "3s"' >>/etc/dashcap/dashcap.toml
systemctl reload dashcap
until_true 'a change of the configuration was taken up' says 'read again, changed: .*post'
until_true 'and it is ready again' eval '[ "$(property ActiveState)" = active ]'

systemctl restart dashcap.service dashcap.socket # as an upgrade of the package does
process=$(property MainPID)
is 'restarted, descriptors of the kernel log' "$(find "/proc/$process/fd" -lname /dev/kmsg | wc -l)" 4
kill -KILL "$process"
until_true 'killed, it is restarted' restarted 1
process=$(property MainPID)
kill -STOP "$process"
until_true 'standing still, it is restarted by the watchdog' restarted 2
systemctl stop dashcap
is 'after stop, Result' "$(property Result)" success
is 'after stop, its exit status' "$(property ExecMainStatus)" 0
echo 'dashcap: a line for nobody' >/dev/kmsg
sleep 1 # a socket that listened would have started it
is 'after a line of the kernel, ActiveState' "$(property ActiveState)" inactive
is 'and the socket' "$(systemctl is-active dashcap.socket || true)" inactive

echo 'pots = "3s"' >>/etc/dashcap/dashcap.toml
# The kernel has something to say all the time.
for _ in {1..30}; do echo 'dashcap: a line for nobody' >/dev/kmsg; sleep 0.1; done &
systemctl start dashcap && { echo 'FAILED: it started with a bad configuration'; exit 1; }
tried=$(property InvocationID)
wait # longer than a restart waits
is 'with a bad configuration, the last start' "$(property InvocationID)" "$tried"
is 'with a bad configuration, restarts' "$(property NRestarts)" 0
is 'with a bad configuration, its exit status' "$(property ExecMainStatus)" 2
says 'pots' || { told; exit 1; }
systemctl reset-failed dashcap
