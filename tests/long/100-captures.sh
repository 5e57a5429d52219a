#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched --timeout 3600
#
# A hundred captures by the patched hypervisor of one guest under full write
# load, with disk and network traffic: each is one instant, memory and disk, by
# the checker, and the memory of the guest, paused since the cut, page by page.
# Every tenth is of all of memory, the others of what changed.  CAPTURES sets
# their number, VCPUS that of the guest's processors.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/../xen/lib.sh"
g=hundred

LOG_MS=50
witness_create $g mem=128 vcpus="${VCPUS:-2}" disk_mb=64 extra=addr=192.0.2.2/24 -- mb=16
is_control && { ticks $g control; clean $g control; finish; }
ping -q -i 0.02 -s 1400 192.0.2.2 >"$T/ping" 2>&1 &
ping=$!
for i in $(seq "${CAPTURES:-100}"); do
    before=$FAILED
    full=()
    [ $((i % 10)) -ne 9 ] || full=(--no-track) # so that the next is whole
    must "take $i" xl checkpoint $g --paused -n "take-$i" "${full[@]}" || continue
    # Packets go on arriving: the 256 buffers of the interface may differ, and
    # what backends had mapped, and no more.
    same_memory "take-$i" $g $((256 + $(field "take-$i" pages_in_pause)))
    xl unpause $g
    check_stored "take-$i"
    running $g "after take $i"
    if [ $FAILED -eq $before ]; then word=whole; else word=BAD; fi
    step "take $i: $word, $(tail -1 "$T/equal"); $(jq -nr \
        --argjson c "$(xl checkpoint-show --json "take-$i")" '$c.checkpoint |
        "\(if .base then "what changed" else "all" end), \(.pages_in_pause) pages copied in a pause of \(.pause_us / 1000 | round) ms"')"
    [ "$i" -eq 1 ] || must "delete" xl checkpoint-delete "take-$((i - 1))"
done
kill -INT $ping
wait $ping
step "$(grep transmitted "$T/ping")"
CHECKS=$((CHECKS + 1))
grep -Eq ' [1-9][0-9]* received' "$T/ping" || fail "no packet came through"
clean $g "in the end"
finish
