#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --timeout 1800
#
# A guest that acknowledges the request to suspend and cannot: one of its
# processes waits for a disk that does not answer, and Linux tries for 20 s to
# freeze it.  The guest may suspend when nobody asks any more, and then it has to
# go on at once; or not at all, and then it can be taken again.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/xen/disks.sh
. "$(dirname "$0")/disks.sh"
g=late
LOG_MS=50

qemu() { pkill "-$1" -f -- "-xen-domid $domid "; }
request() { xenstore-read "/local/domain/$domid/control/shutdown" 2>/dev/null; }
is_asked() { [ "$(request)" = suspend ]; }
has_acked() { is_claimed && [ -z "$(request)" ]; }
claim() { xenstore-read "/libxl/$domid/ckpt-suspend" 2>/dev/null; }
is_claimed() { [ -n "$(claim)" ]; }
is_claimed_by() { [[ "$(claim)" = *" $1" ]]; }
is_free() { ! is_claimed; }
gave_up_freezing() { [ "$(guest_lines_of 'Freezing of tasks failed')" -gt "$1" ]; }
guest_lines_of() { grep -ac "$1" "$(guest_log "$g")"; }
# A record is under way to its disk.
is_stuck() {
    [ "$(grep -a 'WITNESS TICK' "$(guest_log "$g")" | tail -2 | grep -o ' log=[0-9]*' |
        uniq -d | wc -l)" = 1 ]
}
disk_stops() {
    qemu STOP
    wait_until 60 is_stuck || fail "$1: its disk goes on"
}
disk_goes_on() { qemu CONT; }
take() { xl checkpoint $g --exclude-disk=xvda "$@"; }
# A take that gives up on it while it tries.
late() {
    must_fail 7 "domain \"$g\" began to suspend but did not finish within 3 s" \
        take -n lost --timeout=3
    CHECKS=$((CHECKS + 1))
    is_claimed_by asked || fail "nobody waits for it: $(claim)"
}
# goes_on WHY: nobody waits for it any more, it has its disk, and can be taken.
goes_on() {
    CHECKS=$((CHECKS + 2))
    wait_until 60 is_free || fail "$1: it is not resumed: $(claim); $(xl list $g | tail -1)"
    running $g "$1"
    guards_end 30 || fail "$1: its guard stays"
    is "$1: the request" "" "$(request)"
    must "$1: take" xl checkpoint $g -n after
    must "$1: delete" xl checkpoint-delete after
    running $g "$1"
    clean $g "$1"
    is "$1: what is left" "$before" "$(disks_state)"
}

disks_setup qcow2
disk_new qcow2
witness_create $g mem=128 vcpus=1 net=0 "$(disk_words qcow2)" -- "mb=4,$LIGHT"
domid=$(xl domid $g)
before=$(disks_state)
is_control && { ticks $g control; clean $g control; guest_destroy $g; disk_old qcow2; disks_end; finish; }

step "it suspends after the take has given up"
disk_stops late
late
disk_goes_on
goes_on "late"

step "it suspends after the take was killed"
disk_stops killed
xl-ckpt checkpoint $g --exclude-disk=xvda -n lost >"$T/out" 2>&1 &
wait_until 60 has_acked || fail "killed: it is not asked"
kill -9 $!
wait $! && fail "killed: it succeeded"
disk_goes_on
goes_on "killed"

step "it suspends while another take waits for it"
disk_stops another
late
take -n second --timeout=60 >"$T/out" 2>&1 &
wait_until 60 is_asked || fail "another: it is not asked"
is_claimed_by pending || fail "another: it follows no other: $(claim)"
guards_end 1 && fail "another: nobody guards it"
disk_goes_on
wait $! || fail "another: $(cat "$T/out")"
CHECKS=$((CHECKS + 4))
check_stored second
must "another: delete" xl checkpoint-delete second
goes_on "another"

step "nor does a second take live to see it"
disk_stops nobody
late
must_fail 7 "did not answer the request to suspend within 2 s" take -n lost --timeout=2
is_claimed_by pending || fail "nobody: nobody waits for it: $(claim)"
CHECKS=$((CHECKS + 1))
disk_goes_on
goes_on "nobody"

step "it gives up, and is asked again meanwhile"
nr=$(guest_lines_of 'Freezing of tasks failed')
disk_stops never
late
take -n second --timeout=120 >"$T/out" 2>&1 &
wait_until 60 is_asked || fail "never: it is not asked"
CHECKS=$((CHECKS + 3))
wait_until 120 gave_up_freezing "$nr" || fail "never: it froze"
wait_until 60 has_acked || fail "never: it is not asked again"
disk_goes_on
wait $! || fail "never: $(cat "$T/out")"
must "never: delete" xl checkpoint-delete second
goes_on "never"

step "it gives up, and runs on"
nr=$(guest_lines_of 'Freezing of tasks failed')
disk_stops given-up
late
wait_until 120 gave_up_freezing "$nr" || fail "given up: it froze"
CHECKS=$((CHECKS + 1))
running $g "given up"
disk_goes_on
must "given up: take" take -n after
must "given up: delete" xl checkpoint-delete after
goes_on "given up"

guest_destroy $g
disk_old qcow2
disks_end
finish
