# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# What a guest's disk stands on fails in the middle of an operation; sourced
# after disks.sh.
# shellcheck disable=SC2154 # g, the guest, and before, what there was, are the test's

stands() { [[ $(xl list "$g" | awk 'NR == 2 { print $5 }') = *[psc]* ]]; }
runs() { ! stands; }
# not_paused WHY: its processors run within seconds, whatever its disk does.
not_paused() {
    CHECKS=$((CHECKS + 1))
    wait_until 15 runs || fail "$1: it is left $(xl list "$g" | tail -1)"
    ticks "$g" "$1"
}

# fault_at POINT DEED MEANWHILE COMMAND...: it fails, when DEED is done while it is
# at that point; MEANWHILE it goes on from there.
fault_at() {
    local point=$1 deed=$2 meanwhile=$3 pid
    shift 3
    step "$g: $deed $point"
    CKPT_FAULT=stop:$point xl-ckpt "$@" >"$T/out" 2>&1 &
    pid=$!
    wait_until 300 is_stopped $pid || fail "$deed $point: it does not come there"
    $deed
    kill -CONT $pid
    $meanwhile
    CHECKS=$((CHECKS + 1))
    wait $pid && fail "$deed $point: \`$*' succeeded"
    cat "$T/out"
}
said() {
    CHECKS=$((CHECKS + 1))
    grep -Eq "$1" "$T/out" || fail "it did not say /$1/ but: $(cat "$T/out")"
}

taken() { xl checkpoint "$g" -n after 2>"$T/err"; }
# goes_on WHY [killed]: nothing is left over, and it can be taken.  A guard that
# waits for a guest that may suspend yet leaves with that.
goes_on() {
    not_paused "$1"
    is_as_before "$1: what is left" 300
    # The lock of one that was killed is given up for lost after a while.
    [ -z "${2:-}" ] || wait_until 120 taken || fail "$1: no take"
    [ -n "${2:-}" ] || must "$1: take" taken
    drained "$1" after
    must "$1: delete" xl checkpoint-delete after
    guards_end 60 || fail "$1: the guard stays"
    running "$g" "$1"
    clean "$g" "$1"
    is_as_before "$1: what is left"
}
