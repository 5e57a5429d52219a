#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched
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

# A domain has one capture, and another store knows nothing of our lock.
other=$T/other
mkdir "$other"
for at in "after:take:memory armed" "after:take:disks stored"; do
    step "taken over at $at"
    CKPT_FAULT=stop:$at xl-ckpt checkpoint $g -n mine >"$T/out" 2>&1 &
    take=$!
    wait_until 120 is_stopped $take || fail "$at: it does not come there"
    CKPT_STORE=$other must "$at: the other store's take" xl checkpoint $g -n theirs
    kill -CONT $take
    CHECKS=$((CHECKS + 1))
    wait $take && fail "$at: a capture was taken over, and nobody noticed"
    grep -q 'another program has begun to capture' "$T/out" || fail "$at: $(cat "$T/out")"
    guards_end 120 || fail "$at: the guard stays"
    running $g "$at"
    CKPT_STORE=$other check_stored theirs
    CKPT_STORE=$other must "delete" xl checkpoint-delete theirs
    must "$at: and again" xl checkpoint $g -n mine
    check_stored mine
    must "delete" xl checkpoint-delete mine
done
clean $g "in the end"
finish
