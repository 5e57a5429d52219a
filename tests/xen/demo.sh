#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The demonstration, dom0's part: a guest with a disk that writes memory and
# disk as fast as it can and notices every inconsistency; a checkpoint of it, a
# rollback, a fork; and the proof that nothing came apart.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
g=demo

tell() { printf '\n\033[1m%6ss  %s\033[0m\n' "$SECONDS" "$*"; }
run() { printf '        # %s\n' "$*"; "$@" 2>&1 | sed 's/^/        /'; }
last() { grep -a 'WITNESS TICK' "$(guest_log "$1")" | tail -1 | sed 's/^/        /'; }

tell "Xen $(xl info xen_version), dom0 $(uname -r). A PVH guest with 2 vCPUs, 112 MiB and a disk starts;"
echo "        each of its two writers writes 3000 pages a second, in an order that any"
echo "        torn copy would break, and a third the disk."
witness_create "$g" mem=112 vcpus=2 disk_mb=32 -- mb=8,rate=3000
last "$g"
tell "A checkpoint, while it writes:"
run xl checkpoint "$g" -n before --description "the state to come back to"
must "checkpoint" xl checkpoint-show before
tell "Is what was stored one instant, memory and disk? A checker reads it offline:"
check_stored before
sed 's/^/        /' "$T/check"
tell "The guest runs on:"
ticks "$g" "running on"
last "$g"
tell "Back to the checkpoint:"
run xl rollback "$g" before
ticks "$g" "rolled back"
last "$g"
tell "A second machine from the checkpoint, its disk copy-on-write:"
run xl fork "$g/before" -n $g-2
ticks "$g-2" "the fork"
ticks "$g" "the original"
run xl list
tell "The checkpoints:"
run xl checkpoint-list --tree
tell "What both witnesses say:"
clean "$g" "the original"
clean "$g-2" "the fork"
for d in "$g" "$g-2"; do last $d; done
if [ $FAILED -eq 0 ]; then tell "No inconsistency was found."; else tell "SOMETHING FAILED."; fi
xl checkpoint-delete before
finish
