#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --timeout 7200
#
# Can the lab be trusted?  A guest under full load, memory, disk, fork and exec,
# on two vCPUs, and not one checkpoint: for half an hour of its time neither its
# witness nor its kernel finds anything wrong.  CONTROL_SECONDS sets the time.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/../xen/lib.sh"
g=control
seconds=${CONTROL_SECONDS:-1800}

witness_create $g mem=256 vcpus=2 disk_mb=128 -- \
    load=/mnt/disk/load,fork=1
begin=$(cut -d. -f1 /proc/uptime)
while :; do
    now=$(($(cut -d. -f1 /proc/uptime) - begin))
    ticks $g "after $now s"
    clean $g "after $now s"
    if [ $FAILED -ne 0 ] || [ $now -ge "$seconds" ]; then break; fi
    sleep 30 # lint: sleep ok: the time is what is tested
done
step "$now s: $(grep -a 'WITNESS TICK' "$(guest_log $g)" | tail -1)"
finish
