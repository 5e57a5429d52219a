#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched
#
# Captures by the patched hypervisor that meet something else: four vCPUs that
# write at full rate; a balloon, down and up, while the saver takes its time; a
# guest that is destroyed, or crashes, in the midst of a take. Nothing of it
# stays, and the other guests run on.
# shellcheck source=tests/xen/cow.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cow.sh"
g=stress

# gone NAME STATE WHAT COMMAND...: by that it comes to this state, or goes, while
# a take of it is under way, which stands still after the cut so that there is
# time for it.  What the take then makes is whole, or nothing.
gone() {
    local name=$1 state=$2 what=$3 line='' take out
    shift 3
    exec {out}< <(exec xl checkpoint -vv "$name" -n late 2>&1)
    take=$!
    while IFS= read -r -u "$out" line; do
        [[ $line = *"take: cut"* ]] && break
    done
    kill -STOP "$take" || broken "the take of $name was not there any more: $line"
    must "$what" "$@"
    wait_until 60 in_state "$name" "$state" || fail "$what: $(xl list "$name")"
    kill -CONT "$take"
    line=$(cat <&"$out")
    exec {out}<&-
    if wait "$take"; then
        must "verify what was taken" xl checkpoint-verify late
        must "delete it" xl checkpoint-delete late
    fi
    echo "$line" | tail -n 1
    wait_until 60 no_domain "$name" || fail "$what: $(xl list)"
    guards_end 60 || fail "$what: the guard stays"
    CHECKS=$((CHECKS + 2))
}
no_domain() { ! xl list | grep -q "^$1 \|^(null)"; }
# A domain that is going has no name any more.
in_state() {
    ! xl list | grep -q "^$1 " || xl list "$1" | awk -v s="$2" 'NR == 2 && $5 !~ s { exit 1 }'
}
mem_below() { [ "$(xl list "$1" | awk 'NR == 2 { print $3 }')" -le "$2" ]; }
mem_above() { [ "$(xl list "$1" | awk 'NR == 2 { print $3 }')" -ge "$2" ]; }

free=$(free_mib)
guest_create other mem=96 vcpus=1 disk=none net=0 || broken "no guest other"
witness_create $g mem=192 vcpus=4 disk_mb=64 net=0 extra=sysrq_always_enabled -- writers=4,mb=8
before=$(host_state | grep -v "$g")

step "four vCPUs at full rate"
must "page by page" "$COW" row vcpu $g
tail -n 1 "$T/out"

step "a balloon, and a slow saver"
exec {slow}< <(exec "$COW" slow $g 60 2>&1)
pid=$!
IFS= read -r -u "$slow" line
is "the saver" CUT "$line"
must "balloon down" xl mem-set $g 176
wait_until 30 mem_below $g 178 || fail "the balloon: $(xl list $g)"
must "balloon up" xl mem-set $g 192
wait_until 30 mem_above $g 190 || fail "the balloon: $(xl list $g)"
CHECKS=$((CHECKS + 1))
kill -USR1 $pid || broken "the saver was faster than the balloon"
out=$(cat <&"$slow")
exec {slow}<&-
wait $pid || fail "the slow capture: $out"
echo "$out" | tail -n 1
running $g "after the balloon"
clean $g "after the balloon"

step "a crash during a take"
gone $g "[cd]" "crash" xl sysrq $g c
is "the host" "$before" "$(host_state | grep -v $g)"
n=$(guest_lines other)
guest_wait other tick 60 $((n + 1)) >/dev/null || fail "the other guest stands still"

step "xl destroy during a take"
gone other d "destroy" xl destroy other
is "Xen's free memory" "$free" "$(free_mib)"
guest_destroy $g
finish
