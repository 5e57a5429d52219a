#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The guest's door on a real Xen: a guest has itself checkpointed, its disks with
# frozen filesystems, forked, and rolled back; parent and child know who they are;
# the daemon killed in the middle of a job leaves the guest running.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/xen/door.sh
. "$(dirname "$0")/door.sh"
g=door
is_control && finish

step "ckptd starts, and opens a door for a guest whose policy says so"
door_guest $g ask mem=128 vcpus=1 disk_mb=64 -- mb=4,logms=100,disk=/mnt/disk/witness.log
# The guest asks for one after the other, each once the policy has it.
allow() { # REQUESTS
    ckptd_start "guest_requests = $1
guest_rate = 3600/hour
guest_burst = 100
quiesce_timeout = 60s"
}
allow 'checkpoint, quiesce'

step "the guest has a checkpoint of itself taken, its filesystems flushed first"
say "$(guest_wait $g 'DOOR checkpoint 0 taken' 240)" || fail "no checkpoint"
id=$(xl checkpoint-list --json | jq -r '.checkpoints[-1].id')
is "its consistency" guest-suspended "$(field "$id" consistency)"
is "its name" guest "$(field "$id" name | cut -d- -f1)"
check_stored "$id"
running $g "after its checkpoint"

step "its disks alone, frozen while something writes: clean without a replay"
must "take" rpc checkpoint.take "{\"domain\":\"$g\",\"name\":\"disks\",\"quiesce\":true,\"disk_only\":true,\"wait\":true}"
is "its consistency" fs-frozen "$(field disks consistency)"
snap=$(field disks disks.0.snapshot)
lvchange -qq -ay -K "$snap" || broken "cannot activate $snap"
CHECKS=$((CHECKS + 1))
dumpe2fs -h "/dev/$snap" 2>/dev/null | grep -q 'Filesystem state: *clean' ||
    fail "the filesystem is not clean: $(dumpe2fs -h "/dev/$snap" 2>&1 | grep -i state)"
! dumpe2fs -h "/dev/$snap" 2>/dev/null | grep -q needs_recovery || fail "its journal wants a replay"
must "fsck" e2fsck -fn "/dev/$snap"
lvchange -qq -an "$snap"
running $g "after its disks were taken"
must "delete" xl checkpoint-delete disks

step "it has itself forked: parent and child know who they are"
allow 'checkpoint, fork, quiesce'
CHECKS=$((CHECKS + 2))
guest_wait $g 'DOOR fork 0 parent 1' 300 || fail "the parent was not told"
guest_wait $g-fork-1 'DOOR fork 0 child 1' 120 || fail "the child was not told"
is "its interfaces" 0 "$(xl network-list $g-fork-1 | awk 'NR > 1' | wc -l)"
guest_destroy $g-fork-1

step "it goes back to its own last checkpoint, and knows that it did"
allow 'checkpoint, fork, rollback, quiesce'
CHECKS=$((CHECKS + 1))
guest_wait $g 'DOOR checkpoint 0 rolled-back' 300 || fail "the guest was not told"
running $g "after its rollback"
clean $g "in the end"

step "the daemon is killed in the middle of a take"
before=$(host_state)
rpc checkpoint.take "{\"domain\":\"$g\",\"key\":\"killed\"}" >/dev/null
wait_until 60 pgrep -f 'ckpt-helper guard' || fail "no job began"
kill -9 "$(cat "$T/ckptd.pid")"
guards_end 120 || fail "the guard stays"
wait_until 60 no_job || fail "the job stays"
running $g "after the daemon's death"
is "the host" "$before" "$(host_state)"
ckptd_run
must "the daemon serves again" rpc daemon.info
finish
