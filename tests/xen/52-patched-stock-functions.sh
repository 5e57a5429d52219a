#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched
#
# On the patched hypervisor, with no checkpoint anywhere, Xen's own functions
# do what they did: save with the guest going on, save and restore, migration,
# for a PV and a PVH guest.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"

for type in pv pvh; do
    g=stock-$type
    step "$type"
    witness_create $g type=$type mem=128 vcpus=2 -- "mb=8,$LIGHT"
    must "save -c" xl save -c $g "$T/save"
    running $g "after save -c"
    must "save" xl save $g "$T/save"
    must "restore" xl restore "$T/save"
    rm -f "$T/save"
    running $g "after the restore"
    # Migration of PV wants shadow paging, which Debian's Xen has not.
    [ $type = pv ] || {
        must "migrate" xl migrate -s "" $g "xl migrate-receive"
        clean $g "before the migration"
        # xenconsoled goes by the name that it had on its way.
        guest_log() { echo "/var/log/xen/console/guest-$1--incoming.log"; }
        running $g "after the migration"
    }
    clean $g "in the end"
    must "destroy" xl destroy $g
done
finish
