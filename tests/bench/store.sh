#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The store against its peers, on this machine, without Xen: ours and theirs
# take turns; a row is the medians and their ratio.  The image is MIB (1024)
# of memory, half of it zero (guest_image.h).  Memory is a tmpfs with huge
# pages where it can be mounted, else /dev/shm; the disk is $BENCH_DISK, else
# the build folder.
set -eu -o pipefail
B=${B:-build}
MIB=${MIB:-1024}
ROUNDS=${ROUNDS:-7}
DEPTH=${DEPTH:-256}
bench=$B/tests/bench/store_bench
disk=${BENCH_DISK:-$B/bench}/store-bench.$$
ram=/dev/shm/store-bench.$$
mkdir -p "$disk" "$ram"
is_mounted=
cleanup() {
    [ -z "$is_mounted" ] || umount "$ram"
    rm -rf "$disk" "$ram"
}
trap cleanup EXIT
mount -t tmpfs -o "huge=always,size=$((MIB * 3))m" none "$ram" 2>/dev/null &&
    is_mounted=yes

# numbers FILE KEY: what the program printed under that name
numbers() { awk -v k="$2" '$1 == k { print $2 }' "$1"; }
median() { sort -g | awk '{ v[NR] = $1 } END {
    print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
best() { sort -g | head -n 1; }
now() { date +%s.%N; }
# timed FILE COMMAND...: its seconds are added to FILE
timed() {
    local file=$1 begin
    shift
    begin=$(now)
    "$@"
    echo "$(now) $begin" | awk '{ printf "%.6f\n", $1 - $2 }' >>"$file"
}

# row NAME UNIT PEER VALUE PEER_VALUE RATIO RUNS
row() {
    jq -n -c --arg name "$1" --arg unit "$2" --arg peer "$3" --argjson value "$4" \
        --argjson peer_value "$5" --argjson ratio "$6" --argjson runs "$7" \
        '{name: $name, value: $value, unit: $unit, peer: $peer,
          peer_value: $peer_value, ratio: $ratio, runs: $runs}' |
        tee "$B/bench/$1.json"
}
calc() { awk "BEGIN { printf \"%.4f\", $1 }"; }
# faster NAME PEER OUR-SECONDS OUR-MIB PEER-SECONDS PEER-MIB: throughputs
faster() {
    row "$1" MiB/s "$2" "$(calc "$4 / $3")" "$(calc "$6 / $5")" \
        "$(calc "($4 / $3) / ($6 / $5)")" "$ROUNDS"
}

"$bench" image "$disk/image" "$MIB"

# --- ingest ------------------------------------------------------------------
"$bench" ingest "$ram/store" "$MIB" "$ROUNDS" >"$disk/ram"
stored=$(numbers "$disk/ram" stored)
stored_mib=$(calc "$stored / 1048576")
# the physical bytes of a take, for O_DIRECT
head -c "$((stored / 1048576 * 1048576))" "$disk/image" >"$disk/physical"
for ((i = 0; i < ROUNDS; i++)); do
    "$bench" ingest "$disk/store" "$MIB" 1 >>"$disk/disk"
    timed "$disk/dd" dd if="$disk/physical" of="$disk/out" bs=1M oflag=direct \
        conv=fsync status=none
    rm "$disk/out"
    timed "$disk/ddfsync" dd if="$disk/image" of="$disk/out" bs=1M conv=fsync \
        status=none
    rm "$disk/out"
    timed "$disk/zstd" zstd -q -1 -T2 -f "$disk/image" -o "$disk/out"
    rm "$disk/out"
    "$bench" bare "$disk" "$MIB" 1 >>"$disk/limits"
    rm "$disk/bare"
done
ram_s=$(numbers "$disk/ram" take | median)
copy_s=$(numbers "$disk/ram" memcpy | median)
disk_s=$(numbers "$disk/disk" take | median)
faster store.ingest.ram.memcpy memcpy "$ram_s" "$MIB" "$copy_s" "$MIB"
faster store.ingest.disk.dd 'dd oflag=direct conv=fsync' "$disk_s" \
    "$stored_mib" "$(median <"$disk/dd")" "$((stored / 1048576))"
faster store.ingest.disk.zstd 'zstd -1 -T2' "$disk_s" "$MIB" \
    "$(median <"$disk/zstd")" "$MIB"
faster store.ingest.disk.ddfsync 'dd conv=fsync' "$disk_s" "$MIB" \
    "$(median <"$disk/ddfsync")" "$MIB"
# As if nothing had to be known of what is stored: what this disk takes.
bare_s=$(numbers "$disk/limits" bare | median)
faster store.ingest.disk.bare 'the same pages, only written' "$disk_s" "$MIB" \
    "$bare_s" "$MIB"
faster store.ingest.disk.ddfsync.limit 'dd conv=fsync' "$bare_s" "$MIB" \
    "$(median <"$disk/ddfsync")" "$MIB"
cpu=$(numbers "$disk/disk" take.cpu | median)
copy_cpu=$(numbers "$disk/disk" memcpy.cpu | median)
row store.cpu.memcpy s 'memcpy' "$cpu" "$copy_cpu" \
    "$(calc "$cpu / $copy_cpu")" "$ROUNDS"
rm -rf "$disk/store" "$disk/physical"

# --- increments, depth, opening ----------------------------------------------
"$bench" chain "$disk/chain" "$((MIB / 4))" "$DEPTH" "$disk/alone" >"$disk/deep"
rm -rf "$disk/alone"
"$bench" chain "$disk/flat" "$MIB" 8 "$disk/alone" >"$disk/wide"
full=$(numbers "$disk/wide" full | median)
increment=$(numbers "$disk/wide" increment | median)
row store.increment.time ms 'a full take' "$(calc "$increment * 1000")" \
    "$(calc "$full * 1000")" "$(calc "$increment / $full")" 7
limit=$(numbers "$disk/limits" bare.hundredth | median)
row store.increment.time.limit ms 'a full take' "$(calc "$limit * 1000")" \
    "$(calc "$full * 1000")" "$(calc "$limit / $full")" "$ROUNDS"
awk '$1 == "increment.bytes" { print $2, $3, $2 / ($3 + 65536) }' "$disk/wide" |
    sort -g -k3 | sed -n 4p >"$disk/bytes"
read -r value peer ratio <"$disk/bytes"
row store.increment.bytes bytes 'dirty pages + 64 KiB' "$value" \
    "$((peer + 65536))" "$ratio" 7
# The chain's own first has half as many pages: nothing zero is dirtied.
one=$(numbers "$disk/deep" restore.alone | best)
deep=$(numbers "$disk/deep" restore.n | best)
row store.restore.256 s 'the same as checkpoint 1' "$deep" "$one" \
    "$(calc "$deep / $one")" 7
apart=$(numbers "$disk/limits" pass.apart | best)
in_a_row=$(numbers "$disk/limits" pass.row | best)
row store.restore.256.limit s 'memory in a row' "$apart" "$in_a_row" \
    "$(calc "$apart / $in_a_row")" "$ROUNDS"
first=$(numbers "$disk/deep" restore.1 | best)
row store.restore.first s 'checkpoint 1 of the chain' "$deep" "$first" \
    "$(calc "$deep / $first")" 7
open=$(numbers "$disk/deep" open.n | median)
open_wide=$(numbers "$disk/wide" open.n | median)
row store.open.ms ms 'a 4th of the size, 32 times the depth' \
    "$(calc "$open_wide * 1000")" "$(calc "$open * 1000")" \
    "$(calc "$open_wide / $open")" 7
row store.drop.ms ms 'a full take' \
    "$(calc "$(numbers "$disk/deep" drop.middle) * 1000")" \
    "$(calc "$(numbers "$disk/deep" full) * 1000")" \
    "$(calc "$(numbers "$disk/deep" drop.middle) / $(numbers "$disk/deep" full)")" 1
