# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# What the benchmarks that run in the lab's dom0 share.  Ours and the peer
# take turns in one run on one guest (A B B A ...); a row is the medians and
# their ratio.  Times are dom0's; under emulation only the ratios mean much.
# shellcheck source=tests/xen/lib.sh
. /mnt/tests/xen/lib.sh

ROUNDS=${ROUNDS:-5}
BEAT=500 # pauses are seen by it
LOG_MS=50
# On the disk, as the store is: /tmp is memory.
SAVE=/var/tmp/save

# room MIB: store and SAVE on a filesystem of their own, where dom0's is small.
room() {
    lvcreate -qq -V "${1}M" -T vg0/pool -n bench-room &&
        mke2fs -q -F -t ext4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 \
            /dev/vg0/bench-room &&
        mkdir -p /mnt/room && mount /dev/vg0/bench-room /mnt/room || broken "no room"
    export CKPT_STORE=/mnt/room/store
    SAVE=/mnt/room/save
}

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# median FILE: of its numbers, one a line.
median() { sort -n "$1" | awk '{ v[NR] = $1 } END {
    print NR ? (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2) : 0 }'; }

# row NAME UNIT PEER OURS-FILE PEER-FILE: into /mnt/share/NAME.json.
row() {
    # shellcheck disable=SC2128,SC2178 # $4 and $5 are files
    jq -n -c --arg name "$1" --arg unit "$2" --arg peer "$3" \
        --argjson value "$(median "$4")" --argjson peer_value "$(median "$5")" \
        --argjson runs "$(wc -l <"$4")" \
        --argjson values "$(jq -s . "$4")" --argjson peer_values "$(jq -s . "$5")" \
        '{name: $name, value: $value, unit: $unit, peer: $peer,
          peer_value: $peer_value, ratio: ($value / $peer_value * 10000 | round / 10000),
          runs: $runs, values: $values, peer_values: $peer_values}' |
        tee "/mnt/share/$1.json"
}

# timed FILE COMMAND...: its milliseconds are added to FILE.
timed() {
    local file=$1 begin
    shift
    begin=$(now_ms)
    "$@" >"$T/out" 2>"$T/err" || {
        fail "\`$*' exited $?: $(tail -3 "$T/err")"
        return 1
    }
    echo $(($(now_ms) - begin)) >>"$file"
}

# paused FILE GUEST COMMAND...: the longest time the guest's heartbeat stood
# still while COMMAND ran, in ms, as dom0 saw it.
paused() {
    local file=$1 guest=$2 watcher
    shift 2
    rm -f "$T/enough" "$T/watching" # the last one's word is not this one's
    "$WORKLOAD/witness-pause" "$(xl domid "$guest")" --until-file "$T/enough" \
        >"$T/pause" 2>"$T/watching" &
    watcher=$!
    grep -q -m 1 watching < <(timeout 120 tail -q -s 0.1 -n +1 -F "$T/watching" 2>/dev/null) ||
        fail "witness-pause does not watch"
    "$@" >"$T/out" 2>"$T/err" || fail "\`$*' exited $?: $(tail -3 "$T/err")"
    # A gap counts when it has ended, which may be after COMMAND.
    ticks "$guest" "after $1"
    : >"$T/enough"
    wait "$watcher" || fail "witness-pause ended badly"
    jq '.max_gap_us / 1000' "$T/pause" >>"$file"
}

# alternate ROUNDS A B: A B B A A B B A ...
alternate() {
    local i
    for ((i = 0; i < $1; i++)); do
        if ((i % 2)); then $3; $2; else $2; $3; fi
    done
}
