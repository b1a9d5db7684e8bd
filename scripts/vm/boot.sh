#!/usr/bin/env bash
# Runs one command in a throw-away virtual machine with Debian's kernel, which has bonding, team, 8021q,
# veth and tc where a container's kernel may have none. QEMU emulates the processor, so it works without
# KVM; no network card unless asked for, and no disk but the one that brings
# the results back. It boots in 5 s.
#
#   scripts/vm/boot.sh [--warp] [--limit SECONDS] [--cable FROM TO] [--line SOCKET] PAYLOAD OUT COMMAND [ARGUMENT...]
#
#   --warp    the guest's clock skips what it would sleep: for minutes of timers
#   --limit   of real time, then the machine is switched off (default 400)
#   --cable   a network card; its frames go from the Unix socket FROM to TO, and another machine has them the other way
#   --line    a second serial line, /dev/ttyS1; who connects to the Unix socket SOCKET has the other end
#   PAYLOAD   directory that becomes /payload, where COMMAND runs; libraries of its programs are added
#   OUT       directory for what COMMAND leaves in /out, and console.log
#
# Exit status: COMMAND's; 124 when the limit was reached; 125 when there was no machine.
# Everything that is downloaded or built stays in target/vm.
set -euo pipefail

warp='' limit=400 cable=(-nic none) line=()
while [[ ${1-} == --* ]]; do
  case $1 in
    --warp) warp=1; shift ;;
    --limit) limit=$2; shift 2 ;;
    --cable)
      cable=(-netdev "dgram,id=cable,local.type=unix,local.path=$2,remote.type=unix,remote.path=$3"
        -device "virtio-net-pci,netdev=cable,mac=02:00:00:00:$(printf %s "$2" | sha256sum | sed 's/^\(..\)\(..\).*/\1:\2/')")
      shift 3
      ;;
    --line) line=(-serial "unix:$2,server=on,wait=off"); shift 2 ;;
    *) echo "unknown option $1; accepted: --warp, --limit SECONDS, --cable FROM TO, --line SOCKET" >&2; exit 125 ;;
  esac
done
payload=$(realpath "$1") out=$(realpath -m "$2")
shift 2
cd "$(dirname "$0")/../.."

cache=$PWD/target/vm
guest_programs=(bash ip tc tcpdump teamd teamdctl)
# Folders and files below kernel/ of the modules; what they depend on is added.
guest_modules='net/8021q/ net/sched/ net/packet/ drivers/net/bonding/ drivers/net/team/ drivers/net/veth.ko
  drivers/virtio/ drivers/block/virtio_blk.ko drivers/net/virtio_net.ko'

die() { echo "scripts/vm/boot.sh: $*" >&2; exit 125; }
tmp=$(mktemp -d)
machine=''
ended() {
  # timeout(1) hands it on.
  [ -z "$machine" ] || kill "$machine" 2>/dev/null || true
  rm -rf "$tmp"
}
trap ended EXIT
trap 'exit 143' TERM INT HUP

# Downloads PACKAGE from Debian and unpacks it, once; prints where.
unpacked() {
  local have
  have=$(compgen -G "$cache/deb/$1_*" | tail -1 || true)
  if [ -z "$have" ]; then
    mkdir -p "$tmp/deb" "$cache/deb"
    (cd "$tmp/deb" && { apt-get download -qq "$1" || { apt-get update -qq && apt-get download -qq "$1"; }; }) \
      >&2 2>"$tmp/apt" || { cat "$tmp/apt" >&2; die "cannot download $1"; }
    local package
    package=$(compgen -G "$tmp/deb/$1_*.deb")
    have=$cache/deb/$(basename "$package" .deb)
    dpkg-deb -x "$package" "$have.new" && mv "$have.new" "$have"
  fi
  echo "$have"
}

# Copies programs and their libraries into the tree $1, under their own paths.
add_programs() {
  local root=$1 program file
  shift
  for program in "$@"; do
    for file in $program $(ldd "$program" 2>/dev/null | grep -o '/[^ ]*' || true); do
      [ -e "$root$file" ] || { mkdir -p "$root${file%/*}"; cp -L "$file" "$root$file"; }
    done
  done
}

packed() { (cd "$1" && find . | "$busybox" cpio -o -H newc 2>/dev/null); }

# The part of the memory disk that is always the same.
build_base() {
  local root=$tmp/base modules=$image/lib/modules/$version program
  mkdir -p "$root"/{bin,sbin,proc,sys,dev,run,tmp,out,payload,etc/modprobe.d,lib/modules/"$version"}
  cp "$busybox" "$root/bin/busybox"
  for program in "${guest_programs[@]}"; do add_programs "$root" "$(command -v "$program")"; done
  for program in $("$busybox" --list); do
    [ -e "$root/bin/$program" ] || ln -s busybox "$root/bin/$program"
  done
  [ -e "$root/bin/bash" ] || ln -s "$(command -v bash)" "$root/bin/bash"
  ln -s /bin/busybox "$root/sbin/modprobe"
  ln -s /bin/busybox "$root/usr/bin/env"
  echo 'options bonding max_bonds=0' >"$root/etc/modprobe.d/bonding.conf"
  [ -e "$modules/modules.dep" ] || "$busybox" depmod -b "$image" "$version"
  awk -v wanted="$guest_modules" '
    BEGIN { count = split(wanted, want, " ") }
    {
      file = $1; sub(/:$/, "", file); line[file] = $0
      for (i = 1; i <= count; i++) if (index(file, "kernel/" want[i]) == 1) needed[file] = 1
    }
    END {
      for (file in needed) {
        parts = split(line[file], part, /:? +|:$/)
        for (i = 1; i <= parts; i++) if (part[i] != "") print part[i]
      }
    }' "$modules/modules.dep" | sort -u >"$tmp/modules"
  tar -C "$modules" -cf - -T "$tmp/modules" | tar -C "$root/lib/modules/$version" -xf -
  cp "$modules/modules.builtin" "$modules/modules.order" "$root/lib/modules/$version/"
  # With its aliases the kernel asks for modules by itself: `ip link add type bond` just works.
  "$busybox" depmod -b "$root" "$version"
  cp scripts/vm/init.sh "$root/init"
  packed "$root" >"$base.new" && mv "$base.new" "$base"
}

. scripts/setup.sh
need qemu-system-x86_64:qemu-system-x86 tc:iproute2 teamd:libteam-utils tcpdump:tcpdump
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9 # two runs at once prepare once
busybox=$(unpacked busybox-static)/bin/busybox
kernel_package() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -1; }
[ -e "$cache/kernel" ] || {
  package=$(kernel_package)
  [ -n "$package" ] || { apt-get update -qq; package=$(kernel_package); }
  [ -n "$package" ] || die 'Debian has no linux-image-cloud-amd64 here'
  echo "$package" >"$cache/kernel"
}
image=$(unpacked "$(<"$cache/kernel")")
version=$(basename "$image"/lib/modules/*)
base=$cache/base-$version-$(cat scripts/vm/boot.sh scripts/vm/init.sh | sha256sum | cut -c 1-12).cpio
[ -e "$base" ] || { rm -f "$cache"/base-*.cpio; build_base; }
flock -u 9

root=$tmp/payload
mkdir -p "$root/payload"
cp -a "$payload/." "$root/payload/"
while IFS= read -r program; do
  [ "$(head -c 4 "$program" | tail -c 3)" != ELF ] || add_programs "$root" "$program"
done < <(find "$root/payload" -type f -perm -u+x)
# The copies under their own paths are not needed, only the libraries beside them.
rm -rf "${root:?}${tmp:?}"
{ printf '%q ' "$@"; echo; } >"$root/command"
{ cat "$base"; packed "$root"; } >"$tmp/initrd"
truncate -s 256M "$tmp/disk"
mkdir -p "$out"

clock=(-accel 'tcg,thread=multi')
[ -z "$warp" ] || clock=(-accel tcg -icount 'shift=3,sleep=off' -rtc clock=vm)
# no_timer_check: on a busy host the machine stands still at times, and its kernel would blame the timer.
timeout "$limit" qemu-system-x86_64 -M q35 "${clock[@]}" -cpu max -smp 1 -m 768 \
  -nodefaults -no-user-config "${cable[@]}" -display none -no-reboot -serial stdio "${line[@]}" \
  -kernel "$image/boot/vmlinuz-$version" -initrd "$tmp/initrd" \
  -drive "file=$tmp/disk,format=raw,if=virtio,cache=unsafe" \
  -append 'no_timer_check console=ttyS0 panic=-1 reboot=t quiet loglevel=2 mitigations=off nokaslr random.trust_cpu=on' \
  </dev/null >"$out/console.log" 2>&1 &
machine=$!
status=0
wait "$machine" || status=$?
machine=''
[ "$status" != 124 ] || { tail -20 "$out/console.log" >&2; echo "the machine took longer than $limit s" >&2; exit 124; }
status=$(tar -xOf "$tmp/disk" ./.status 2>/dev/null) || { tail -40 "$out/console.log" >&2; die 'the machine died'; }
tar -C "$out" -xmf "$tmp/disk" --exclude ./.status
[ "$status" = 0 ] || tail -20 "$out/console.log" >&2
exit "$status"
