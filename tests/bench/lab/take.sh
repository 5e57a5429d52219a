#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# A take against `xl save -c' of the same guest, 512 MiB, 2 vCPUs, under full
# write load on stock Xen: how long the guest stands still, and how long until
# the image is safe on disk (xl save syncs nothing, so a sync is added to it).
. "$(dirname "$0")/lib.sh"
g=bench

ours_pause() { paused "$T/pause.ours" "$g" xl checkpoint "$g" -n p; xl checkpoint-delete p; }
peer_pause() { paused "$T/pause.peer" "$g" xl save -c "$g" "$SAVE"; rm -f "$SAVE"; }
ours_time() { timed "$T/time.ours" xl checkpoint "$g" -n t; xl checkpoint-delete t; }
save_durable() { xl save -c "$g" "$SAVE" && sync "$SAVE"; }
peer_time() { timed "$T/time.peer" save_durable; rm -f "$SAVE"; }

witness_create "$g" mem=512 vcpus=2 disk_mb=64 -- mb=64
alternate "$ROUNDS" ours_pause peer_pause
alternate "$ROUNDS" ours_time peer_time
row take.pause.stock.512 ms "xl save -c" "$T/pause.ours" "$T/pause.peer"
row take.durable.stock.512 ms "xl save -c; sync" "$T/time.ours" "$T/time.peer"
clean "$g" "in the end"
finish
