#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --timeout 3600
#
# Twenty takes in a row of one guest under full write load: each stored image
# is one instant, memory and disk, by the checker; the guest never complains.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/../xen/lib.sh"
g=twenty

LOG_MS=50
witness_create $g mem=256 vcpus=2 disk_mb=64
is_control && { ticks $g control; clean $g control; finish; }
for i in $(seq 20); do
    before=$FAILED
    must "take $i" xl checkpoint $g -n "take-$i" || continue
    check_stored "take-$i"
    running $g "after take $i"
    if [ $FAILED -eq $before ]; then word=whole; else word=BAD; fi
    step "take $i: $word, $(jq -nr \
        --argjson c "$(xl checkpoint-show --json "take-$i")" '$c.checkpoint |
        "\(.pages_in_pause) pages in a pause of \(.pause_us / 1000 | round) ms"')"
    must "delete $i" xl checkpoint-delete "take-$i"
done
clean $g "in the end"
finish
