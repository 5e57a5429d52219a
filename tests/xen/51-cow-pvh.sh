#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched --timeout 2400
#
# Take, rollback and fork of a PVH guest on the patched hypervisor; ballooning
# and another's log-dirty while the memory is captured.
DRIVER=cow
# shellcheck source=tests/xen/three.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/three.sh"
three pvh 128 rate=2000
if ! is_control; then
    step "balloon during a take"
    xl checkpoint three -n ballooned >"$T/take" 2>&1 &
    take=$!
    must "balloon down" xl mem-set three 112
    must "balloon up" xl mem-set three 128
    CHECKS=$((CHECKS + 1))
    wait $take || fail "the take failed: $(cat "$T/take")"
    check_stored ballooned
    running three "after it"
    clean three "after it"
fi
finish
