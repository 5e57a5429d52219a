#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# initramfs.sh ROOT KVER INIT OUT MODULE...: make the initramfs OUT of busybox,
# INIT, and these modules of kernel KVER under ROOT with what they depend on.
# Used for dom0 and for guests.
set -eu -o pipefail

root=$1 kver=$2 init=$3 out=$4
shift 4

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"/{bin,dev,proc,sys,mnt/disk,root,"lib/modules/$kver"}
cp "$root/bin/busybox" "$tmp/bin/busybox"
cp "$init" "$tmp/init"
chmod 755 "$tmp/init"

without=()
for section in .BTF .orc_unwind .orc_unwind_ip __mcount_loc .return_sites .retpoline_sites \
    .smp_locks _ftrace_events _ftrace_eval_map __bpf_raw_tp_map; do
    without+=(-R "$section" -R ".rela$section")
done

# modprobe itself says what each one needs, in order of loading; kept in
# /lib/modules/load for those who have no time for a modprobe.
for m in "$@"; do
    modprobe -d "$root" -S "$kver" --show-depends "$m"
done | sed -n "s,^insmod .*\(lib/modules/$kver/[^ ]*\).*,\1,p" | awk '!seen[$0]++' |
    while read -r f; do
        install -D -m 644 "$root/usr/$f" "$tmp/$f"
        # What takes most of the time that ext4 takes to load, and nobody here asks for: types for
        # BPF, a signature, trace points, places to patch, tables for unwinding a stack.
        objcopy --strip-unneeded "${without[@]}" "$tmp/$f"
        echo "/$f" >>"$tmp/lib/modules/load"
    done
cp "$root/usr/lib/modules/$kver"/modules.{builtin,builtin.modinfo,order} "$tmp/lib/modules/$kver/"
depmod -b "$tmp" "$kver"

# The same input gives the same bytes: fixed times, order and owner. Not packed:
# unpacking is slow under emulation, and a second archive can follow only an
# unpacked one (the kernel wants it at a multiple of four bytes).
(
    cd "$tmp"
    find . -exec touch -hd @0 {} +
    find . -print0 | sort -z |
        cpio --quiet -0 -o -H newc -R 0:0 --reproducible
) >"$out"
