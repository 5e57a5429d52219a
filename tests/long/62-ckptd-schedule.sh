#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched --timeout 7200
#
# A group of four guests is checkpointed by schedule, three checkpoints of each are
# kept, for as many rounds as ten minutes have at five seconds: none is left out,
# and nothing is used up, in dom0, Xen, the store or xenstore.  INTERVAL says what
# the emulator can hold, ROUNDS how often.  Disks are files on XFS: LVM's programs
# alone would take longer than that in it.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/../xen/lib.sh"
# shellcheck source=tests/xen/door.sh
. "$(dirname "$0")/../xen/door.sh"
# shellcheck source=tests/xen/disks.sh
. "$(dirname "$0")/../xen/disks.sh"
interval=${INTERVAL:-5} rounds=${ROUNDS:-120} keep=3
guests=(one two three four)
is_control && finish

# schedule SECONDS: from now on; 0: none, and none is under way any more.
schedule() {
    printf 'store = %s\naudit_log = %s/audit\nschedule = %ss\ngroup = four\nkeep_count = %s\n' \
        "$CKPT_STORE" "$T" "$1" $keep >/etc/xen/ckptd.conf
    kill -HUP "$(cat "$T/ckptd.pid")"
    [ "$1" -ne 0 ] || wait_until 120 no_job || fail "a job stays"
}
ended() { grep -c '"event":"ended".*"state":"done"' "$T/audit"; }
left_out() { grep -c 'no scheduled checkpoint' "$CKPTD_LOG"; }

files() { pgrep -x "$1" | while read -r p; do ls "/proc/$p/fd"; done | wc -l; }
is_at() { [ "$(ended)" -ge "$1" ]; }

# What could be used up: what has to be equal, and what may differ somewhat.
exact() {
    echo "disk_files $(find $DISKS -type f | wc -l)"
    echo "mappings $(dmsetup info -c --noheadings | wc -l)"
    echo "domains $(xl list | wc -l)"
    echo "checkpoints $(checkpoint_ids | wc -l)"
    echo "xen_free_mib $(free_mib)"
    echo "xenstore_nodes $(xenstore-ls -f | wc -l)"
    echo "daemon_files $(files 'ckptd|ckptd-front|ckptd-door')"
    echo "xenstored_files $(files xenstored)"
    echo "helpers $(pgrep -c ckpt-helper)"
}
rough() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
    awk '$1 == "MemAvailable:" { print "dom0_used_kib", -$2 }' /proc/meminfo
    awk '$1 == "Slab:" { print "slab_kib", $2 }' /proc/meminfo
    echo "daemon_kib $(daemon_kib)"
    for role in ckptd ckptd-front ckptd-door; do echo "${role}_kib $(process_kib $role)"; done
    echo "xenstored_kib $(xenstored_kib)"
    echo "store_kib $(du -sk "$CKPT_STORE" | cut -f1)"
}

free=$(free_mib)
disks_setup reflink
for g in "${guests[@]}"; do
    disk_new reflink
    mv "$DISK" "$DISKS/$g.img"
    DISK=$DISKS/$g.img
    witness_create "$g" mem=128 vcpus=1 "$(disk_words reflink)" -- "mb=4,$LIGHT"
done
ckptd_start ''
before=$(host_state)

step "every $interval s, until $((keep + 2)) are through"
schedule "$interval"
wait_until 600 is_at $((keep + 2)) || fail "it does not begin"
schedule 0
exact >"$T/exact.warm"
rough >"$T/rough.warm"
first=$(ended) out=$(left_out)
step "and $rounds rounds more"
schedule "$interval"
while ! is_at $((first + rounds)) && [ $FAILED -eq 0 ]; do
    n=$(ended)
    wait_until $((8 * interval + 60)) is_at $((n + 5)) || fail "nothing is taken any more"
    for g in "${guests[@]}"; do clean "$g" "after $(($(ended) - first))"; done
    step "$(($(ended) - first)) taken, $(($(left_out) - out)) left out"
done
schedule 0
step "nothing is used up"
exact >"$T/exact.end"
rough >"$T/rough.end"
paste "$T/rough.warm" "$T/rough.end" | awk '{ print $1, $2, "->", $4 }'
cat "$T/exact.end"
is "what may not change" "$(cat "$T/exact.warm")" "$(cat "$T/exact.end")"
is "left out" 0 $(($(left_out) - out))
is "failed" 0 "$(grep -c '"event":"ended".*"state":"failed"' "$T/audit")"
CHECKS=$((CHECKS + 1))
paste "$T/rough.warm" "$T/rough.end" | awk '
    BEGIN { max["dom0_used_kib"] = 8192; max["slab_kib"] = 4096; max["daemon_kib"] = 1024
            max["xenstored_kib"] = 256; max["store_kib"] = 65536 }
    $1 in max && $4 - $2 > max[$1] { print $1 " grew by " $4 - $2; bad = 1 }
    END { exit bad }' || fail "something grows"
for g in "${guests[@]}"; do
    id=$(xl checkpoint-list --json "$g" | grep -Eo '"id": "[0-9a-f]+"' | cut -d'"' -f4 | tail -1)
    check_instant reflink "$id"
    running "$g" "in the end"
    clean "$g" "in the end"
done
checkpoint_ids >"$T/ids"
must "delete" xargs xl checkpoint-delete <"$T/ids"
is "files" "${#guests[@]}" "$(find $DISKS -type f | wc -l)"
is "what is left" "$before" "$(host_state)"
# Until then Xen has the ring of each for its next checkpoint.
for g in "${guests[@]}"; do guest_destroy "$g"; done
is "Xen's free memory" "$free" "$(free_mib)"
finish
