#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# A rollback against `xl destroy' and `xl restore' of the same guest on stock
# Xen, command to running guest, without its disk: restore has none to give.
. "$(dirname "$0")/lib.sh"
g=bench

ours() { timed "$T/ours" xl rollback "$g" point; ticks "$g" "rolled back"; }
destroy_restore() { xl destroy "$g" && xl restore "$GUEST_CFG/$g.cfg" "$SAVE"; }
peer() { timed "$T/peer" destroy_restore; ticks "$g" "restored"; }

# `xl restore' makes another domain of it, unless the configuration says which.
witness_create "$g" mem=512 vcpus=2 disk=none "cfg=uuid = \"$(cat /proc/sys/kernel/random/uuid)\"" -- mb=64,disk=
must "take" xl checkpoint "$g" -n point
must "save" xl save -c "$g" "$SAVE"
alternate "$ROUNDS" ours peer
row rollback.stock.512 ms "xl destroy; xl restore" "$T/ours" "$T/peer"
finish
