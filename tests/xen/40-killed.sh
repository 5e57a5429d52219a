#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# Our process is killed (SIGKILL) before and after every step of a take, a
# rollback and a fork: the guest runs on, its writes are not tracked any more,
# and nothing is left over: no volume, no domain, no half checkpoint.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
g=killed

# die POINT COMMAND...: it dies there, and the guard leaves nothing.
die() {
    local point=$1
    shift
    step "$point"
    CHECKS=$((CHECKS + 1))
    CKPT_FAULT=$point "$@" >"$T/out" 2>"$T/err"
    [ $? -eq 137 ] || fail "\`$*' did not die at $point: $(tail -n 2 "$T/err")"
    guards_end 120 || fail "$point: the guard stays"
}

# domains N: there are so many, dom0 among them.
domains() { [ "$(xl list | wc -l)" -eq $(($1 + 1)) ]; }

witness_create $g mem=112 vcpus=2 disk_mb=64 net=0 -- "mb=8,$LIGHT"
is_control && { ticks $g control; finish; }
must "take" xl checkpoint $g -n one
before=$(host_state)

for at in "before:take:memory armed" "after:take:memory armed" \
    "after:take:disks armed" "at:take:still" "after:take:cut" \
    "after:take:disks stored" "after:take:memory stored"; do
    die "kill:$at" xl checkpoint $g -n lost
    running $g "$at"
    is "the host after $at" "$before" "$(host_state)"
done
# Once published it is a checkpoint, whatever becomes of its maker.
for at in "at:take:published" "after:take:committed"; do
    die "kill:$at" xl checkpoint $g -n kept
    running $g "$at"
    must "verify what $at left" xl checkpoint-verify kept
    must "delete what $at left" xl checkpoint-delete kept
    is "the host after $at" "$before" "$(host_state)"
done
for at in "after:rollback:domain paused" "after:rollback:disks switched" \
    "after:rollback:name given up" "after:rollback:domain built" \
    "at:rollback:new one kept"; do
    old=$(xl domid $g)
    die "kill:$at" xl rollback $g one
    wait_until 60 domains 2 || fail "$at: $(xl list)"
    is "the domain after $at" "$old" "$(xl domid $g)"
    running $g "$at"
    is "the host after $at" "$before" "$(host_state)"
done
# From the turn on it is finished, not undone.
for at in "at:rollback:turned" "after:rollback:domain switched"; do
    old=$(xl domid $g)
    die "kill:$at" xl rollback $g one
    wait_until 60 domains 2 || fail "$at: $(xl list)"
    [ "$(xl domid $g)" != "$old" ] || fail "$at: the old one is still there"
    running $g "$at"
    is "the host after $at" "$before" "$(host_state)"
done
for at in "at:fork:child disks" "at:fork:child built"; do
    die "kill:$at" xl fork $g/one -n $g-2
    wait_until 60 domains 2 || fail "$at: $(xl list)"
    running $g "$at"
    is "the host after $at" "$before" "$(host_state)"
done
step "and everything still works"
must "take" xl checkpoint $g -n two
check_stored two
must "rollback" xl rollback $g two
ticks $g "rolled back"
clean $g "in the end"
must "delete" xl checkpoint-delete one two
finish
