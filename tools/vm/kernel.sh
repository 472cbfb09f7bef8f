#!/bin/sh
# Unpacks Debian's own kernel, its modules and a small initramfs into .venv/vm: quick when they are there.
#
# The laboratory runs on whatever kernel the machine has, and not every kernel has PPP or ESP. Nothing is installed: no
# package's script runs, no boot loader learns of it.
set -eu
cd "$(dirname "$0")/../.."
PATH="$PATH:/usr/sbin:/sbin"

fail() {
    echo "vm: $*" >&2
    exit 1
}

# As other users than apt's own: it cannot enter every directory.
download() {
    apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$@" 2>/dev/null
}

command -v qemu-system-x86_64 >/dev/null 2>&1 || fail "there is no qemu-system-x86_64; apt-get install qemu-system-x86"
command -v apt-get >/dev/null 2>&1 || fail "there is no apt-get here, and the kernel comes from Debian's mirror"
there=$(pwd)/.venv/vm
[ ! "$there/initramfs" -nt tools/vm/first.sh ] || exit 0
rm -rf "$there.new"
mkdir -p "$there.new"
cd "$there.new"
image=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\).*/\1/p' | head -n 1)
[ -n "$image" ] || fail "apt knows no linux-image-amd64; only amd64 has one"
echo "vm: unpacking $image"
download "$image" busybox-static || fail "could not download $image and busybox-static from Debian's mirror"
for package in ./*.deb; do
    dpkg-deb -x "$package" .
    rm "$package"
done
mv boot/vmlinuz-* kernel
version=$(ls lib/modules)
depmod -b . "$version"

# What the initramfs needs to find its root: the modules in the order in which they are loaded.
mkdir -p initramfs.d/bin
cp bin/busybox initramfs.d/bin
cp ../../tools/vm/first.sh initramfs.d/init
chmod 755 initramfs.d/init
for module in virtio_pci 9pnet_virtio 9p overlay; do
    modprobe -d . -S "$version" --show-depends "$module"
done | awk '!seen[$2]++ { print $2 }' | while read -r path; do
    cp "$path" initramfs.d/
    basename "$path"
done >modules
mv modules initramfs.d/
(cd initramfs.d && find . | ../bin/busybox cpio -o -H newc 2>/dev/null) >initramfs.new
rm -rf initramfs.d boot usr bin
mv initramfs.new initramfs
cd ..
rm -rf vm
mv vm.new vm
