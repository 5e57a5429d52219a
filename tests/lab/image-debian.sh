#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# image-debian.sh PACKAGE... OUTDIR: what comes out of Debian's packages, the slow part:
#   root/        the root file system of dom0, before our own files
#   vmlinuz      kernel of dom0 and of guests
#   xen.bin      Debian's own hypervisor, unpacked
set -eu -o pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/apt.sh
. "$LAB_DIR/apt.sh"

packages=("${@:1:$#-1}")
out=${!#}
root=$out/root

# What a lab never touches, and what would take most of the image.
skip=(/usr/share/{doc,man,locale,info,lintian,bug}
    /usr/lib/modules/*/kernel/{sound,drivers/{gpu,media,staging,infiniband}}
    /usr/lib/modules/*/kernel/drivers/{bluetooth,isdn,iio,hid,hwmon,usb,mmc}
    /usr/lib/modules/*/kernel/drivers/net/{wireless,ethernet,can,usb}
    /usr/lib/modules/*/kernel/drivers/scsi/{lpfc,qla2xxx,mpt3sas,bfa,aacraid})

apt_lines deb >"$out/sources.list"
apt_acquire >"$out/apt.conf"
[ -s "$out/sources.list" ] || die "apt knows no archive of Debian: run apt-get update"

dpkgopts=()
for s in "${skip[@]}"; do
    dpkgopts+=(--dpkgopt="path-exclude=$s/*")
done
# shellcheck disable=SC2016 # $1 is for the hook
if ! mmdebstrap --mode=root --variant=essential \
    --include="$(IFS=,; echo "${packages[*]}")" \
    --dpkgopt=force-confold --aptopt="$out/apt.conf" --aptopt='APT::Install-Recommends "false"' \
    "${dpkgopts[@]}" \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools"' \
    --essential-hook='echo update_initramfs=no >"$1/etc/initramfs-tools/update-initramfs.conf"' \
    "$(apt_suite)" "$root" <"$out/sources.list" >"$out/log" 2>&1; then
    tail -n 40 "$out/log" >&2
    exit 1
fi
rm -f "$out"/{sources.list,apt.conf,log}

kver=$(basename "$root"/usr/lib/modules/*)
depmod -b "$root" "$kver"
mv "$root/boot/vmlinuz-$kver" "$out/vmlinuz"
gunzip -c "$root"/boot/xen-4.*-amd64.gz >"$out/xen.bin"
rm -rf "${root:?}"/boot/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
