#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched --timeout 7200
#
# Each process of the daemon is killed (SIGKILL) at each step of a take, a
# rollback and a fork, and then KILLS times at any moment: the guest runs on,
# the daemon serves again, a job that lost a role is finished, one that lost its
# parent is finished or undone, and nothing is left over.  POINTS, a regular
# expression, says at which steps, ONLY_RANDOM=1 at none of them.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/../xen/lib.sh"
# shellcheck source=tests/xen/door.sh
. "$(dirname "$0")/../xen/door.sh"
g=killed kills=${KILLS:-40}
is_control && finish

TAKE=("before:take:memory armed" "after:take:memory armed" "after:take:disks armed" "at:take:still"
    "after:take:cut" "after:take:disks stored" "after:take:memory stored" "at:take:published"
    "after:take:committed")
ROLLBACK=("after:rollback:domain paused" "after:rollback:disks switched" "after:rollback:name given up"
    "after:rollback:domain built" "at:rollback:new one kept" "at:rollback:turned"
    "after:rollback:domain switched")
FORK=("at:fork:child disks" "at:fork:child built")
ROLES=(ckptd-job ckptd-front ckptd-door ckptd)
NR=0

ckptd_stop() {
    local pid
    pid=$(cat "$T/ckptd.pid") && kill "$pid" && timeout 180 tail --pid="$pid" -f /dev/null
}
stopped_job() { ps -o pid=,stat= -C ckptd-job | awk '$2 ~ /^T/ { print $1; n++ } END { exit !n }'; }
serves() { rpc daemon.info; }
domains() { [ "$(xl list | wc -l)" -eq $(($1 + 1)) ]; }
# A spare process may be the one that is missing: then one at work passes for it.
idle() {
    local jobs
    jobs=$(rpc job.list) && no_job &&
        ! grep -qE '"state":"(queued|pre-hooks|running|post-hooks)"' <<<"$jobs"
}
busy() { ! no_job; }

# victim ROLE: kills one of it, the daemon itself with what follows from that.
victim() {
    local pids
    NR=$((NR + 1))
    mapfile -t pids < <({ [ "$1" = ckptd-job ] && stopped_job; } || pgrep -x "$1")
    # Any of the jobs, the spare one too.
    [ ${#pids[@]} -eq 0 ] || kill -9 "${pids[RANDOM % ${#pids[@]}]}"
}

# settled WHY: everything has come to its end, and is as it was.
settled() {
    local pid
    for pid in $(stopped_job); do kill -CONT "$pid"; done
    pgrep -x ckptd >/dev/null || CKPT_FAULT='' ckptd_run
    CHECKS=$((CHECKS + 1))
    wait_until 60 serves || fail "$1: the daemon does not serve"
    wait_until 180 idle || fail "$1: a job stays"
    guards_end 120 || fail "$1: a guard stays"
    [ -z "${2:-}" ] || wait_until 60 domains "$2" || fail "$1: $(xl list)"
}

# What a take has left, if it came that far, is whole; and goes.
drop() { # NAME WHY NEEDED
    local rc=0
    xl checkpoint-show "$1" >/dev/null 2>&1 || rc=$?
    case $rc in
    0)
        must "$2: verify" xl checkpoint-verify "$1"
        must "$2: delete" xl checkpoint-delete "$1"
        ;;
    3) [ -z "$3" ] || fail "$2: the take is lost" ;;
    *) fail "$2: xl checkpoint-show exited $rc" ;;
    esac
}

fork_end() {
    guest_destroy $g-2
    [ ! -b /dev/vg0/fork-$g-2-xvda ] || lvremove -qq -fy vg0/fork-$g-2-xvda
}

# at POINT METHOD PARAMS
at() {
    local role
    [[ $1 =~ ${POINTS:-.} ]] || return 0
    step "$1"
    ckptd_stop
    CKPT_FAULT=stop:$1 ckptd_run
    for role in "${ROLES[@]}"; do
        pgrep -x ckptd >/dev/null || CKPT_FAULT=stop:$1 ckptd_run
        must "$1: ask" rpc "$2" "$3"
        wait_until 120 stopped_job || { fail "$1: the job does not come there"; settled "$1"; continue; }
        victim "$role"
        case $2,$role in
        checkpoint.take,ckptd-job | checkpoint.take,ckptd)
            settled "$1, $role"
            drop lost "$1, $role" ''
            ;;
        checkpoint.take,*)
            settled "$1, $role"
            drop lost "$1, $role" needed
            ;;
        checkpoint.fork,ckptd-front | checkpoint.fork,ckptd-door)
            settled "$1, $role" 3
            fork_end
            ;;
        checkpoint.fork,*)
            settled "$1, $role"
            fork_end
            ;;
        *)
            settled "$1, $role" 2
            ;;
        esac
        running $g "$1, $role"
        is "the host after $1, $role" "$before" "$(host_state)"
    done
}

door_guest $g tool mem=128 vcpus=1 disk_mb=64 -- "mb=4,$LIGHT,disk=/mnt/disk/witness.log,logms=$LOG_MS,tickms=250"
ckptd_start 'guest_requests = checkpoint
guest_rate = 3600/hour
guest_burst = 1000
guest_keep = 1'
must "take" rpc checkpoint.take "{\"domain\":\"$g\",\"name\":\"one\",\"wait\":true}"
before=$(host_state)

if [ -z "${ONLY_RANDOM:-}" ]; then
    for p in "${TAKE[@]}"; do
        at "$p" checkpoint.take "{\"domain\":\"$g\",\"name\":\"lost\",\"no_track\":true}"
    done
    for p in "${ROLLBACK[@]}"; do
        at "$p" checkpoint.rollback "{\"domain\":\"$g\",\"checkpoint\":\"one\"}"
    done
    for p in "${FORK[@]}"; do
        at "$p" checkpoint.fork "{\"checkpoint\":\"$g/one\",\"name\":\"$g-2\"}"
    done
    ckptd_stop
    ckptd_run
fi

step "$kills times at any moment (seed ${SEED:=$RANDOM})"
RANDOM=$SEED
inside=0
for ((i = 0, round = 0; i < kills; round++)); do
    must "random $i: ask" rpc checkpoint.take "{\"domain\":\"$g\",\"name\":\"lost\"}"
    wait_until 30 busy || fail "random $i: no job comes"
    roles=
    # The daemon is the last one of a round: with it all others go.
    for ((n = 1 + RANDOM % 4; n > 0 && i < kills; n--, i++)); do
        sleep "0.$((RANDOM % 10))" # lint: sleep ok: the moment is what is tested
        role=${ROLES[RANDOM % 4]} roles+=" $role"
        no_job || inside=$((inside + 1))
        victim "$role"
        [ "$role" != ckptd ] || n=1
    done
    settled "random $i,$roles"
    drop lost "random $i,$roles" ''
    running $g "random $i,$roles"
    [ $((round % 5)) -ne 4 ] || is "the host after random $i" "$before" "$(host_state)"
    [ $((round % 10)) -ne 9 ] || step "$i"
done
is "the host in the end" "$before" "$(host_state)"
CHECKS=$((CHECKS + 1))
[ $((2 * inside)) -ge "$kills" ] || fail "only $inside of $kills while a job was there"
step "$NR kills, $inside of the random ones in a job; and everything still works"
tell $g 'ask 1'
CHECKS=$((CHECKS + 1))
told $g 300 'asked 0 [0-9]+ [0-9]+ ok checkpoint' >/dev/null || fail "the guest is not served"
must "take" rpc checkpoint.take "{\"domain\":\"$g\",\"name\":\"two\",\"wait\":true}"
check_stored two
clean $g "in the end"
finish
