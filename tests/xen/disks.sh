# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# Guests' disks of 64 MiB with ext4 on each kind of storage that a driver takes;
# sourced after lib.sh.
# shellcheck disable=SC2154 # T and WORKLOAD are of lib.sh
DISKS=/tmp/disks
POOL_FILES=(/tmp/pool.meta /tmp/pool.data)
SNAP_FILE=/tmp/snap.img
CEPH=/tmp/ceph

# disks_setup DRIVER...: what these need, and disks_end takes away.
disks_setup() {
    case " $* " in *" reflink "*|*" qcow2 "*)
        lvcreate -qq -V 2G -T vg0/pool -n disks && mkfs.xfs -q /dev/vg0/disks &&
            mkdir -p $DISKS && mount /dev/vg0/disks $DISKS || broken "no XFS" ;;
    esac
    case " $* " in *" dmthin "*)
        truncate -s 16M "${POOL_FILES[0]}"
        truncate -s 512M "${POOL_FILES[1]}"
        POOL_META=$(losetup -f --show "${POOL_FILES[0]}")
        POOL_DATA=$(losetup -f --show "${POOL_FILES[1]}")
        dmsetup create pool0 --table "0 1048576 thin-pool $POOL_META $POOL_DATA 128 100" ||
            broken "no thin pool"
        dmsetup message pool0 0 "create_thin 1" ;;
    esac
    case " $* " in *" rbd "*)
        command -v ceph-osd >/dev/null || { echo "skip: needs lab run --dom0 ceph"; exit 77; }
        export CEPH_CONF=$CEPH/ceph.conf
        mkdir -p /etc/ceph && ln -sf "$CEPH_CONF" /etc/ceph/ceph.conf
        bash /mnt/tests/ceph/cluster.sh start $CEPH && modprobe rbd || broken "no Ceph" ;;
    esac
}
disks_end() {
    [ ! -e $CEPH ] || bash /mnt/tests/ceph/cluster.sh stop $CEPH
    mountpoint -q $DISKS && { umount $DISKS && lvremove -qq -fy vg0/disks; }
    [ -n "${POOL_META:-}" ] || return 0
    must "the pool is free" dmsetup remove --retry pool0
    must "thin_check" thin_check -q "$POOL_META"
    losetup -d "$POOL_META" "$POOL_DATA"
    rm -f "${POOL_FILES[@]}"
}

# disk_new DRIVER: sets DISK, its path, and DISK_FORMAT.
disk_new() {
    local raw=$T/raw
    DISK=$DISKS/$1.img DISK_FORMAT=raw
    truncate -s 64M "$raw"
    mke2fs -q -F -t ext4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 \
        -J size=4 "$raw" || broken mke2fs
    case $1 in
    qcow2)
        DISK_FORMAT=qcow2
        qemu-img convert -O qcow2 "$raw" "$DISK" ;;
    reflink|manual) cp "$raw" "$DISK" ;;
    lvmthin)
        DISK=/dev/vg0/disk
        lvcreate -qq -V 64M -T vg0/pool -n disk && udevadm settle ;;
    dmthin)
        DISK=/dev/mapper/disk
        dmsetup create disk --table "0 131072 thin /dev/mapper/pool0 1" ;;
    dmsnap)
        DISK=/dev/mapper/disk
        cp "$raw" $SNAP_FILE && SNAP_LOOP=$(losetup -f --show $SNAP_FILE) &&
            dmsetup create disk --table "0 131072 linear $SNAP_LOOP 0" ;;
    rbd)
        DISK=/dev/rbd/rbd/disk
        rbd import --no-progress "$raw" disk && rbd device map disk >"$T/out" ;;
    esac || broken "no disk for $1"
    case $1 in *thin) dd if="$raw" of="$DISK" bs=1M conv=sparse,notrunc,fsync status=none ;; esac
    rm "$raw"
}
disk_words() { # DRIVER: for guest_create
    case $1 in
    *thin|dmsnap|rbd) echo "disk=phy:$DISK,xvda,w" ;;
    *) echo "disk=format=$DISK_FORMAT,vdev=xvda,access=rw,target=$DISK" ;;
    esac
}
# After its guest: whole, and away.
disk_old() { # DRIVER
    case $1 in
    qcow2)
        # xl destroy does not wait for QEMU's end, which holds the image's lock.
        must "qemu-img check" wait_until 60 qemu-img check -q "$DISK"
        qemu-img convert -O raw "$DISK" "$DISKS/raw" ;;
    *) ln -sf "$DISK" "$T/disk" ;;
    esac
    local at=$T/disk
    [ "$1" != qcow2 ] || at=$DISKS/raw
    # The journal is replayed: the guest was destroyed with the disk mounted.
    e2fsck -p "$at" >"$T/fsck" 2>&1
    [ $? -le 1 ] || fail "$1: e2fsck: $(head -3 "$T/fsck")"
    must "$1: e2fsck" e2fsck -fn "$at"
    case $1 in
    lvmthin) lvremove -qq -fy vg0/disk ;;
    dmthin) dmsetup remove --retry disk ;;
    dmsnap) dmsetup remove --retry disk && losetup -d "$SNAP_LOOP" && rm $SNAP_FILE ;;
    rbd) rbd device unmap "$DISK" && rbd remove --no-progress disk ;;
    *) rm -f "$DISK" "$DISKS/raw" ;;
    esac
}
fork_disk_end() { # FORK
    case $1 in
    lvmthin-*) lvremove -qq -fy "vg0/fork-$1-xvda" ;;
    dmsnap-*) dmsetup remove --retry "fork-$1-xvda" ;;
    rbd-*) rbd device unmap "/dev/rbd/rbd/fork-$1-xvda" && rbd remove --no-progress "fork-$1-xvda" ;;
    dmthin-*)
        local id
        id=$(dmsetup table "fork-$1-xvda" | awk '{ print $5 }')
        dmsetup remove --retry "fork-$1-xvda" && dmsetup message pool0 0 "delete $id" ;;
    *) rm -f "$DISKS/fork-$1-xvda" ;;
    esac
}
# What a rollback made stands on nothing else any more.
disk_alone() { # DRIVER
    [ "$1" != rbd ] || rbd flatten --no-progress disk
}
# All that could be left behind.
disks_state() {
    (cd $DISKS 2>/dev/null && ls)
    losetup -nO BACK-FILE | sort
    ls /sys/block/nbd*/pid 2>/dev/null
    ls /var/lib/xen/ckpt-dmsnap 2>/dev/null
    lvs --noheadings -o lv_name vg0 | sort
    dmsetup ls | awk '{ print $1 }' | sort
    [ -z "${POOL_META:-}" ] || {
        dmsetup message pool0 0 reserve_metadata_snap
        thin_ls --no-headers -m -o DEV "$POOL_META"
        dmsetup message pool0 0 release_metadata_snap
    }
    [ ! -e $CEPH ] || {
        /usr/bin/python3 /mnt/tests/ceph/images.py state
        cat /sys/bus/rbd/devices/*/name
        pgrep -l ckpt-rbd
    }
    xl checkpoint-list -q
}
as_before() { [ "$(disks_state)" = "$before" ]; }
# is_as_before WHAT [SECONDS]: as $before has it, once those who end have closed what
# they had: a loop device goes with its last user.
is_as_before() {
    wait_until "${2:-60}" as_before
    is "$1" "$before" "$(disks_state)"
}

# Of what a snapshot is, where that is a file or a device.
snapshot_sum() { # DRIVER CHECKPOINT
    local snap
    snap=$(field "$2" disks.0.snapshot)
    # Its file has what the guest overwrites, and grows.
    [ "$1" != dmsnap ] || snap=$(device_of "$snap")
    [ "$1" != rbd ] || {
        /usr/bin/python3 /mnt/tests/ceph/images.py export "$snap" "$T/sum.raw"
        snap=$T/sum.raw
    }
    sha256sum "$snap" 2>/dev/null
}
device_of() { # SNAPSHOT of dmsnap
    echo "/dev/dm-$(dmsetup info -c --noheadings -o minor "$(basename "$1")")"
}

# look_into DRIVER CHECKPOINT: mounted read-only, with what was in the journal at
# the cut, and not deleted meanwhile.
look_into() {
    local before at=$T/mnt
    mkdir -p "$at"
    before=$(disks_state)
    snapshot_sum "$@" >"$T/sum"
    must "$1: mount" xl checkpoint-mount "$2" xvda "$at" || return
    must "$1: the witness's log is there" test -s "$at/witness.log"
    must_fail 1 'Read-only' touch "$at/x"
    must_fail 4 "is mounted at $at" xl checkpoint-delete "$2"
    must_fail 4 "is mounted at $at" xl checkpoint-mount "$2" "$at"
    must "$1: umount" xl checkpoint-umount "$at"
    must_fail 3 "no checkpoint's disk" xl checkpoint-umount "$at"
    is_as_before "$1: what a mount leaves"

    # Somebody else unmounts it, or who mounts it dies before it has.
    must "$1: mount again" xl checkpoint-mount "$2" "$at"
    umount "$at"
    must "$1: prune after umount" xl checkpoint-prune
    is_as_before "$1: what umount leaves"
    snapshot_sum "$@" >"$T/sum2"
    is "$1: the snapshot" "$(cat "$T/sum")" "$(cat "$T/sum2")"
}

# The stored image is one instant with the disk's snapshot.
check_instant() { # DRIVER CHECKPOINT
    local id snap at
    [ "$1" != lvmthin ] || { check_stored "$2"; return; }
    id=$(field "$2" id)
    snap=$(field "$2" disks.0.snapshot)
    at=$DISKS/check.raw
    case $1 in
    qcow2)
        must "qemu-img check" qemu-img check -q -U "$snap"
        qemu-img convert -U -f qcow2 -O raw "$snap" "$at" || broken "convert" ;;
    reflink) cp --reflink=always "$snap" "$at" ;;
    dmsnap) at=$(device_of "$snap") ;;
    rbd)
        at=$T/check.raw
        /usr/bin/python3 /mnt/tests/ceph/images.py export "$snap" "$at" || broken "export" ;;
    dmthin)
        at=/dev/mapper/check
        local number=${snap#*/}
        dmsetup create --readonly check --table "0 ${snap##*/} thin /dev/mapper/pool0 ${number%/*}" ;;
    esac
    CHECKS=$((CHECKS + 1))
    "$WORKLOAD/witness-check" --checkpoint "$CKPT_STORE" "$id" --disk "$at" \
        >"$T/check" 2>&1 ||
        fail "checkpoint $2 is not one instant: $(head -5 "$T/check")"
    case $1 in
    dmthin) dmsetup remove --retry check ;;
    dmsnap) ;;
    *) rm -f "$at" ;;
    esac
}
