#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --timeout 3600
#
# A guest floods its door with 10 000 requests while another guest's scheduled
# checkpoints are taken: they keep their times within 10 %, compared with a
# flood of a node that is no business of the daemon's (in an emulator of one
# thread any busy guest takes time from dom0), and neither the daemon nor
# xenstored grows.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/../xen/lib.sh"
# shellcheck source=tests/xen/door.sh
. "$(dirname "$0")/../xen/door.sh"
interval=${INTERVAL:-20} takes=${TAKES:-5} writes=${WRITES:-10000}
is_control && finish

ckptd_start "[domain flood]
guest_requests = checkpoint, fork, rollback
guest_rate = 1/hour
guest_burst = 1
[domain served]
schedule = ${interval}s
keep_count = 2"
door_guest flood tool mem=128 vcpus=1 disk=none --
door_guest served tool mem=128 vcpus=1 disk_mb=64 --

touch "$T/audit"
ended() { grep -c '"event":"ended".*"origin":"schedule"' "$T/audit"; }
is_at() { [ "$(ended)" -ge "$1" ]; }
# Takes are told of in the log as they end: the whole ones of a phase count.
phase() { # NAME [PATH]: until $takes have ended, flooding
    local from to sent=0
    from=$(($(ended) + 1))
    step "phase $1"
    wait_until 600 is_at "$from" || fail "$1: nothing is taken"
    until is_at $((from + takes)); do
        if [ -n "${2:-}" ]; then
            tell flood "flood $2 $writes"
            told flood 900 flooded || { fail "$1: no flood"; break; }
            sent=$((sent + writes))
        else
            sleep 5 # lint: sleep ok: the time is what is tested
        fi
    done
    to=$(ended)
    echo "$1 $from $to $sent" >>"$T/phases"
}

phase quiet
phase beside data/flood
kib=$(daemon_kib) xs_kib=$(xenstored_kib) log=$(wc -c <"$CKPTD_LOG")
phase door control/ckpt/request
grown=$(($(daemon_kib) - kib)) xs_grown=$(($(xenstored_kib) - xs_kib))
echo "the daemon grew by $grown KiB of $kib, xenstored by $xs_grown of $xs_kib," \
    "the log by $(($(wc -c <"$CKPTD_LOG") - log)) bytes"
CHECKS=$((CHECKS + 3))
[ $grown -lt 1024 ] || fail "the daemon grew by $grown KiB"
[ $xs_grown -lt 64 ] || fail "xenstored grew by $xs_grown KiB"
[ $(($(wc -c <"$CKPTD_LOG") - log)) -lt 100000 ] || fail "the log grew"
[ "$(awk '$1 == "door" { print $4 }' "$T/phases")" -ge "$writes" ] || fail "too few writes"

CHECKS=$((CHECKS + 2))
rpc job.list | python3 -ISc '
import datetime, json, statistics, sys
interval, phases = float(sys.argv[1]), [l.split() for l in open(sys.argv[2])]
def at(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
jobs = [j for j in json.load(sys.stdin)["jobs"] if j["origin"] == "schedule"]
jobs.sort(key=lambda j: j["id"])
took = {}
bad = 0
for name, first, last, sent in phases:
    some = jobs[int(first):int(last)]
    took[name] = statistics.median(at(j["ended"]) - at(j["queued"]) for j in some)
    gaps = [at(b["queued"]) - at(a["queued"]) for a, b in zip(some, some[1:])]
    off = max(abs(g - interval) for g in gaps) / interval
    print("%-7s %d takes, %s writes: %.3f s each, %.1f %% off the plan at most" %
          (name, len(some), sent, took[name], off * 100))
    bad += off > 0.1
    bad += any(j["state"] != "done" for j in some)
ratio = took["door"] / took["beside"]
print("a flooded door against a flood beside it: %.3f; against quiet %.3f" %
      (ratio, took["door"] / took["quiet"]))
sys.exit(bool(bad) or ratio > 1.1)' "$interval" "$T/phases" || fail "not in time"
running served "in the end"
clean served "in the end"
finish
