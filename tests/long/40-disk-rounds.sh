#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --timeout 7200
#
# On each driver: twenty times a take under load, the guest goes on, back to that
# checkpoint, a fork of it.  Each is one instant, nobody complains, the
# filesystem and the storage are whole in the end, and nothing is left over.
# DRIVERS and ROUNDS say which and how many; every CHECK_EVERYth checkpoint is
# looked into.  DRIVERS=rbd wants a dom0 with Ceph:
#   lab run --dom0 ceph --timeout 7200 --env DRIVERS=rbd -- bash tests/long/40-disk-rounds.sh
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/../xen/lib.sh"
# shellcheck source=tests/xen/disks.sh
. "$(dirname "$0")/../xen/disks.sh"
read -ra drivers <<<"${DRIVERS:-lvmthin reflink dmthin dmsnap qcow2}"
LOG_MS=50

round() { # DRIVER N
    local g=$1 name=$1-$2 fork=$1-fork
    must "$name: take" xl checkpoint "$g" -n "$name" || return
    is "$name: drained" true "$(field "$name" io_drained)"
    ticks "$g" "$name: running on"
    must "$name: rollback" xl rollback "$g" "$name" || return
    ticks "$g" "$name: after the rollback"
    [ $(($2 % ${CHECK_EVERY:-5})) -ne 1 ] || check_instant "$1" "$name"
    [ "$2" -ne 1 ] || look_into "$1" "$name"
    must "$name: fork" xl fork "$name" -n "$fork" || return
    ticks "$fork" "$name: the fork"
    clean "$fork" "$name: the fork"
    xl destroy "$fork"
    fork_disk_end "$fork"
    clean "$g" "$name"
    # Two are there at a time, so that deletion has something above and below.
    [ "$2" -eq 1 ] || must "$name: delete" xl checkpoint-delete "$1-$(($2 - 1))"
}

disks_setup "${drivers[@]}"
for driver in "${drivers[@]}"; do
    step "$driver"
    disk_new "$driver"
    before=$(disks_state)
    # Without a network: Linux's front end loses 2 MiB with each restore, xl's as well.
    witness_create "$driver" "$(disk_words "$driver")" mem=128 net=0 -- mb=8,rate=2000
    if is_control; then
        ticks "$driver" control
    else
        must "disks alone" xl checkpoint "$driver" --disk-only -n alone
        is "disks alone" io-drained "$(field alone consistency)"
        must "delete" xl checkpoint-delete alone
        for n in $(seq "${ROUNDS:-20}"); do
            failed=$FAILED
            round "$driver" "$n"
            [ "$FAILED" -eq "$failed" ] && say "$driver $n: $(field "$driver-$n" pause_us) us, disks $(field "$driver-$n" pause_disks_us) us"
        done
        disk_alone "$driver"
        must "delete" xl checkpoint-delete "$driver-$n"
        must "prune" xl checkpoint-prune
        ticks "$driver" "in the end"
    fi
    clean "$driver" "in the end"
    xl destroy "$driver"
    is_as_before "$driver: what is left"
    disk_old "$driver"
done
disks_end
finish
