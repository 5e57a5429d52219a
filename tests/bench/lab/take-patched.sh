#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched
#
# As take.sh, on the patched hypervisor: a guest of 1 GiB against `xl save -c'
# of the same guest, and one of 2 GiB against one of 256 MiB: the pause shall
# not grow with memory.
. "$(dirname "$0")/lib.sh"

ours_pause() { paused "$T/pause.ours" big xl checkpoint big -n p; xl checkpoint-delete p; }
peer_pause() { paused "$T/pause.peer" big xl save -c big "$SAVE"; rm -f "$SAVE"; }
ours_time() { timed "$T/time.ours" xl checkpoint big -n t; xl checkpoint-delete t; }
save_durable() { xl save -c big "$SAVE" && sync "$SAVE"; }
peer_time() { timed "$T/time.peer" save_durable; rm -f "$SAVE"; }
large_pause() { paused "$T/pause.2048" large xl checkpoint large -n p; xl checkpoint-delete p; }
small_pause() { paused "$T/pause.256" small xl checkpoint small -n p; xl checkpoint-delete p; }

SAVE=/var/lib/xen/save.bench
witness_create big mem=1024 vcpus=2 -- mb=64
alternate "$ROUNDS" ours_pause peer_pause
alternate "$ROUNDS" ours_time peer_time
row take.pause.patched.1024 ms "xl save -c" "$T/pause.ours" "$T/pause.peer"
row take.durable.patched.1024 ms "xl save -c; sync" "$T/time.ours" "$T/time.peer"
clean big "in the end"
guest_destroy big

# One after the other would drift apart; both at once would share the CPUs.
witness_create large mem=2048 vcpus=2 -- mb=64
xl pause large
witness_create small mem=256 vcpus=2 -- mb=64
xl pause small
large_turn() { xl unpause large; ticks large "its turn"; large_pause; xl pause large; }
small_turn() { xl unpause small; ticks small "its turn"; small_pause; xl pause small; }
alternate "$ROUNDS" large_turn small_turn
row take.pause.flat ms "256 MiB" "$T/pause.2048" "$T/pause.256"
finish
