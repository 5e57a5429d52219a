#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --dom0 ceph --timeout 5400
#
# A guest under load on an RBD image that the kernel maps and QEMU serves.  A
# cluster that answers no more, in the middle of a take or of a rollback, costs
# the operation, which names the disk: the guest runs on, and its writes are not
# lost.  So does a ckpt-rbd that is killed with the image's lock.
# shellcheck disable=SC2317 # what is called by its name
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/../xen/lib.sh"
# shellcheck source=tests/xen/disks.sh
. "$(dirname "$0")/../xen/disks.sh"
# shellcheck source=tests/xen/disk_faults.sh
. "$(dirname "$0")/../xen/disk_faults.sh"
g=rbd
LOG_MS=50
SILENT='disk xvda: .*no answer from the cluster within'

cluster() { bash /mnt/tests/ceph/cluster.sh "$1" "$CEPH"; }
# How many records its witness has on the disk.
records() {
    grep -a 'WITNESS TICK' "$(guest_log $g)" | sed -n '$s/.* log=\([0-9]*\) .*/\1/p'
}
has_more() { [ "$(records)" -gt "$1" ]; }
# disk_goes_on WHY [killed]: the guest does, with its disk.
disk_goes_on() {
    CHECKS=$((CHECKS + 1))
    wait_until 120 has_more "$(records)" || fail "$1: its disk is dead"
    goes_on "$@"
}
# The cluster answers again once the operation is given up, which is said at once
# though the guard has to wait.  Who has the lock of a cut is there still.
given_up() { grep -q 'the guard has more to do' "$T/out"; }
silent_for_a_while() {
    not_paused "while the cluster is silent"
    wait_until 150 given_up || fail "it is not given up: $(cat "$T/out")"
    cluster go-on
}

disks_setup rbd
disk_new rbd
witness_create $g "disk=vdev=xvda,format=raw,access=rw,backendtype=qdisk,target=$DISK" \
    mem=128 net=0 -- "mb=8,$LIGHT"
is_control && { ticks $g control; clean $g control; xl destroy $g; disk_old rbd; disks_end; finish; }

step "served by QEMU"
must "take" xl checkpoint $g -n one
is "driver" rbd "$(field one disks.0.driver)"
is "drained" true "$(field one io_drained)"
check_instant rbd one
before=$(disks_state)

step "the cluster answers no more: no take is begun"
cluster pause
must_fail 1 "$SILENT" xl checkpoint $g -n lost
not_paused "while the cluster is silent"
cluster go-on
disk_goes_on "the cluster answers again"

fault_at at:take:still 'cluster pause' silent_for_a_while checkpoint $g -n lost
said "$SILENT 2 s"
disk_goes_on "after a cut that failed"
fault_at after:take:cut 'cluster pause' silent_for_a_while checkpoint $g -n lost
said "$SILENT"
disk_goes_on "after a cut that was good for nothing"
kill_it() { pkill -9 -x ckpt-rbd; }
fault_at after:take:cut kill_it true checkpoint $g -n lost
said 'disk xvda: '
disk_goes_on "after ckpt-rbd was killed" killed

old=$(xl domid $g)
fault_at 'before:rollback:disks switched' 'cluster pause' true rollback $g one
said "$SILENT"
not_paused "after a rollback that failed"
cluster go-on
is "the domain" "$old" "$(xl domid $g)"
disk_goes_on "after a rollback that failed"

step "and back"
must "rollback" xl rollback $g one
ticks $g "after the rollback"
clean $g "after the rollback"
must "take" xl checkpoint $g -n two
check_instant rbd two
disk_alone rbd
must "delete" xl checkpoint-delete one two
must "prune" xl checkpoint-prune
clean $g "in the end"
xl destroy $g
disk_old rbd
disks_end
finish
