#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The reflink driver by itself, on XFS and on btrfs, without a guest: content,
# being killed anywhere, what changed, what is refused, and its times.
# shellcheck disable=SC2010,SC2015
set -u
[ -n "${LAB:-}" ] || { echo "needs the lab's dom0"; exit 77; }
# shellcheck source=tests/xen/guards.sh
. "$(dirname "$0")/guards.sh"

tool=build/tests/xen/disk_tool
export CKPT_HELPER=$PWD/build/ckpt-helper
out=$(mktemp)
failed=0

fail() { echo "FAIL: $*"; failed=1; }
title() { echo "--- $* ($(cut -d' ' -f1 /proc/uptime))"; }
run() { # VERB...
    "$tool" xvda="$web" -- "$@" 2>&1 | tee "$out"
    return "${PIPESTATUS[0]}"
}
must() { "$@" || fail "$*"; }
must_not() { "$@" && fail "not refused: $*"; }
said() { grep -q -- "$1" "$out" || fail "did not say: $1"; }
put() { # TEXT [FILE]
    printf '%-4096s' "$1" | dd of="${2:-$web}" bs=4096 count=1 conv=notrunc status=none
}
get() { dd if="${1:-$web}" bs=4096 count=1 status=none | tr -d ' '; }
state() { (cd "$dir" && ls -i); losetup -a; }
same_state() { # BEFORE WHAT
    local now
    now=$(state)
    [ "$1" = "$now" ] || { fail "$2: left something behind"; diff <(echo "$1") <(echo "$now"); }
}
took() { sed -n "s/^$1: ok //p" "$out"; }

all_of() { # on the filesystem mounted at $dir
    web=$dir/web.img
    truncate -s 64M "$web"
    chmod 640 "$web"
    put first

    title "under a writer the snapshot is of one instant"
    must run probe guard write arm:1111 cut drain written keep stop
    at=$(od -An -tu8 -N8 "$web" | tr -d ' ')
    in=$(od -An -tu8 -N8 "$web.ckpt-1111-xvda" | tr -d ' ')
    [ "$in" -gt 0 ] && [ "$in" -lt "$at" ] || fail "written $at, in the snapshot $in"
    must run driver:reflink "check:$web.ckpt-1111-xvda"
    [ "$(stat -c %a "$web.ckpt-1111-xvda")" = 400 ] || fail "mode of the snapshot"

    title "what changed"
    put second
    must run probe guard arm:2222 cut drain keep stop
    dd if=/dev/urandom of="$web" bs=64k seek=100 count=2 conv=notrunc status=none
    fallocate -p -o 33554432 -l 65536 "$web"
    dd if=/dev/urandom of="$web" bs=4k seek=12288 count=1 conv=notrunc status=none
    must run probe guard arm:3333 cut drain keep stop
    must run driver:reflink "changed:$web.ckpt-2222-xvda:$web.ckpt-3333-xvda"
    [ "$(grep '^changed ' "$out")" = "changed 6553600 131072
changed 50331648 4096" ] || fail "changed: $(cat "$out")"
    must run driver:reflink "changed:$web.ckpt-3333-xvda:$web.ckpt-3333-xvda"
    grep -q '^changed ' "$out" && fail "differs from itself"

    title "a fork is a copy of its own"
    put third
    must run driver:reflink guard "fork:$web.ckpt-2222-xvda:a b" keep stop
    fork=$(sed -n 's/^target //p' "$out")
    [ "$(get "$fork")" = second ] || fail "the fork has $(get "$fork")"
    [ "$(stat -c %a "$fork")" = 640 ] || fail "mode of the fork"
    put forked "$fork"
    [ "$(get)" = third ] || fail "the fork wrote to the original"
    before=$(state)
    must_not run driver:reflink guard "fork:$web.ckpt-2222-xvda:a b"
    said "another fork's disk"
    run driver:reflink guard "fork:$web.ckpt-2222-xvda:other" kill
    guards_end 300 || fail "the guard stays"
    same_state "$before" "a fork that was killed"

    title "rollback under an open loop device"
    loop=$(losetup -f --show "$web")
    before=$(state)
    must run driver:reflink guard "rollback:$web.ckpt-2222-xvda" end:old stop
    same_state "$before" "a rollback that was taken back"
    run driver:reflink guard "rollback:$web.ckpt-2222-xvda" kill
    guards_end 300 || fail "the guard stays"
    same_state "$before" "a rollback that was killed"
    [ "$(get)" = third ] || fail "the disk has $(get)"
    must run driver:reflink guard "rollback:$web.ckpt-2222-xvda" end:new stop
    [ "$(get "$loop")" = third ] || fail "the open one has changed"
    losetup -d "$loop"
    [ "$(get)" = second ] || fail "rolled back, but it has $(get)"
    [ "$(stat -c %a "$web")" = 640 ] || fail "mode after rollback"
    [ ! -e "$web.ckpt-new" ] || fail "the old content is left"

    title "killed between the beats"
    before=$(state)
    for beats in arm:4444 "arm:4444 cut" "arm:4444 cut drain"; do
        # shellcheck disable=SC2086
        run driver:reflink guard $beats kill
        guards_end 300 || fail "the guard stays"
        same_state "$before" "killed after $beats"
    done
    must run driver:reflink guard arm:4444 cut undo stop
    same_state "$before" "undone after cut"

    title "times of the cut, 1 GiB and 64 GiB, with what was written just before"
    for gib in 1 64; do
        rm -f "$dir/big.img"
        truncate -s ${gib}G "$dir/big.img"
        dd if=/dev/urandom of="$dir/big.img" bs=1M count=64 conv=notrunc status=none
        "$tool" xvda="$dir/big.img" -- probe arm:5555 cut drain | tee "$out"
        echo "cut of $gib GiB: $(took cut) us"
        rm -f "$dir"/big.img*
    done

    title "removal"
    must run driver:reflink "remove:$web.ckpt-1111-xvda" "remove:$web.ckpt-2222-xvda" \
        "remove:$web.ckpt-2222-xvda" "remove:$web.ckpt-3333-xvda"
    must_not run driver:reflink "check:$web.ckpt-2222-xvda"
    must_not run driver:reflink "remove:$web"
    said "left alone"
    rm "$fork"
    [ "$(ls "$dir" | grep -v lost+found)" = web.img ] || fail "left: $(ls "$dir")"
}

for fs in xfs btrfs; do
    title "$fs"
    lvcreate -qq -V 2G -T vg0/pool -n "$fs" && "mkfs.$fs" -q "/dev/vg0/$fs" || exit 99
    dir=/tmp/$fs
    mkdir -p "$dir" && mount "/dev/vg0/$fs" "$dir" || exit 99
    all_of
    umount "$dir"
    case $fs in
    xfs) must xfs_repair -n "/dev/vg0/$fs" >/dev/null 2>&1 ;;
    btrfs) must btrfs check "/dev/vg0/$fs" >/dev/null 2>&1 ;;
    esac
    lvremove -qq -fy "vg0/$fs"
done

title "what cannot be is refused with words"
truncate -s 1M /tmp/plain.img
web=/tmp/plain.img
must_not run probe
said "cannot share blocks"
exit $failed
