#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
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
has_acked() { is_claimed_by "$1" && [ -z "$(request)" ]; }
has_monitor() { pgrep -f 'ckpt-helper[ ]watch'; }
is_one_guard() { [ "$(pgrep -fc 'ckpt-helper[ ]guard')" = 1 ]; }
claim() { xenstore-read "/libxl/$domid/ckpt-suspend" 2>/dev/null; }
is_claimed() { [ -n "$(claim)" ]; }
is_claimed_by() { [[ "$(claim)" = *" $1" ]]; }
is_free() { ! is_claimed; }
is_told() { [ "$(request)" = poweroff ]; }
in_vain() { grep -ac 'Freezing of tasks failed' "$(guest_log "$g")"; }
gave_up_freezing() { [ "$(in_vain)" -gt "$nr" ]; }
still_tries() {
    CHECKS=$((CHECKS + 1))
    ! gave_up_freezing || fail "$1: it has given up already"
}
# A record is under way to its disk.
is_stuck() {
    [ "$(grep -a 'WITNESS TICK' "$(guest_log "$g")" | tail -2 | grep -o ' log=[0-9]*' |
        uniq -d | wc -l)" = 1 ]
}
disk_stops() {
    nr=$(in_vain)
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
    is_as_before "$1: what is left"
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
still_tries late
disk_goes_on
goes_on "late"
# xl's has left when it suspended.
CHECKS=$((CHECKS + 1))
wait_until 30 has_monitor || fail "late: it has no monitor any more"

step "it suspends after the take was killed"
disk_stops killed
xl-ckpt checkpoint $g --exclude-disk=xvda -n lost >"$T/out" 2>&1 &
wait_until 60 has_acked asked || fail "killed: it is not asked"
kill -9 $!
wait $! && fail "killed: it succeeded"
still_tries killed
disk_goes_on
goes_on "killed"

step "it suspends while another take waits for it"
disk_stops another
late
take -n second --timeout=60 >"$T/out" 2>&1 &
wait_until 60 is_asked || fail "another: it is not asked"
is_claimed_by pending || fail "another: it follows no other: $(claim)"
wait_until 30 is_one_guard || fail "another: $(pgrep -af ckpt-helper)"
still_tries another
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
still_tries nobody
disk_goes_on
goes_on "nobody"

step "it was paused before, and is again"
disk_stops paused
xl pause $g
late
is "paused: it is" p "$(xl list $g | awk 'NR == 2 { print $5 }' | tr -d 'rbscd-')"
disk_goes_on
xl unpause $g
still_tries paused
goes_on "paused"

step "it gives up, and is asked again meanwhile"
disk_stops never
late
take -n second --timeout=120 >"$T/out" 2>&1 &
wait_until 60 is_asked || fail "never: it is not asked"
CHECKS=$((CHECKS + 3))
wait_until 120 gave_up_freezing || fail "never: it froze"
wait_until 60 has_acked pending || fail "never: it is not asked again"
disk_goes_on
wait $! || fail "never: $(cat "$T/out")"
must "never: delete" xl checkpoint-delete second
goes_on "never"

step "it gives up, and runs on"
disk_stops given-up
late
wait_until 120 gave_up_freezing || fail "given up: it froze"
CHECKS=$((CHECKS + 1))
running $g "given up"
disk_goes_on
must "given up: take" take -n after
must "given up: delete" xl checkpoint-delete after
goes_on "given up"

step "it suspends when it has been told to power off"
disk_stops off
late
xl shutdown $g >"$T/out" 2>&1 & # it waits for the acknowledgement
wait_until 60 is_told || fail "off: it is not told to"
still_tries off
disk_goes_on
CHECKS=$((CHECKS + 1))
wait $! || fail "off: $(cat "$T/out")"
# Its kernel has nothing that would turn it off.
goes_on "off"
is "its monitors" 1 "$(pgrep -fc 'ckpt-helper[ ]watch')"

# restored WHY: from what xl save has written.
restored() {
    must "$1: xl restore" xl restore $DISKS/saved
    domid=$(xl domid $g)
    rm $DISKS/saved
    running $g "$1"
    clean $g "$1"
    is_as_before "$1: what is left"
}
is_suspended() { [[ $(xl list $g | awk 'NR == 2 { print $5 }') = *s* ]]; }

step "xl save asks it meanwhile, and it is left to that"
disk_stops saved
late
xl save $g $DISKS/saved >"$T/out" 2>&1 &
wait_until 60 is_free || fail "saved: the guard does not leave it: $(claim)"
guards_end 30 || fail "saved: its guard stays"
still_tries saved
disk_goes_on
CHECKS=$((CHECKS + 3))
wait $! || fail "saved: $(tail -3 "$T/out")"
restored saved

step "xl save has suspended it: no take"
# It writes for as long as the pipe has room, and then waits for who reads.
mkfifo "$T/fifo"
exec 7<>"$T/fifo" # so that the next does not wait
exec 8<"$T/fifo"
exec 7>&-
xl save $g "$T/fifo" >"$T/save" 2>&1 &
wait_until 60 is_suspended || fail "being saved: it is not suspended"
must_fail 2 "domain \"$g\" is shut down or suspended" take -n lost
CHECKS=$((CHECKS + 3))
is_suspended || fail "being saved: it was resumed"
cat <&8 >$DISKS/saved
wait $! || fail "being saved: $(tail -3 "$T/save")"
exec 8<&-
restored "being saved"

guest_destroy $g
disk_old qcow2
disks_end
finish
