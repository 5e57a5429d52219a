#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --timeout 5400
#
# The disk drivers, per driver D of lvmthin, dmthin (by itself only), reflink (XFS) and
# qcow2:
#   disk.pause.size.D   the cut of a 64 GiB disk / of a 1 GiB disk
#   disk.cut.D          the cut / `qemu-img snapshot -c' of a qcow2 image
#   disk.create.D       arm, cut and drain together / the same
#   disk.create.lvmthin.limit  the same / `lvcreate -s', which is in it
#   disk.firstwrite.D   4 KiB writes, in order, depth 16: the first after a
#                       snapshot / the same writes once more
#   disk.pause.share.D  the disks' part of a PVH guest's pause under load
# The drivers run without a guest (disk_tool), but for the last.
# shellcheck disable=SC2015,SC2034,SC2128,SC2178
. "$(dirname "$0")/lib.sh"
tool=/mnt/build/tests/xen/disk_tool
export CKPT_HELPER=/mnt/build/ckpt-helper
dir=/tmp/disks
WRITES=4096
CUTS=${CUTS:-80} # of either size, beside those of the rounds

prepare() {
    lvcreate -qq -V 6G -T vg0/pool -n disks && mkfs.xfs -q /dev/vg0/disks &&
        mkdir -p $dir && mount /dev/vg0/disks $dir || broken "no XFS"
    case " $DRIVERS " in *" dmthin "*)
        lvcreate -qq -y -L 16M -n meta vg0 && lvcreate -qq -y -L 1G -n data vg0 &&
            dmsetup create pool0 --table "0 2097152 thin-pool /dev/vg0/meta /dev/vg0/data 128 100" ||
            broken "no thin pool" ;;
    esac
}
end() {
    case " $DRIVERS " in *" dmthin "*)
        dmsetup remove --retry pool0 && lvremove -qq -fy vg0/meta vg0/data ;;
    esac
    umount $dir && lvremove -qq -fy vg0/disks
}
# disk_new DRIVER GIB: prints its path; 64 MiB of it are written.
disk_new() {
    local path=$dir/$1-$2
    case $1 in
    lvmthin)
        path=/dev/vg0/bench$2
        lvcreate -qq -V "$2G" -T vg0/pool -n "bench$2" >&2
        udevadm settle
        ;;
    dmthin)
        path=/dev/mapper/bench$2
        dmsetup message pool0 0 "create_thin $2"
        dmsetup create "bench$2" --table "0 $(($2 * 2097152)) thin /dev/mapper/pool0 $2"
        ;;
    reflink) truncate -s "$2G" "$path" ;;
    qcow2) qemu-img create -q -f qcow2 "$path" "$2G" ;;
    esac
    write_some "$1" "$path"
    echo "$path"
}
disk_end() { # DRIVER PATH
    case $1 in
    lvmthin) lvremove -qq -fy "${2#/dev/}" ;;
    dmthin) dmsetup remove --retry "${2##*/}" && dmsetup message pool0 0 "delete ${2##*bench}" ;;
    *) rm -f "$2"* ;;
    esac
}
format() { [ "$1" = qcow2 ] && echo qcow2 || echo raw; }
write_some() { # DRIVER PATH
    qemu-img bench -q -w -c $WRITES -d 16 -s 4096 -t none -f "$(format "$1")" "$2" >/dev/null
}
# beats DRIVER PATH FILE...: a snapshot, taken and removed; the cut's us to the
# first file, the sum of all to the second.
beats() {
    local drv=$1 path=$2 id=$RANDOM$RANDOM
    "$tool" "xvda=$path" -- "driver:$drv" guard "arm:$id" cut drain keep stop >"$T/beats" ||
        fail "$drv: $(tail -2 "$T/beats")"
    awk '/^cut: ok/ { print $3 }' "$T/beats" >>"$3"
    awk '/^(arm:.*|cut|drain): ok/ { us += $3 } END { print us }' "$T/beats" >>"$4"
    SNAPSHOT=$(sed -n 's/^snapshot xvda //p' "$T/beats")
}
forget() { # DRIVER PATH
    "$tool" "xvda=$2" -- "driver:$1" "remove:$SNAPSHOT" >"$T/beats" || fail "remove: $(cat "$T/beats")"
}
peer_create() { # FILE: microseconds of qemu-img snapshot -c
    local begin
    begin=$(date +%s%N)
    qemu-img snapshot -c x $dir/peer || fail "qemu-img snapshot"
    echo $((($(date +%s%N) - begin) / 1000)) >>"$1"
    qemu-img snapshot -d x $dir/peer
}
# What LVM itself needs for the record of a snapshot.
lvcreate_alone() { # PATH FILE
    local begin
    begin=$(date +%s%N)
    lvcreate -qq -kn -s -n bench-alone "$1" || fail "lvcreate -s"
    echo $((($(date +%s%N) - begin) / 1000)) >>"$2"
    lvremove -qq -fy vg0/bench-alone
}
writing() { # FILE DRIVER PATH
    local begin
    sync
    begin=$(date +%s%N)
    write_some "$2" "$3"
    echo $((($(date +%s%N) - begin) / 1000)) >>"$1"
}

by_itself() { # DRIVER
    local d=$1 small large i
    small=$(disk_new "$d" 1) large=$(disk_new "$d" 64)
    for i in $(seq "$ROUNDS"); do
        beats "$d" "$small" "$T/$d.small" "$T/$d.create"
        peer_create "$T/$d.peer"
        [ "$d" != lvmthin ] || lvcreate_alone "$small" "$T/$d.alone"
        # The first write of each block, and the same once more.
        writing "$T/$d.first" "$d" "$small"
        writing "$T/$d.again" "$d" "$small"
        forget "$d" "$small"
        beats "$d" "$large" "$T/$d.large" "$T/$d.unused"
        write_some "$d" "$large"
        forget "$d" "$large"
    done
    # A wake-up that has to wait for the other processor is half of a cut: of some
    # twenty the medians of equal disks are 1.4 apart.
    for i in $(seq "$CUTS"); do
        beats "$d" "$small" "$T/$d.small" "$T/$d.unused"
        forget "$d" "$small"
        beats "$d" "$large" "$T/$d.large" "$T/$d.unused"
        forget "$d" "$large"
    done
    row "disk.pause.size.$d" us "1 GiB" "$T/$d.large" "$T/$d.small"
    row "disk.cut.$d" us "qemu-img snapshot -c" "$T/$d.small" "$T/$d.peer"
    row "disk.create.$d" us "qemu-img snapshot -c" "$T/$d.create" "$T/$d.peer"
    [ "$d" != lvmthin ] ||
        row "disk.create.$d.limit" us "lvcreate -s" "$T/$d.create" "$T/$d.alone"
    row "disk.firstwrite.$d" us "without a snapshot" "$T/$d.first" "$T/$d.again"
    disk_end "$d" "$small"
    disk_end "$d" "$large"
}

with_guest() { # DRIVER
    local d=$1 disk=$dir/guest.img id i words=disk_mb=64
    if [ "$d" != lvmthin ]; then
        truncate -s 64M $disk.raw
        mke2fs -q -F -t ext4 -E nodiscard,lazy_itable_init=0 -J size=4 $disk.raw
        qemu-img convert -O "$(format "$d")" $disk.raw $disk && rm $disk.raw
        words="disk=format=$(format "$d"),vdev=xvda,access=rw,target=$disk"
    fi
    witness_create "$d" "$words" mem=256
    for i in $(seq "$ROUNDS"); do
        id=$(xl checkpoint -q "$d") || fail "take: $d"
        field "$id" pause_disks_us >>"$T/$d.part"
        field "$id" pause_us >>"$T/$d.pause"
        xl checkpoint-delete -q "$id"
    done
    row "disk.pause.share.$d" us "the whole pause" "$T/$d.part" "$T/$d.pause"
    clean "$d" "in the end"
    guest_destroy "$d"
    rm -f $disk*
}

DRIVERS=${DRIVERS:-reflink lvmthin dmthin qcow2}
prepare
qemu-img create -q -f qcow2 $dir/peer 1G
write_some qcow2 $dir/peer
for driver in $DRIVERS; do by_itself "$driver"; done
for driver in ${GUESTS-reflink lvmthin qcow2}; do with_guest "$driver"; done
end
finish
