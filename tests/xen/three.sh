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
    is "drained" true "$(field one io_drained)"
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
