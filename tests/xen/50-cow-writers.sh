#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched --timeout 2400
#
# The patched hypervisor's capture by itself: each way of writing to a guest's
# memory, page by page; nothing of Xen's memory stays behind; whoever saves may
# be slow, die, or ask for nonsense, and the guest runs on.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
tool=/mnt/build/tests/xen/xen_cow_tool
g=writers

free_mib() { xl info | awk '/^free_memory/ { print $3 }'; }

witness_create $g type=pvh mem=128 vcpus=2 -- mb=16
for row in $($tool rows); do
    step "$row"
    must "$row" "$tool" row "$row" $g
    tail -1 "$T/out"
done
running $g "after the rows"

step "attach and detach"
before=$(free_mib)
must "attach and detach" "$tool" cycle $g "${XEN_CKPT_CYCLES:-40}"
is "Xen's free memory" "$before" "$(free_mib)"

step "nobody saves"
must "the guest is let go" "$tool" stall $g
running $g "after the stall"

step "the saver dies"
"$tool" die $g >/dev/null 2>&1
running $g "without its saver"
must "what the guard does" "$tool" end $g
running $g "after its end"

step "nonsense"
must "nonsense" "$tool" fuzz $g "${XEN_CKPT_SEED:-1}" "${XEN_CKPT_FUZZ:-300}"
running $g "after the nonsense"
is "Xen's free memory after it all" "$before" "$(free_mib)"

step "the domain goes while it is captured"
"$tool" die $g >/dev/null 2>&1
must "destroy" xl destroy $g
wait_until 60 test "$(xl list | wc -l)" -eq 2
clean $g "in the end"
finish
