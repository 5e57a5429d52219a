#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --timeout 2700
#
# Take, rollback, fork and delete of a PVH guest under write load, on each
# kind of disk that is a file: memory and disk are of one instant, and nothing
# is left behind.  (The drivers by themselves: tests/flow/5*, disk-*.sh.)
# shellcheck disable=SC2001,SC2015,SC2086,SC2128,SC2178
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"

disks=/tmp/disks
mount_disks() {
    lvcreate -qq -V 2G -T vg0/pool -n disks && mkfs.xfs -q /dev/vg0/disks &&
        mkdir -p $disks && mount /dev/vg0/disks $disks || broken "no XFS"
}
files() { (cd $disks && ls); losetup -a | wc -l; }

# The stored image is one instant with the disk's snapshot.
check_one() { # check_one FORMAT CHECKPOINT
    local id snap raw=$disks/check.raw
    id=$(field "$2" id)
    snap=$(field "$2" disks.0.snapshot)
    case $1 in
    qcow2)
        must "qemu-img check" qemu-img check -q -U "$snap"
        qemu-img convert -U -f qcow2 -O raw "$snap" $raw || broken "convert"
        ;;
    raw) cp --reflink=always "$snap" $raw ;;
    esac
    CHECKS=$((CHECKS + 1))
    "$WORKLOAD/witness-check" --checkpoint "$CKPT_STORE" "$id" --disk $raw \
        >"$T/check" 2>&1 ||
        fail "checkpoint $2 is not one instant: $(head -5 "$T/check")"
    rm -f $raw
}

round() { # round FORMAT DRIVER
    local format=$1 driver=$2 g=$2 disk=$disks/$2.img before fork
    truncate -s 64M "$disk.raw"
    mke2fs -q -F -t ext4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 \
        -J size=4 "$disk.raw" || broken mke2fs
    case $format in
    qcow2) qemu-img convert -O qcow2 "$disk.raw" "$disk" && rm "$disk.raw" ;;
    raw) mv "$disk.raw" "$disk" ;;
    esac
    step "$driver: a guest"
    witness_create $g disk="format=$format,vdev=xvda,access=rw,target=$disk" mem=128 -- mb=8,rate=2000
    is_control && { ticks $g control; clean $g control; guest_destroy $g; return; }
    before=$(files)

    step "$driver: take"
    must "take" xl checkpoint $g -n one --json || { xl list; return; }
    jq -c '.checkpoint | {pause_us, pause_disks_us, disks}' "$T/out"
    is "driver" "$driver" "$(field one disks.0.driver)"
    running $g "after the take"
    check_one "$format" one
    must "a second take" xl checkpoint $g -n two
    check_one "$format" two
    must "delete one" xl checkpoint-delete one
    running $g "after the deletion"
    clean $g "after the deletion"

    step "$driver: run on, roll back"
    ticks $g "running on"
    must "rollback" xl rollback $g two || return
    ticks $g "after the rollback"
    clean $g "after the rollback"
    must "take after the rollback" xl checkpoint $g -n three
    check_one "$format" three

    step "$driver: changed blocks, forks"
    must "diff" xl checkpoint-diff two three --json
    jq -c '.disks[] | {vdev, changed_bytes}' "$T/out"
    must "fork" xl fork $g/three --count 2 || return
    for fork in $g-fork-1 $g-fork-2; do
        ticks $fork "a fork"
        clean $fork "a fork"
    done
    running $g "the original beside its forks"
    must "delete beneath forks" xl checkpoint-delete two three
    for fork in $g-fork-1 $g-fork-2; do
        ticks $fork "a fork whose checkpoint is deleted"
        clean $fork "a fork whose checkpoint is deleted"
        xl destroy $fork
        rm -f $disks/fork-$fork-xvda
    done
    # What only the original reads through now goes up into its file.
    must "prune" xl checkpoint-prune
    ticks $g "the original in the end"
    clean $g "the original in the end"
    is "files and loop devices" "$before" "$(files)"
    xl destroy $g
    [ "$format" != qcow2 ] || must "qemu-img check" qemu-img check -q "$disk"
    rm -f "$disk"
}

mount_disks
case ${1:-all} in
all)
    round raw reflink
    round qcow2 qcow2
    ;;
*) round "$1" "$2" ;;
esac
umount $disks && lvremove -qq -fy vg0/disks
finish
