#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# image-dom0.sh DEBIAN OUTDIR: from the piece DEBIAN of image-debian.sh make
#   dom0.img     ext4 root file system of dom0, sparse
#   vmlinux      the kernel, unpacked
#   initrd.dom0  finds the root disk under QEMU (virtio) and Bochs (ATA)
#   initrd.guest what guests run, see guest/init
set -eu -o pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

debian=$1 out=$2
kver=$(basename "$debian"/root/usr/lib/modules/*)

"$LAB_DIR/extract-vmlinux.py" "$debian/vmlinuz" "$out/vmlinux"
"$LAB_DIR/initramfs.sh" "$debian/root" "$kver" "$LAB_DIR/dom0/initrd-init" \
    "$out/initrd.dom0" virtio_pci virtio_blk ata_piix sd_mod ext4 crc32c_generic
"$LAB_DIR/initramfs.sh" "$debian/root" "$kver" "$LAB_DIR/guest/init" \
    "$out/initrd.guest" xen-blkfront xen-netfront ext4 crc32c_generic

# Hard links: our own files are added beside them, none is written through.
root=$out/root
cp -al "$debian/root" "$root"
install -m 755 "$LAB_DIR/dom0/init" "$root/sbin/lab-init"
install -m 755 "$LAB_DIR/dom0/agent" "$root/sbin/lab-agent"
install -D -m 644 -t "$root/usr/share/xen-ckpt-lab/guests" \
    "$debian/vmlinuz" "$out/vmlinux" "$out/initrd.guest"
mkdir -p "$root"/mnt/{share,tests,build} "$root/etc/lvm"

put() { rm -f "$root/$1"; cat >"$root/$1"; }
printf 'autoballoon="off"\nvif.default.bridge="xenbr0"\n' | put etc/xen/xl.conf
echo dom0 | put etc/hostname
printf '127.0.0.1 localhost dom0\n' | put etc/hosts
# The image is thrown away after each run: LVM need not keep its own history. (A
# backup it keeps: it warns at each step when it may not.)
put etc/lvm/lvmlocal.conf <<'EOF'
backup { archive = 0 }
activation { monitoring = 0 }
EOF

truncate -s 3G "$out/dom0.img"
mke2fs -q -F -t ext4 -O ^has_journal -E lazy_itable_init=1,root_owner=0:0 \
    -L dom0 -d "$root" "$out/dom0.img"
rm -rf --one-file-system "$root"
