#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched
#
# After the first, a take on the patched hypervisor looks only at what changed,
# and its image is as whole as any: compared with the paused guest page by page,
# also after pages went and others came; and when what was noted is lost, or is
# of another checkpoint, all is looked at.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
g=inc

# take NAME [OPTIONS]: of the running guest, compared, and let go on.
take() {
    must "take $1" xl checkpoint $g --paused -n "$@" || return
    same_memory "$1" $g 32
    say "$1: $(tail -1 "$T/equal")"
    xl unpause $g
    running $g "after take $1"
    check_stored "$1"
}

witness_create $g mem=128 vcpus=2 disk_mb=64 net=0 -- "mb=8,$LIGHT"
is_control && { ticks $g control; finish; }

step "the first is whole, the next are increments"
take one
is "what one builds on" null "$(field one base)"
take two
is "what two builds on" "$(field one id)" "$(field two base)"
CHECKS=$((CHECKS + 1))
[ "$(field two pages_stored)" -lt $(($(field one pages_stored) / 2)) ] ||
    fail "two stored $(field two pages_stored) pages, one $(field one pages_stored)"

step "pages go and come between two takes"
must "balloon down" xl mem-set $g 112
running $g "smaller"
take three
is "what three builds on" "$(field two id)" "$(field three base)"
must "balloon up" xl mem-set $g 128
running $g "larger"
take four
is "what four builds on" "$(field three id)" "$(field four base)"

step "pages come back while an increment is read"
has_mib() { [ "$(xl list "$g" | awk 'NR == 2 { print $3 }')" -eq "$1" ]; }
must "balloon down" xl mem-set $g 112
wait_until 60 has_mib 112 || fail "it does not become smaller"
running $g "smaller again"
CHECKS=$((CHECKS + 1))
CKPT_FAULT='stop:after:take:disks stored' xl-ckpt checkpoint $g -n without >"$T/out" 2>&1 &
take=$!
wait_until 120 is_stopped $take || fail "there is no cut"
must "balloon up" xl mem-set $g 128
wait_until 60 has_mib 128 || fail "it does not become larger"
kill -CONT "$take"
wait "$take" || fail "the take: $(cat "$T/out")"
running $g "larger again"
check_stored without
take after
is "what the one after builds on" "$(field without id)" "$(field after base)"

step "a migration's log-dirty in between changes nothing"
must "save -c" xl save -c $g /var/tmp/save
rm -f /var/tmp/save
take five
is "what five builds on" "$(field after id)" "$(field five base)"

step "a take that failed, one that was told to forget, a deleted one"
CHECKS=$((CHECKS + 1))
CKPT_FAULT='fail:after:take:memory stored' xl checkpoint $g -n lost >"$T/out" 2>&1 &&
    fail "the take did not fail"
take six
is "what six builds on" null "$(field six base)"
take seven --no-track
is "what seven builds on" "$(field six id)" "$(field seven base)"
take eight
is "what eight builds on" null "$(field eight base)"
must "delete" xl checkpoint-delete eight
take nine
is "what nine builds on" null "$(field nine base)"

step "going back to an increment, and forking it; both are compressed"
xl pause $g
must "compress" xl checkpoint-prune --compress --json
CHECKS=$((CHECKS + 1))
[ "$(jq .freed_bytes "$T/out")" -gt 0 ] || fail "nothing was compressed: $(cat "$T/out")"
xl unpause $g
must "rollback" xl rollback $g four
ticks $g "rolled back"
clean $g "rolled back"
take ten
is "what ten builds on" null "$(field ten base)"
must "fork" xl fork $g/five -n $g-fork
ticks $g-fork "the fork"
clean $g-fork "the fork"
clean $g "the original"
xl pause $g # those who run would only take the processors
xl pause $g-fork
must "verify" xl checkpoint-verify one two three four five six seven nine ten
finish
