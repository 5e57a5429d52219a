#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The three operations on a PVH guest under full write load: what is stored is
# one instant; the guest rolled back goes on from there; a fork is another
# machine and leaves the original alone.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/three.sh"
three pvh
is_control && finish

step "who has met all pages asks about no hole"
must "take" xl checkpoint -vv three -n near
CHECKS=$((CHECKS + 1))
end=$(sed -n 's/.*pass 1: \([0-9]*\) of \1 pages, frames to \(0x[0-9a-f]*\) of .*/\2/p' "$T/err")
[ $((${end:-0x40000})) -lt $((0x40000)) ] || fail "$(grep 'pass 1' "$T/err")"
must "delete" xl checkpoint-delete near

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
