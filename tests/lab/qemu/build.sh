#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# build.sh OUTDIR: the emulator of the lab: Debian's QEMU with our patches to its
# SVM (README.md says why), only what the lab needs of it, as
#   OUTDIR/bin/qemu-system-x86_64
#   OUTDIR/version                 the source it was made from
# Five and a half minutes of one core: three on two idle ones.
set -eu -o pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/lab/apt.sh
. "$LAB_DIR/apt.sh"

out=$1
here=$LAB_DIR/qemu
# Firmware comes from the packages that hold it for Debian's own QEMU.
firmware=/usr/share/seabios:/usr/share/qemu:/usr/lib/ipxe/qemu

work=$out/work
mkdir -p "$work/fetch"
apt_source "$work/fetch" qemu
dpkg-source --extract "$work"/fetch/qemu_*.dsc "$work/qemu" >"$out/log" 2>&1 ||
    { cat "$out/log" >&2; exit 1; }
for p in "$here"/*.patch; do
    if ! patch -d "$work/qemu" -p1 -s -F0 --no-backup-if-mismatch <"$p"; then
        say "${p##*/} does not apply to QEMU $(cat "$work/fetch/qemu.version")"
        exit 1
    fi
done
cp "$here/devices.mak" "$work/qemu/configs/devices/x86_64-softmmu/lab.mak"

mkdir "$work/build"
(
    unset MAKEFLAGS MFLAGS MAKELEVEL CFLAGS CXXFLAGS LDFLAGS
    cd "$work/build"
    ../qemu/configure --prefix="$out" --firmwarepath="$firmware" \
        --target-list=x86_64-softmmu --with-devices-x86_64=lab \
        --without-default-features --without-default-devices \
        --enable-tcg --enable-virtfs --enable-attr --enable-cap-ng \
        --enable-fdt=system --meson=/usr/bin/meson --disable-debug-info \
        --disable-docs --disable-tools \
        --disable-pie --disable-stack-protector --disable-qom-cast-debug \
        --extra-cflags=-O3 --extra-ldflags=-no-pie
    ninja -j"$(nproc)" qemu-system-x86_64
) >"$out/log" 2>&1 || { grep -E 'ERROR|error:|FAILED' "$out/log" | tail -n 30 >&2; exit 1; }

install -D -m 755 -s "$work/build/qemu-system-x86_64" "$out/bin/qemu-system-x86_64"
mv "$work/fetch/qemu.version" "$out/version"
rm -rf --one-file-system "$work"
