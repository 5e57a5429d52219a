#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --timeout 2700
#
# The three operations on a PVH guest under full write load: what is stored is
# one instant; the guest rolled back goes on from there; a fork is another
# machine and leaves the original alone.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/three.sh"
three pvh
is_control && finish
three_resized

step "a page by itself, far above all others"
must "one page more" "$WORKLOAD/../xen/xen_image_tool" add three 0x41000
must "take" xl checkpoint three --paused -n far
same_memory far three 32 all
CHECKS=$((CHECKS + 1))
! grep 'frame 0x41000' "$T/equal" || fail "the page far up is not in the checkpoint"
xl unpause three
running three "with a page more"
finish
