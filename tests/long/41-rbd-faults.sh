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
g=rbd
LOG_MS=50
SILENT='disk xvda: .*no answer from the cluster within'

cluster() { bash /mnt/tests/ceph/cluster.sh "$1" "$CEPH"; }
as_before() { [ "$(disks_state)" = "$before" ]; }

stands() { [[ $(xl list "$g" | awk 'NR == 2 { print $5 }') = *[psc]* ]]; }
runs() { ! stands; }
# not_paused WHY: its processors run within seconds, whatever its disk does.
not_paused() {
    CHECKS=$((CHECKS + 1))
    wait_until 15 runs || fail "$1: it is left $(xl list "$g" | tail -1)"
    ticks "$g" "$1"
}

# How many records its witness has on the disk.
records() {
    grep -a 'WITNESS TICK' "$(guest_log $g)" | sed -n '$s/.* log=\([0-9]*\) .*/\1/p'
}
has_more() { [ "$(records)" -gt "$1" ]; }
taken() { xl checkpoint "$g" -n after; }

# goes_on WHY [killed]: with its disk, and there is nothing left.
goes_on() {
    CHECKS=$((CHECKS + 1))
    wait_until 120 has_more "$(records)" || fail "$1: its disk is dead"
    not_paused "$1"
    guards_end 300 || fail "$1: the guard stays"
    wait_until 120 as_before
    is "$1: what is left" "$before" "$(disks_state)"
    # The lock of one that was killed is given up for lost after 30 s.
    [ -z "${2:-}" ] || wait_until 120 taken || fail "$1: no take"
    [ -n "${2:-}" ] || must "$1: take" taken
    is "$1: drained" true "$(field after io_drained)"
    must "$1: delete" xl checkpoint-delete after
    clean "$g" "$1"
}

# at POINT DEED MEANWHILE COMMAND...: it fails, when DEED is done while it is at
# that point; MEANWHILE it goes on from there.
at() {
    local point=$1 deed=$2 meanwhile=$3 pid
    shift 3
    step "$deed $point"
    CKPT_FAULT=stop:$point xl-ckpt "$@" >"$T/out" 2>&1 &
    pid=$!
    wait_until 300 is_stopped $pid || fail "$point: it does not come there"
    rbd_pid=$(pgrep -x ckpt-rbd)
    $deed
    kill -CONT $pid
    $meanwhile
    CHECKS=$((CHECKS + 1))
    wait $pid && fail "$point: \`$*' succeeded"
    cat "$T/out"
}
# The cluster answers again once the operation is given up, which is said at once
# though the guard has to wait.  Who has the lock of a cut is there still.
given_up() { grep -q 'the guard has more to do' "$T/out"; }
silent_for_a_while() {
    not_paused "while the cluster is silent"
    wait_until 150 given_up || fail "it is not given up: $(cat "$T/out")"
    cluster go-on
}
said() { grep -Eq "$1" "$T/out" || fail "it did not say /$1/ but: $(cat "$T/out")"; }

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
goes_on "the cluster answers again"

at at:take:still 'cluster pause' silent_for_a_while checkpoint $g -n lost
said "$SILENT 2 s"
goes_on "after a cut that failed"
at after:take:cut 'cluster pause' silent_for_a_while checkpoint $g -n lost
said "$SILENT"
goes_on "after a cut that was good for nothing"
kill_it() { kill -9 "$rbd_pid"; }
at after:take:cut kill_it true checkpoint $g -n lost
said 'disk xvda: '
goes_on "after ckpt-rbd was killed" killed

old=$(xl domid $g)
at 'before:rollback:disks switched' 'cluster pause' true rollback $g one
said "$SILENT"
not_paused "after a rollback that failed"
cluster go-on
is "the domain" "$old" "$(xl domid $g)"
goes_on "after a rollback that failed"

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
