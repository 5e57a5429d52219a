#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --timeout 2400
#
# The daemon is ended, killed and started anew, its door is killed, and
# xenstored is replaced by a live update, with guests there: each time it hears
# guests again that it knew, new ones too, and freezes them; a live update costs
# it neither a process nor a watch.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/../xen/lib.sh"
# shellcheck source=tests/xen/door.sh
. "$(dirname "$0")/../xen/door.sh"
g=stays
is_control && finish

served() { # NAME WHY: it is heard, and freezes when asked to
    CHECKS=$((CHECKS + 2))
    tell "$1" 'ask 1'
    told "$1" 300 'asked 0 [0-9]+ [0-9]+ ok checkpoint' >/dev/null || fail "$2: $1 is not heard"
    rpc checkpoint.take "{\"domain\":\"$1\",\"disk_only\":true,\"quiesce\":true,\"wait\":true,\"name\":\"frozen\"}" |
        grep -q '"consistency":"fs-frozen"' || fail "$2: $1 does not freeze"
    must "delete" xl checkpoint-delete frozen
    running "$1" "$2"
}
roles() { pgrep -x 'ckptd|ckptd-front|ckptd-door' | sort | tr '\n' ' '; }
door_is_there() { [ -n "$(pgrep -x ckptd-door)" ] && xenstore-read "/local/domain/$(xl domid "$g")/control/feature-ckpt"; }

door_guest $g tool mem=128 vcpus=1 disk_mb=64 --
ckptd_start 'guest_requests = checkpoint, quiesce
guest_rate = 3600/hour
guest_burst = 1000
guest_keep = 1
quiesce_timeout = 60s'
birth=$(xenstore-read "/local/domain/$(xl domid $g)/control/ckpt/birth")
step "before all"
served $g "before all"
step "told to end, and started"
pid=$(cat "$T/ckptd.pid")
kill "$pid"
timeout 180 tail --pid="$pid" -f /dev/null
ckptd_run
served $g "after a restart"
step "killed, and started"
kill -9 "$(cat "$T/ckptd.pid")"
wait_until 60 no_job
ckptd_run
served $g "after a kill"
step "its door killed"
kill -9 "$(pgrep -x ckptd-door)"
wait_until 60 door_is_there || fail "no door"
served $g "after the door's death"

step "xenstored updated alive"
before=$(roles) old=$(pgrep -x xenstored)
CHECKS=$((CHECKS + 1))
if xenstore-control live-update -s "$(readlink -f "/proc/$old/exe")" >"$T/lu" 2>&1; then
    served $g "after a live update"
    is "the daemon's processes" "$before" "$(roles)"
else
    fail "no live update: $(cat "$T/lu")"
fi
step "a guest that comes later"
door_guest later tool mem=128 vcpus=1 disk_mb=64 --
served later "made after the live update"
is "who it is" "$birth" "$(xenstore-read "/local/domain/$(xl domid $g)/control/ckpt/birth")"
clean $g "in the end"
clean later "in the end"
finish
