#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# Take, rollback, fork and delete of a PVH guest under write load, on each
# kind of disk that is a file: memory and disk are of one instant, and nothing
# is left behind.  (The drivers by themselves: tests/flow/5*, disk-*.sh.)
#
# shellcheck disable=SC2001,SC2015,SC2086,SC2128,SC2178
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/xen/disks.sh
. "$(dirname "$0")/disks.sh"

round() { # DRIVER
    local driver=$1 g=$1 before fork
    disk_new $driver
    step "$driver: a guest"
    witness_create $g "$(disk_words $driver)" mem=128 -- mb=8,rate=2000
    is_control && { ticks $g control; clean $g control; guest_destroy $g; return; }
    before=$(disks_state)

    step "$driver: take"
    must "take" xl checkpoint $g -n one --json || { xl list; return; }
    jq -c '.checkpoint | {pause_us, pause_disks_us, disks}' "$T/out"
    is "driver" "$driver" "$(field one disks.0.driver)"
    drained "$driver" one
    running $g "after the take"
    check_instant $driver one
    must "a second take" xl checkpoint $g -n two
    check_instant $driver two
    look_into $driver one
    must "delete one" xl checkpoint-delete one
    running $g "after the deletion"
    clean $g "after the deletion"

    step "$driver: run on, roll back"
    ticks $g "running on"
    must "rollback" xl rollback $g two || return
    ticks $g "after the rollback"
    clean $g "after the rollback"
    must "take after the rollback" xl checkpoint $g -n three
    check_instant $driver three

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
        fork_disk_end $fork
    done
    # What only the original reads through now goes up into its file.
    must "prune" xl checkpoint-prune
    ticks $g "the original in the end"
    clean $g "the original in the end"
    is_as_before "what is left"
    xl destroy $g
    disk_old $driver
}

read -ra drivers <<<"${*:-reflink qcow2}"
disks_setup "${drivers[@]}"
for driver in "${drivers[@]}"; do round $driver; done
disks_end
finish
