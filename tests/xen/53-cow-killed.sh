#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched --timeout 2400
#
# As 40-killed.sh, for the steps of a take in which the patched hypervisor
# captures the guest's memory: killed there, the guard ends the capture.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
g=killed

witness_create $g mem=112 vcpus=2 disk_mb=64 net=0 -- "mb=8,$LIGHT"
must "take" xl checkpoint $g -n one --no-track
is "memory driver" cow "$(field one mem_driver)"
before=$(host_state)
free=$(free_mib)
for at in "after:take:memory armed" "at:take:still" "after:take:cut" \
    "after:take:disks stored"; do
    step "kill:$at"
    CHECKS=$((CHECKS + 1))
    CKPT_FAULT=kill:$at xl checkpoint $g -n lost >"$T/out" 2>"$T/err"
    [ $? -eq 137 ] || fail "it did not die at $at: $(tail -n 2 "$T/err")"
    guards_end 120 || fail "$at: the guard stays"
    running $g "$at"
    is "the host after $at" "$before" "$(host_state)"
    is "Xen's free memory after $at" "$free" \
        "$(free_mib)"
done
must "take" xl checkpoint $g -n two
check_stored two
clean $g "in the end"
finish
