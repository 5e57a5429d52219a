#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# A fork of a checkpoint against `xl restore' of a save of the same guest on
# stock Xen, command to running guest, without a disk: restore clones none.
. "$(dirname "$0")/lib.sh"
g=bench

ours() { timed "$T/ours" xl fork "$g/point" -n copy; ticks copy "fork"; xl destroy copy; }
restore() { xl restore "$T/copy.cfg" "$SAVE"; }
peer() { timed "$T/peer" restore; ticks copy "restored"; xl destroy copy; }

witness_create "$g" mem=512 vcpus=2 disk=none -- mb=64,disk=
must "take" xl checkpoint "$g" -n point
must "save" xl save -c "$g" "$SAVE"
sed 's/^name = .*/name = "copy"/' "$GUEST_CFG/$g.cfg" >"$T/copy.cfg"
alternate "$ROUNDS" ours peer
row fork.stock.512 ms "xl restore" "$T/ours" "$T/peer"
finish
