#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched
#
# The patched hypervisor's capture by itself: each way of writing to a guest's
# memory, page by page; nothing of Xen's memory stays behind; whoever saves may
# be slow, die, or ask for nonsense, and the guest runs on.
# shellcheck source=tests/xen/cow.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cow.sh"
g=writers

cow_guest $g
for row in $($COW rows); do
    step "$row"
    must "$row" "$COW" row "$row" $g
    tail -1 "$T/out"
done
running $g "after the rows"

step "attach and detach"
before=$(free_mib)
must "attach and detach" "$COW" cycle $g "${XEN_CKPT_CYCLES:-25}"
is "Xen's free memory" "$before" "$(free_mib)"

step "increments"
must "increments" "$COW" increment $g

step "the ring is full"
must "the guest waits and goes on" "$COW" full $g
must "the end while it waits" "$COW" full-detach $g
running $g "after it waited"

step "nobody saves"
must "the guest is let go" "$COW" stall $g
running $g "after the stall"

step "the saver dies"
"$COW" die $g >/dev/null 2>&1
running $g "without its saver"
must "what the guard does" "$COW" end $g
running $g "after its end"

step "nonsense"
must "nonsense" "$COW" fuzz $g "${XEN_CKPT_SEED:-1}" "${XEN_CKPT_FUZZ:-300}"
running $g "after the nonsense"
is "Xen's free memory after it all" "$before" "$(free_mib)"

step "the domain goes while it is captured"
"$COW" die $g >/dev/null 2>&1
must "destroy" xl destroy $g
no_guest() { [ "$(xl list | wc -l)" -eq 2 ]; }
CHECKS=$((CHECKS + 1))
wait_until 60 no_guest || fail "it stays: $(xl list $g)"
clean $g "in the end"
finish
