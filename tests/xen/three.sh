# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# three TYPE [MIB] [WORDS]: take, rollback and fork of one guest, as the numbered
# tests run it for each type; WORDS are the witness's.

# The generation the witness has reached, from its newest tick.
generation() {
    grep -ao 'WITNESS TICK.*' "$(guest_log "$1")" | tail -1 |
        sed 's/.* gen=\([0-9]*\).*/\1/'
}

three() {
    local type=$1 mb=${2:-128} more=${3:-} g=three old new uuid fork policy=()
    witness_create $g type="$type" mem="$mb" vcpus=2 disk_mb=64 -- "mb=$((mb / 16))${more:+,$more}"
    is_control && { ticks $g control; clean $g control; return; }
    uuid=$(xl domid $g) && uuid=$(xenstore-read "/local/domain/$uuid/vm")

    step "take"
    must "take" xl checkpoint $g -n one --json || return
    cat "$T/out"
    running $g "after the take"
    check_stored one
    clean $g "after the take"
    drained "the take" one
    is "memory driver" "$([ "$type" = pv ] && echo stream || echo "${DRIVER:-dirty}")" \
        "$(field one mem_driver)"

    step "run on, roll back"
    old=$(generation $g)
    ticks $g "running on"
    must "rollback" xl rollback $g || return
    ticks $g "after the rollback"
    clean $g "after the rollback"
    is "uuid after the rollback" "$uuid" \
        "$(xenstore-read "/local/domain/$(xl domid $g)/vm")"
    new=$(generation $g)
    say "generation $old before, $new after"
    # Where there is no ring, it does not matter how large and what then.
    [ -n "${DRIVER:-}" ] || policy=(--ring 64 --when-full give-up)
    must "take after the rollback" xl checkpoint $g -n two ${policy[@]+"${policy[@]}"}
    check_stored two
    is "the tree" "$(field one id)" "$(field two parent)"

    step "fork of the running guest"
    must "fork" xl fork $g -n $g-fork || return
    fork=$g-fork
    ticks $fork "the fork"
    running $g "the original beside its fork"
    clean $fork "the fork"
    clean $g "the original"
    [ "$(xenstore-read "/local/domain/$(xl domid $fork)/vm")" != "$uuid" ] ||
        fail "the fork has its original's UUID"
    guest_destroy $fork
    must "verify" quietly $g xl checkpoint-verify one two

    step "fork of a checkpoint, twice"
    xl pause $g
    must "fork --count" xl fork $g/one --count 2 || return
    for fork in $g-fork-1 $g-fork-2; do
        ticks $fork "a fork of the checkpoint"
        clean $fork "a fork of the checkpoint"
        guest_destroy $fork
    done
    xl unpause $g
    running $g "the original in the end"
    clean $g "the original in the end"
    must "delete" xl checkpoint-delete one two
    is "checkpoints left" "" "$(checkpoint_ids)"
}

# three_resized: the guest of three() changes its size while a take is made ready,
# and is told to just before a cut; what is kept can be gone back to.
three_resized() {
    local g=three take

    has_mib() { [ "$(xl list "$g" | awk 'NR == 2 { print $3 }')" -eq "$1" ]; }
    while_ready() { # while_ready COMMAND...: the take's memory is armed
        local name=$1
        CKPT_FAULT='stop:after:take:memory armed' xl-ckpt checkpoint $g -n "$name" --paused -v >"$T/take" 2>&1 &
        take=$!
        shift
        CHECKS=$((CHECKS + 1))
        wait_until 120 is_stopped $take || fail "there is nothing made ready"
        "$@"
        kill -CONT "$take"
        wait "$take" || fail "the take failed: $(cat "$T/take")"
        same_memory "$name" $g 32 all
        xl unpause $g
    }
    other_size() {
        must "mem-set" xl mem-set $g "$1"
        wait_until 60 has_mib "$1" || fail "it does not get $1 MiB: $(xl list $g)"
    }
    back_to() { # back_to CHECKPOINT MIB
        must "rollback" xl rollback $g "$1" || return
        ticks $g "after the rollback"
        clean $g "after the rollback"
        CHECKS=$((CHECKS + 1))
        wait_until 60 has_mib "$2" || fail "after the rollback to $1: $(xl list $g)"
    }

    step "smaller, larger while a take is made ready"
    while_ready smaller other_size 112
    check_stored smaller
    while_ready larger other_size 128
    check_stored larger
    running $g "larger"

    step "told to become smaller, and cut before it has"
    xl pause $g
    must "mem-set" xl mem-set $g 112
    must "take" xl checkpoint $g -n told --paused
    must "fork" xl fork $g/told -n $g-told
    ticks $g-told "a fork of that"
    clean $g-told "a fork of that"
    guest_destroy $g-told
    xl unpause $g

    step "back to each size"
    back_to smaller 112
    back_to larger 128

    step "memory beyond all that there was"
    while_ready beyond "$WORKLOAD/../xen/xen_image_tool" add $g 0x200000
    check_stored beyond
    running $g "with a page beyond"
    must "delete" xl checkpoint-delete smaller larger told beyond
    is "checkpoints left" "" "$(checkpoint_ids)"
}
