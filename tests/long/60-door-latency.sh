#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched --timeout 3000 --xen-args dom0_max_vcpus=1
#
# How long a guest waits for the cut that it asked for: from its write to the
# request to suspend, seen by the side in dom0, in round trips from the guest to
# xenstore, measured in the same run; with and without a checkpoint that stands
# by.  ASKS sets the number of checkpoints of each kind.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/../xen/lib.sh"
# shellcheck source=tests/xen/door.sh
. "$(dirname "$0")/../xen/door.sh"
g=asks asks=${ASKS:-20} log=$T/ckptd.log
CKPTD_LOG=$log
is_control && finish

# median COLUMN FILE
median() {
    awk -v c="$1" '{ print $c }' "$2" | sort -n |
        awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
ready() { grep -c 'a checkpoint stands by' "$log"; }
stands_by() { [ "$(ready)" -gt "$1" ]; }

# phase NAME: asks, one after the other; cut_trips is the median.
phase() {
    local i n trip busy cut
    step "$1: the guest asks $asks times"
    : >"$T/seen"
    /mnt/build/tests/xen/xen_door_tool "$(xl domid $g)" "$asks" > >(tee "$T/seen") &
    wait_until 60 grep -q ready "$T/seen" || broken "nobody stands at the door"
    : >"$T/asked"
    for ((i = 0; i < asks; i++)); do
        n=$(ready)
        tell $g 'ask 1'
        told $g 300 'asked 0' >>"$T/asked" || { fail "it was not served"; break; }
        [ "$1" = plain ] || wait_until 120 stands_by "$n" || fail "nothing is made ready"
    done
    kill %1 2>/dev/null
    wait
    sed -i /ready/d "$T/seen"
    is "checkpoints taken" "$asks" "$(grep -c ' ok checkpoint ' "$T/asked")"
    is "cuts seen" "$asks" "$(wc -l <"$T/seen")"
    trip=$(median 3 "$T/asked")
    # What dom0 sees of the write comes later than the write, by less than a trip.
    busy=$(($(median 1 "$T/seen") + trip))
    cut=$(($(median 2 "$T/seen") + trip))
    cut_trips=$(awk -v a="$cut" -v b="$trip" 'BEGIN { printf "%.2f", a / b }')
    echo "$1: trip $trip us; accepted after $busy us, the cut begins after $cut us:" \
        "$cut_trips trips; done after $(median 4 "$T/asked") us"
}

conf='guest_requests = checkpoint
guest_rate = 3600/hour
guest_burst = 1000
guest_keep = 2'
ckptd_start "$conf"
door_guest $g tool mem=128 vcpus=1 disk_mb=64 --
[ -n "${ONLY_STANDBY:-}" ] || phase plain
ckptd_start "$conf
guest_standby = yes"
wait_until 120 stands_by 0 || fail "nothing is made ready: $(tail -3 "$log")"
phase standby
CHECKS=$((CHECKS + 1))
[ "${cut_trips%.*}" -lt 3 ] || [ "$cut_trips" = 3.00 ] || fail "the cut begins after more than 3 round trips"
running $g "in the end"
clean $g "in the end"
finish
