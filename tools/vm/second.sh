#!/bin/sh
# The second stage, in the host's own file system as the virtual machine has it: runs the command and ends.
tree=$1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
ln -s /proc/self/fd /dev/fd
for each in stdin:0 stdout:1 stderr:2; do
    ln -s "/proc/self/fd/${each#*:}" "/dev/${each%:*}"
done
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t tmpfs memory /dev/shm
mount -t tmpfs memory /run
export TMPDIR=/run/tmp # this tree may lie below /tmp
mkdir -p "$TMPDIR" /run/netns "/lib/modules/$(uname -r)" /run/exchange
mount --bind "$tree/.venv/vm/lib/modules/$(uname -r)" "/lib/modules/$(uname -r)"
mount -t 9p -o trans=virtio,version=9p2000.L exchange /run/exchange
hostname vm
ip link set lo up
modprobe -a ppp_generic l2tp_ppp tun
cd "$tree" || exit
stty raw -echo </dev/console
setsid sh /run/exchange/command </dev/null >/dev/console 2>&1
echo $? >/run/exchange/status
sync
echo b >/proc/sysrq-trigger
sleep 60
