#!/bin/busybox sh
# The first process of the virtual machine (see boot.sh): mounts what programs expect, runs the command,
# puts /out on the disk, switches off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp TERM=dumb LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
ln -s /proc/self/fd /dev/fd
mkdir -p /var
ln -s /run /var/run
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -t tmpfs -o size=200m out /out
exec </dev/console >/dev/console 2>&1
ip link set lo up
hostname router
modprobe -a virtio_pci virtio_blk
cd /payload || poweroff -f
setsid bash /command </dev/null
echo $? >/out/.status
tar -C /out -cf /dev/vda .
sync
poweroff -f
