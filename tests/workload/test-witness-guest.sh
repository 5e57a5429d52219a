#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The witness in a real guest, judged from dom0, on any Xen and with nothing of
# ours but the workload: a paused guest's memory and disk are one instant, a
# running one's memory is not, and a pause of known length is measured.  This is
# what the tests of checkpoints stand on.  Runs in the lab's dom0:
#
#   tests/lab/lab run -- /mnt/tests/workload/test-witness-guest.sh
#
# Exit: 0, 1 fault, 77 not in the lab's dom0, 99 the guest did not come up.
set -u -o pipefail
[ -r /mnt/tests/lab/guest.sh ] || { echo "skip: not in the lab's dom0"; exit 77; }
# shellcheck source=tests/lab/guest.sh
. /mnt/tests/lab/guest.sh
bin=/mnt/build/tests/workload
patience=${WAIT:-300} # an emulator on a busy machine is slow
T=$(mktemp -d) || exit 99
g="witness-guest"
trap 'guest_destroy $g; rm -rf "$T"' EXIT
failed=0
fail() { echo "FAIL: $*"; failed=1; }

words=writers=2,mb=${MB:-16},rate=${RATE:-full},beat=${BEAT:-4000},logms=50,disk=/mnt/disk/witness.log
guest_create $g mem=128 vcpus=2 net=0 disk_mb=64 \
    witness="$words,load=/mnt/disk/load,loadms=20" || exit 99
guest_wait $g 'WITNESS READY' "$patience" || { tail "$(guest_log $g)"; exit 99; }
guest_wait $g 'WITNESS TICK n=3 ' "$patience" || exit 99
id=$(xl domid $g)

# Block requests under way are not part of the memory; wait until none is.
drained() {
    local end=$((SECONDS + 10))
    while [ $SECONDS -lt $end ]; do
        cat /sys/class/block/dm-*/inflight | grep -qv '^ *0  *0$' || return 0
        # lint: sleep ok: requests in flight end without an event
        sleep 0.02
    done
    return 1
}

next_tick() {
    guest_wait $g 'WITNESS TICK' "$patience" $(($(guest_lines $g) + 1)) ||
        fail "the guest does not go on"
}

for i in 1 2 3; do
    xl pause $g
    drained || fail "requests stay in flight"
    "$bin/witness-pause" "$id" --dump "$T/image"
    "$bin/witness-check" --raw "$T/image" --disk /dev/vg0/$g ||
        fail "paused guest $i is not one instant"
    xl unpause $g
    next_tick
done

"$bin/witness-pause" "$id" --dump "$T/image"
"$bin/witness-check" --raw "$T/image" --max 3
[ $? -eq 1 ] || fail "the memory of a running guest passed for one instant"

# watch WORD...: start witness-pause; its words come from descriptor 5, and the
# first of them says that it watches.
watch() {
    exec 5< <(exec "$bin/witness-pause" "$id" "$@" 2>&1)
    watcher=$!
    read -r -t "$patience" line <&5
    [[ $line == *watching* ]] || fail "witness-pause says $line"
}

watch --until-file "$T/enough"
next_tick
xl pause $g
# lint: sleep ok: this is the pause that is to be measured
sleep 1
xl unpause $g
next_tick
: >"$T/enough"
read -r -t "$patience" json <&5
wait $watcher || fail "witness-pause ended badly"
cut -c 1-1000 <<<"$json"
max=$(jq .max_gap_us <<<"$json")
[ "${max:-0}" -ge 1000000 ] || fail "a pause of a second was measured as $max us"

watch
next_tick
guest_destroy $g
read -r -t "$patience" json <&5
wait $watcher || fail "witness-pause ended badly with its domain"
jq -r .ended <<<"$json" | grep -x 'domain gone' || fail "the domain's end was not seen"
xl list | grep -q '(null)' && fail "a mapping keeps the dead domain"
grep 'WITNESS VIOLATION' "$(guest_log $g)" && fail "the witness found something"
exit $failed
