#!/bin/busybox sh
# The first process of the virtual machine, from its initramfs: the host's file system read-only, and everything that is
# written in memory above it.
/bin/busybox mkdir -p /proc /sys /dev /below /above /root
/bin/busybox --install -s /bin
mount -t proc proc /proc
while read -r module; do
    insmod "/$module"
done </modules
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /below
mount -t tmpfs -o size=75% memory /above
mkdir /above/upper /above/work
mount -t overlay -o lowerdir=/below,upperdir=/above/upper,workdir=/above/work root /root
tree=$(sed -n 's/.*vm_tree=\([^ ]*\).*/\1/p' /proc/cmdline)
umount /proc
exec switch_root /root /bin/sh "$tree/tools/vm/second.sh" "$tree"
