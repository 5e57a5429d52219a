#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# What is wrong is said clearly, before the guest is touched, and costs
# nothing: the guest runs on, nothing is left over.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
g=refuse

# Room for the buffers of one more disk: 8 MB, or its kernel kills the witness.
witness_create $g mem=144 vcpus=2 disk_mb=64 net=0 -- "mb=8,$LIGHT"
is_control && { ticks $g control; finish; }

step "names"
must_fail 3 'no domain "nobody"' xl checkpoint nobody
must_fail 3 'No checkpoint|no checkpoint' xl rollback $g nothing
must_fail 3 'No checkpoint|no checkpoint' xl checkpoint-verify nothing
must_fail 2 'control domain' xl checkpoint 0
must "take" xl checkpoint $g -n one
must_fail 4 'one' xl checkpoint $g -n one
must_fail 2 '' xl checkpoint $g -n ../one
must_fail 2 'no disk "xvdz"' xl checkpoint $g --exclude-disk xvdz
must_fail 4 "\"$g\" is running" xl fork $g/one -n $g
must "rename" xl rename $g renamed
must_fail 4 'under another name: "renamed"' xl rollback $g one
must "rename back" xl rename renamed $g
before=$(host_state)

step "a disk that cannot be snapshotted"
truncate -s 64M "$T/raw.img"
loop=$(losetup -f --show "$T/raw.img")
must "attach" xl block-attach $g "phy:$loop,xvdb,w"
must_fail 5 "xvdb" xl checkpoint $g -n two
must "excluded" xl checkpoint $g -n two --exclude-disk xvdb
is "why it has none" excluded "$(xl checkpoint-show --json two |
    jq -r '.checkpoint.disks[] | select(.vdev == "xvdb") | .why_none')"
must_fail 5 "xvdb" xl fork two -n other
must "delete" xl checkpoint-delete two
must "detach" xl block-detach $g xvdb
running $g "after the refusals"

step "a disk that comes while a take is made ready"
CKPT_FAULT="stop:after:take:memory armed" xl-ckpt checkpoint $g -n two >"$T/out" 2>&1 &
take=$!
wait_until 120 is_stopped $take || fail "the take is not made ready"
must "attach" xl block-attach $g "phy:$loop,xvdb,w"
kill -CONT $take
CHECKS=$((CHECKS + 1))
wait $take && fail "it was cut without the disk"
grep -q 'was changed' "$T/out" || fail "$(cat "$T/out")"
must "detach" xl block-detach $g xvdb
wait_until 30 losetup -d "$loop"
guards_end 60 || fail "the guard stays"
running $g "after a disk that came"
is "the host" "$before" "$(host_state)"

step "no room, no right"
mkdir -p "$T/small"
mount -t tmpfs -o size=16m small "$T/small"
must_fail 6 'MiB free' xl checkpoint $g --store "$T/small"
umount "$T/small"
mkdir -p "$T/ro"
mount -t tmpfs -o ro ro "$T/ro"
must_fail 1 'Read-only' xl checkpoint $g --store "$T/ro/store"
umount "$T/ro"
is "the host" "$before" "$(host_state)"

step "two at a time"
CKPT_FAULT="stop:after:take:memory armed" xl-ckpt checkpoint $g -n three >"$T/first" 2>&1 &
first=$!
wait_until 60 is_stopped $first || fail "the first take does not come to its memory"
must_fail 4 'Process .* under way' xl checkpoint $g -n four
kill -CONT $first
must "the first of two" wait $first
must "delete" xl checkpoint-delete three

step "cancelled"
# A shell starts what is in the background with SIGINT ignored.
CKPT_FAULT="stop:after:take:memory armed" \
    env --default-signal=INT xl-ckpt checkpoint $g -n three >"$T/first" 2>&1 &
first=$!
wait_until 60 is_stopped $first || fail "the take does not come to its memory"
kill -INT $first
kill -CONT $first
wait $first
is "status when cancelled" 9 $?
running $g "after a cancelled take"
guards_end 60 || fail "the guard stays"
is "the host" "$before" "$(host_state)"

step "a paused guest"
must "pause" xl pause $g
must "take of a paused guest" xl checkpoint $g -n paused
is "its state" p "$(xl list $g | awk 'NR == 2 { print $5 }' | tr -d -- -)"
must "unpause" xl unpause $g
check_stored paused
running $g "after the take of it paused"

step "a damaged checkpoint"
id=$(field one id)
# The first page of its pack: nobody else has one like it, in this store.
printf 'XYZ' | dd of="$(echo "$CKPT_STORE/checkpoints/$id".*)" bs=1 \
    seek=$((4096 + 17)) conv=notrunc status=none
must_fail 8 'page' xl checkpoint-verify one
must_fail 8 'page' xl rollback $g one
running $g "after the refused rollback"
clean $g "in the end"
must "delete" xl checkpoint-delete one paused
finish
