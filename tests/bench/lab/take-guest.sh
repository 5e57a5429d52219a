#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched
#
# What the guest pays while its memory is captured on write, by its own clock,
# against log-dirty alone, which Xen has for migration: both write protect all
# of it at once and let go of a page at its first write, but the capture keeps
# the page before.  One guest, by turns; dom0 does nothing meanwhile.
#   take.firstwrite        the first write to a page after a cut
#   take.firstwrite.split  the same where Xen still had entries of 2 MiB
#   take.firstwrite.zeros  the same, pages of zeros but for their last word
#   take.firstwrite.saved  the same, all pages being saved already
#   take.rewrite           a later write / the guest not armed
#   take.idle              computing, reading and later writes / not armed
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/guest.sh"
tool=/mnt/build/tests/xen/xen_arm_tool
g=bench
# More than the 4096 that are written before anybody saves, and Xen's reserve.
SLOTS=8192
# Region 0 is written in each round, the others once.
FRESH=0

arm() { # cow|log
    case $1 in
    cow) must "cut" "$tool" cow "$g" "$SLOTS" ;;
    log) must "log-dirty" "$tool" log "$g" ;;
    esac
}
disarm() { must "disarm" "$tool" none "$g"; }
kept() { must "all is kept" "$tool" written "$g"; }
# No page is protected any more, and none has to be looked at again.
settle() { measure "$T/none" mean touch 8 0; }

first_write() { # cow|log
    settle
    arm "$1"
    measure "$T/first.$1" mean touch 8 0
    FRESH=$((FRESH + 1))
    measure "$T/split.$1" mean touch 8 "$FRESH"
    [ "$1" = log ] || kept
    measure "$T/again.$1" median sweep 64 0
    disarm
}
cow() { first_write cow; }
log() { first_write log; }

# What takes longest to tell from a page of zeros, and is copied then.
zeros() {
    settle
    measure "$T/fill" mean tail 1 0
    arm cow
    measure "$T/first.zeros" mean touch 8 0
    kept
    disarm
}
saved() {
    settle
    arm cow
    must "save" "$tool" save "$g"
    measure "$T/first.saved" mean touch 8 0
    measure "$T/again.saved" median sweep 64 0
    # Each page of what is read has been looked at once, as it is soon after a cut.
    measure "$T/busy.armed" median compute 64 0
    disarm
}
not_armed() {
    settle
    measure "$T/again.none" median sweep 64 0
    measure "$T/busy.none" median compute 64 0
}

measured_guest "$g" $((1 + 2 * ROUNDS)) mem=512 vcpus=1 disk_mb=64
# From now on region 0 has no entry of 2 MiB.
arm log
settle
disarm
alternate "$ROUNDS" cow log
alternate "$ROUNDS" saved not_armed
for ((i = 0; i < ROUNDS; i++)); do zeros; done
row take.firstwrite ns "log-dirty alone" "$T/first.cow" "$T/first.log"
row take.firstwrite.split ns "log-dirty alone" "$T/split.cow" "$T/split.log"
row take.firstwrite.zeros ns "log-dirty alone" "$T/first.zeros" "$T/first.log"
row take.firstwrite.saved ns "log-dirty alone" "$T/first.saved" "$T/first.log"
row take.rewrite ns "not armed" "$T/again.cow" "$T/again.none"
row take.rewrite.saved ns "not armed" "$T/again.saved" "$T/again.none"
row take.idle ns "not armed" "$T/busy.armed" "$T/busy.none"
clean "$g" "in the end"
finish
