#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The reflink driver by itself on this machine, without Xen and its emulator: a raw
# file on an XFS of its own, in a file in $BENCH_DISK, else in the build folder.
# Needs root, to mount it.  Ours and the peer take turns; a row is the medians and
# their ratio:
#   disk.native.create.reflink      arm, cut and drain / `qemu-img snapshot -c' of a
#                                   qcow2 image on the same XFS
#   disk.native.firstwrite.qemu     WRITES writes of 4 KiB, in order, depth 16, each
#                                   straight to the file, as QEMU does it: the first
#                                   after a snapshot / the same once more
#   disk.native.firstwrite.loop     the same to a loop device, as blkback has it, up to
#                                   the end of a flush
set -eu -o pipefail
B=$(realpath "${B:-build}")
ROUNDS=${ROUNDS:-9}
WRITES=${WRITES:-16384}
export CKPT_HELPER=$B/ckpt-helper
tool=$B/tests/xen/disk_tool
[ "$(id -u)" -eq 0 ] || { echo "bench: skipped, it needs root: $0"; exit 0; }
mkdir -p "$B/bench"
dir=$(mktemp -d "${BENCH_DISK:-$B/bench}/disk.XXXXXX")
loop=
cleanup() {
    [ -z "$loop" ] || losetup -d "$loop"
    ! mountpoint -q "$dir/xfs" || umount "$dir/xfs"
    rm -rf "$dir"
}
trap cleanup EXIT

us() { # COMMAND...: what it takes, in microseconds
    local begin
    begin=$(date +%s%N)
    "$@" >&2
    echo $((($(date +%s%N) - begin) / 1000))
}
write_some() { # FORMAT FILE
    qemu-img bench -q -w -c "$WRITES" -d 16 -s 4096 -t none -f "$1" "$2"
}
write_through() { write_some raw "$1" && blockdev --flushbufs "$1" && sync -f .; }
writing() { # COMMAND...
    sync
    us "$@" 2>/dev/null
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END {
    print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
row() { # NAME PEER OURS-FILE PEER-FILE
    jq -n -c --arg name "$1" --arg peer "$2" --argjson value "$(median "$3")" \
        --argjson peer_value "$(median "$4")" --argjson runs "$ROUNDS" \
        '{name: $name, value: $value, unit: "us", peer: $peer, peer_value: $peer_value,
          ratio: ($value / $peer_value * 10000 | round / 10000), runs: $runs}' \
        >"$B/bench/$1.json"
}

truncate -s 4G "$dir/image"
mkfs.xfs -q "$dir/image"
mkdir "$dir/xfs"
mount -o loop "$dir/image" "$dir/xfs"
cd "$dir/xfs"
truncate -s 1G web
qemu-img create -q -f qcow2 peer 1G
write_some qcow2 peer >&2
write_some raw web >&2

# rounds NAME COMMAND...: a snapshot, and what the command then writes, twice.
rounds() {
    local name=$1 i snapshot
    shift
    for i in $(seq "$ROUNDS"); do
        "$tool" "xvda=$PWD/web" -- driver:reflink guard "arm:$i" cut drain keep stop >"$dir/beats"
        awk '/^(arm:.*|cut|drain): ok/ { us += $3 } END { print us }' "$dir/beats" >>"$dir/create.$name"
        us qemu-img snapshot -c x peer >>"$dir/peer.$name"
        qemu-img snapshot -d x peer
        writing "$@" >>"$dir/first.$name"
        writing "$@" >>"$dir/again.$name"
        snapshot=$(sed -n 's/^snapshot xvda //p' "$dir/beats")
        "$tool" "xvda=$PWD/web" -- driver:reflink "remove:$snapshot" >"$dir/removed"
    done
    row "disk.native.firstwrite.$name" "without a snapshot" "$dir/first.$name" "$dir/again.$name"
}

rounds qemu write_some raw web
row disk.native.create.reflink "qemu-img snapshot -c" "$dir/create.qemu" "$dir/peer.qemu"
loop=$(losetup -f --show web)
rounds loop write_through "$loop"
losetup -d "$loop"
loop=
cd /
