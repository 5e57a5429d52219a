#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched
#
# A guest that writes faster than the store takes it, on the patched hypervisor:
# it waits, and that is counted, or the checkpoint is given up, as was asked for.
# The store is as slow as can be: the program that writes to it is stopped.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/xen/door.sh
. "$(dirname "$0")/door.sh"
g=policy

no_daemon() { ! pgrep -x ckptd >/dev/null; }
capture() { field "$1" "capture.$2"; }

within() { # within WHAT LEAST MOST FOUND
    CHECKS=$((CHECKS + 1))
    [ "$2" -le "$4" ] && [ "$4" -le "$3" ] && return 0
    fail "$1: $4 is not between $2 and $3"
}

# stopped NAME [OPTIONS]: a take that is stopped after the cut; its process in
# $take.
stopped() {
    CHECKS=$((CHECKS + 1))
    CKPT_FAULT=stop:after:take:cut xl-ckpt checkpoint $g --no-track -n "$@" \
        >"$T/take" 2>&1 &
    take=$!
    wait_until 120 is_stopped $take || fail "take $1 does not get to the cut"
}

go_on() {
    got=0
    kill -CONT $take
    wait $take || got=$?
}
# ended STATUS PATTERN: it goes on, and ends so.
ended() {
    go_on
    ended_with "$@"
}
ended_with() {
    CHECKS=$((CHECKS + 1))
    is "the end of the take" "$1" "$got"
    grep -Eq "$2" "$T/take" || fail "it did not say /$2/ but: $(cat "$T/take")"
}

# The smallest ring of two vCPUs is 18 MiB; of it, the guest gets 13.
witness_create $g mem=144 vcpus=2 disk_mb=64 net=0 -- mb=24,rate=8000
is_control && { ticks $g control; finish; }

step "what is no ring and no answer is refused"
must_fail 2 'too small for 2 vCPUs; at least 18' xl checkpoint $g --ring 17
must_fail 2 'from 1 to 1024' xl checkpoint $g --ring 1025
must_fail 2 'wait or give-up' xl checkpoint $g --when-full never
running $g "refused"
before=$(host_state)
free=$(free_mib)

step "the guest waits, and the checkpoint is whole"
# The saver may be so late that Xen has let the guest go: said, and tried again.
for _ in 1 2 3; do
    stopped waited --ring 18
    # lint: sleep ok: so long the guest waits, and no longer than Xen lets it
    sleep 1
    go_on
    grep -q 'waited 2 s for room' "$T/take" || break
    is "the end of a take that was late" 6 "$got"
done
ended_with 0 'waited [0-9]+ times? for room in the ring of 18.0 MiB'
say "ring $(capture waited ring_bytes), waits $(capture waited waits), us $(capture waited waits_us)"
within "how often it waited" 1 100000 "$(capture waited waits)"
within "how long it waited" 500000 2500000 "$(capture waited waits_us)"
check_stored waited
running $g "waited"

step "every page comes once, in few hypercalls"
must "take" xl checkpoint $g -n counted
pages=$(($(field counted memory_bytes) / 4096))
kept=$(($(field counted pages_in_pause) + $(capture counted pages_by_write) + $(capture counted pages_by_read)))
say "$pages pages, kept $kept, $(capture counted hypercalls) hypercalls, $(capture counted copied_bytes) bytes copied"
within "pages that were kept" $((pages - 256)) $((pages + 256)) $kept
full=$((kept - $(field counted pages_zero)))
within "pages that were copied" $((full - 64)) $full $(($(capture counted copied_bytes) / 4096))
within "hypercalls" 1 $((24 + kept / 1024)) "$(capture counted hypercalls)"

step "another policy is another ring, and all is looked at"
must "take" xl checkpoint $g -n next
is "what next builds on" "$(field counted id)" "$(field next base)"
must "take" xl checkpoint $g -n larger --ring 40 --no-track
is "what larger builds on" null "$(field larger base)"
is "its ring" $((40 << 20)) "$(capture larger ring_bytes)"
must "delete" xl checkpoint-delete waited counted next larger

step "the checkpoint is given up, and the guest does not wait"
stopped lost --ring 18 --when-full give-up
# lint: sleep ok: the ring is full long before that
sleep 2
running $g "while the saver is stopped"
ended 6 'wrote faster than the store.*18 MiB.*--ring'
running $g "given up"
is "the host" "$before" "$(host_state)"
is "Xen's free memory" "$free" "$(free_mib)"
must_fail 3 lost xl checkpoint-show lost

step "nobody waits for ever"
stopped stuck --ring 18
# lint: sleep ok: the ring is full, and Xen has let the guest go
sleep 4
running $g "while the saver is stopped"
ended 6 'waited 2 s for room.*--ring'
is "the host" "$before" "$(host_state)"
is "Xen's free memory" "$free" "$(free_mib)"

step "the daemon's policy is asked by the domain's name, however it is named"
ckptd_start "[domain $g]
ring = 24M
when_full = give-up"
# Paused, so that it does not write faster than the store takes it.
must "pause" xl pause $g
must "take" rpc checkpoint.take \
    "{\"domain\":\"$(xl domid $g)\",\"name\":\"daemon\",\"no_track\":true,\"wait\":true}"
is "its ring" $((24 << 20)) "$(capture daemon ring_bytes)"
must "take" rpc checkpoint.take \
    "{\"domain\":\"$g\",\"name\":\"asked\",\"no_track\":true,\"ring_mib\":32,\"wait\":true}"
is "its ring" $((32 << 20)) "$(capture asked ring_bytes)"
must "unpause" xl unpause $g
kill "$(cat "$T/ckptd.pid")"
wait_until 60 no_daemon || fail "ckptd does not end"
running $g "after the daemon"
clean $g "in the end"
finish
