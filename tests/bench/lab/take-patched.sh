#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched
#
# As take.sh, on the patched hypervisor: the memory of a guest of 1 GiB against
# `xl save -c' of the same guest; its pause again with a disk on LVM, cut in
# it; and one of 2 GiB against one of 256 MiB: the pause shall not grow with
# memory.
. "$(dirname "$0")/lib.sh"

# The guest with that name; `xl save' saves no disk, so those compared have none.
ours_pause() { paused "$T/pause.$1" "$1" xl checkpoint "$1" -n p; xl checkpoint-delete p; }
ours() { ours_pause big; }
peer() { paused "$T/pause.peer" big xl save -c big "$SAVE"; rm -f "$SAVE"; }
ours_time() { timed "$T/time.ours" xl checkpoint big -n t; xl checkpoint-delete t; }
save_durable() { xl save -c big "$SAVE" && sync "$SAVE"; }
peer_time() { timed "$T/time.peer" save_durable; rm -f "$SAVE"; }
turn() { xl unpause "$1"; ticks "$1" "its turn"; ours_pause "$1"; xl pause "$1"; }
large_turn() { turn large; }
small_turn() { turn small; }

room 6144
witness_create big mem=1024 vcpus=2 disk=none -- mb=64,disk=
alternate "$ROUNDS" ours peer
alternate "$ROUNDS" ours_time peer_time
row take.pause.patched.1024 ms "xl save -c" "$T/pause.big" "$T/pause.peer"
row take.durable.patched.1024 ms "xl save -c; sync" "$T/time.ours" "$T/time.peer"
clean big "in the end"
guest_destroy big

witness_create lvm mem=1024 vcpus=2 disk_mb=64 -- mb=64
for ((i = 0; i < ROUNDS; i++)); do ours_pause lvm; done
row take.pause.patched.lvm.1024 ms "xl save -c, no disk" "$T/pause.lvm" "$T/pause.peer"
clean lvm "in the end"
guest_destroy lvm

# One after the other would drift apart; both at once would share the CPUs.
witness_create large mem=2048 vcpus=2 disk=none -- mb=64,disk=
xl pause large
witness_create small mem=256 vcpus=2 disk=none -- mb=64,disk=
xl pause small
alternate "$ROUNDS" large_turn small_turn
row take.pause.flat ms "256 MiB" "$T/pause.large" "$T/pause.small"
guest_destroy large small
umount /mnt/room
lvremove -qq -f vg0/bench-room
finish
