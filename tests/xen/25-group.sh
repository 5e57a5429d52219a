#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# Two guests at one instant: both stand still before either is cut; their
# checkpoints appear together, or not at all, whatever dies when.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"

for g in left right; do
    witness_create $g mem=112 vcpus=1 disk_mb=64 net=0 -- "mb=8,$LIGHT"
done
is_control && { ticks left control; ticks right control; finish; }
before=$(host_state)

step "both at one instant"
must "group" xl checkpoint --group pair --json left right
mv "$T/out" "$T/pair"
jq -c '.checkpoints[] | {domain_name, group, pause_us, still_us, pause_disks_us}' "$T/pair"
running left "after the group"
running right "after the group"
for g in left right; do
    id=$(jq -r ".checkpoints[] | select(.domain_name == \"$g\") | .id" "$T/pair")
    is "group of $g" pair "$(field "$id" group)"
    check_stored "$id"
    # From the first known to stand still to its going on both stood still.
    echo "$id $(field "$id" created_unix_us) $(field "$id" still_us)"
    must "delete" xl checkpoint-delete "$id"
done
is "what is left" "$before" "$(host_state)"

step "one that cannot be taken: none is"
must_fail 3 'no domain' xl checkpoint --group pair left nobody
must_fail 2 'named twice' xl checkpoint --group pair left left
is "what is left" "$before" "$(host_state)"
running left "after a refusal"

step "no cut after all: those who stand still, or are about to, run on"
must_fail 1 'fault injected' env CKPT_FAULT=fail:at:take:still xl checkpoint --group pair left right
running left "after a cut that failed"
running right "after a cut that failed"
for limit in 0.001 0.02 0.1 0.3; do
    xl checkpoint --group pair --timeout $limit left right >"$T/out" 2>&1
    rc=$?
    case $rc in 0 | 7) ;; *) fail "limit of $limit s: status $rc" ;; esac
    guards_end 120 || fail "limit of $limit s: the guard is still there"
    running left "after a limit of $limit s"
    running right "after a limit of $limit s"
    for id in $(checkpoint_ids); do must "delete" xl checkpoint-delete "$id"; done
done
is "what is left" "$before" "$(host_state)"

step "killed on the way"
for where in "after:group:disks armed" "after:group:cut" "after:group:marked" \
    "after:group:each committed"; do
    CKPT_FAULT="kill:$where" xl checkpoint --group pair left right >"$T/out" 2>&1
    guards_end 120 || fail "$where: the guard is still there"
    is "$where: checkpoints" "" "$(checkpoint_ids)"
    running left "killed $where"
    running right "killed $where"
done
# The next group sweeps away what the last deaths left in the store.
must "group" xl checkpoint --group pair left right
is "checkpoints" 2 "$(checkpoint_ids | wc -l)"
for id in $(checkpoint_ids); do must "delete" xl checkpoint-delete "$id"; done
is "what is left" "$before" "$(host_state)"
clean left "in the end"
clean right "in the end"
finish
