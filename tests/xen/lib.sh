# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# What the tests that run in the lab's dom0 share; sourced by each:
#   . /mnt/tests/xen/lib.sh
# A test says what it promises with `step`, checks with `must` and `mustnot`,
# and ends with `finish`.  Guests, volumes and stores made through here are
# taken away at the end, and what is left over then is a failure.
set -u -o pipefail
[ -r /mnt/tests/lab/guest.sh ] || { echo "skip: not in the lab's dom0"; exit 77; }
# shellcheck source=tests/lab/guest.sh
. /mnt/tests/lab/guest.sh
# shellcheck source=tests/xen/guards.sh
. /mnt/tests/xen/guards.sh

WORKLOAD=/mnt/build/tests/workload
export CKPT_STORE=/var/lib/xen/ckpt-test
T=$(mktemp -d) || exit 99
FAILED=0
CHECKS=0

say() { echo "== $*"; }
step() { say "$(cut -d' ' -f1 /proc/uptime) $*"; }
fail() { echo "FAIL: $*"; FAILED=$((FAILED + 1)); }
broken() { echo "BROKEN: $*"; exit 99; }
# A control run makes the same load and takes no checkpoint.
is_control() { [ -n "${XEN_CKPT_CONTROL:-}" ]; }

# must WHAT COMMAND...: the command succeeds.
must() {
    local what=$1
    shift
    CHECKS=$((CHECKS + 1))
    "$@" >"$T/out" 2>"$T/err" && return 0
    fail "$what: \`$*' exited $?: $(tail -q -n 3 "$T/err" "$T/out" | tr '\n' ' ')"
    return 1
}

# must_fail STATUS PATTERN COMMAND...: it exits so, and says so.
must_fail() {
    local status=$1 pattern=$2 got=0
    shift 2
    CHECKS=$((CHECKS + 1))
    "$@" >"$T/out" 2>"$T/err" || got=$?
    [ "$got" = "$status" ] || {
        fail "\`$*' exited $got, not $status: $(tail -3 "$T/err" | tr '\n' ' ')"
        return 1
    }
    grep -Eq "$pattern" "$T/err" ||
        fail "\`$*' did not say /$pattern/ but: $(cat "$T/err")"
}

is() { # is WHAT EXPECTED FOUND
    CHECKS=$((CHECKS + 1))
    [ "$2" = "$3" ] || fail "$1: expected \"$2\", found \"$3\""
}

# --- the guest that testifies ---------------------------------------------

# witness_create NAME [guest_create's words] [-- witness's words]
# Writers at full rate take the emulated processors from everybody else: a test
# that is not about the load asks for LIGHT.  What costs most is waking up: 200
# times a second are half of an emulated processor's time.
LIGHT=rate=500
BEAT=50000 # microseconds of its heart
LOG_MS=200 # between its records on the disk
witness_create() {
    local name=$1 words=writers=2,mb=24,rate=full,beat=$BEAT,logms=$LOG_MS,tickms=250
    words+=,disk=/mnt/disk/witness.log
    local -a guest=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do guest+=("$1"); shift; done
    [ $# -eq 0 ] || { shift; words=$words${1:+,$1}; }
    guest_create "$name" "${guest[@]}" "witness=$words" || broken "no guest $name"
    guest_wait "$name" 'WITNESS READY' 180 >"$T/ready" || {
        tail -20 "$(guest_log "$name")"
        broken "the witness of $name did not come up"
    }
    guest_wait "$name" 'WITNESS TICK n=2 ' 60 >/dev/null || broken "no ticks of $name"
}

# What a guest's kernel and its witness complain of.
COMPLAINTS='WITNESS VIOLATION|BUG:|Oops|general protection|segfault|Call Trace|I/O error|Kernel panic|Out of memory|witness ended'

# Ticks written from now on; two, so that one under way does not count.
ticks() { # ticks NAME WHY
    local n
    CHECKS=$((CHECKS + 1))
    n=$(guest_lines "$1")
    guest_wait "$1" 'WITNESS TICK' 60 $((n + 1)) >/dev/null &&
        guest_wait "$1" 'WITNESS TICK' 60 $((n + 2)) >/dev/null && return 0
    fail "$2: $1 does not go on; $(xl list "$1" 2>&1 | tail -1); $(tail -2 "$(guest_log "$1")")"
    grep -aE -m 1 -A 12 "$COMPLAINTS" "$(guest_log "$1")"
}

clean() { # clean NAME WHY: neither its witness nor its kernel complains
    CHECKS=$((CHECKS + 1))
    if grep -aE -m 5 "$COMPLAINTS" "$(guest_log "$1")"; then
        fail "$2: $1 complains"
    fi
}

# drained WHAT CHECKPOINT: its disks had answered all that the guest asked of them, or
# the take, whose words are in $T/err, has said that one had not in time.
drained() {
    CHECKS=$((CHECKS + 1))
    [ "$(field "$2" io_drained)" = true ] || grep -q 'had no answer after' "$T/err" ||
        fail "$1: not drained, and nobody was told"
}

# What could change a checkpoint, or give its name to another, is counted.
DEEDS=0
xl() {
    case ${1:-} in
    checkpoint|rollback|checkpoint-[!ls]*) DEEDS=$((DEEDS + 1)) ;;
    esac
    command xl "$@"
}

# field CHECKPOINT PATH: of checkpoint-show --json, as in disks.0.driver; null where
# it has none, nothing where there is no such checkpoint.  Asked once, and not with jq, which takes 0.7 s to start here.
field() {
    local shown=$T/shown.$DEEDS.${1//\//%} line
    [ -s "$shown" ] || xl checkpoint-show --json "$1" | python3 -ISc '
import json, sys
def walk(at, inner):
    for key, value in inner.items() if isinstance(inner, dict) else enumerate(inner):
        if isinstance(value, (dict, list)):
            walk("%s%s." % (at, key), value)
        else:
            print("%s%s=%s" % (at, key, value if isinstance(value, str) else json.dumps(value)))
walk("", json.load(sys.stdin)["checkpoint"])' >"$shown"
    while IFS= read -r line; do
        [ "${line%%=*}" != "$2" ] || { printf '%s\n' "${line#*=}"; return; }
    done <"$shown"
    [ ! -s "$shown" ] || echo null
}

# The stored image is one instant, memory and disk.
check_stored() { # check_stored CHECKPOINT
    local name id snap disk=()
    name=$(field "$1" domain_name)
    id=$(field "$1" id)
    snap=$(field "$1" disks.0.snapshot)
    if [ "$snap" != null ]; then
        lvchange -qq -ay -K "$snap" || broken "cannot activate $snap"
        disk=(--disk "/dev/$snap")
    fi
    CHECKS=$((CHECKS + 1))
    if ! quietly "$name" "$WORKLOAD/witness-check" --checkpoint "$CKPT_STORE" "$id" "${disk[@]}" \
        >"$T/check" 2>&1; then
        fail "checkpoint $1 is not one instant: $(head -5 "$T/check")"
    fi
    [ "$snap" = null ] || lvchange -qq -an "$snap"
}

# same_memory CHECKPOINT GUEST MAX [all]: that guest, paused since that was cut, has its
# memory, but for at most MAX pages that others than its vCPUs write.
same_memory() {
    CHECKS=$((CHECKS + 1))
    "$WORKLOAD/../xen/xen_image_tool" "$@" >"$T/equal" 2>&1 ||
        fail "$1 is not the memory of $2: $(tail -8 "$T/equal")"
}

# A process that CKPT_FAULT=stop:... has stopped.
is_stopped() { grep -q '^State:.T' "/proc/$1/status"; }

# --- the state of the host --------------------------------------------------

checkpoint_ids() { xl checkpoint-list --json | grep -Eo '"id": "[0-9a-f]+"' | cut -d'"' -f4 | sort; }
free_mib() { xl info | awk '/^free_memory/ { print $3 }'; }

# Everything a failed operation could leave behind, but for what a dead writer
# left in the store: that is found and freed by prune, as by the next take.
host_state() {
    xl checkpoint-prune -q >/dev/null 2>&1 || echo "prune: $?"
    lvs --noheadings -o vg_name,lv_name 2>/dev/null | sed 's/^ *//' | sort
    dmsetup info -c --noheadings -o name,suspended | sort
    xl list | awk 'NR > 1 { print $1 }' | sort
    checkpoint_ids
    ls "$CKPT_STORE/tmp" 2>/dev/null
    pgrep -a ckpt-helper | grep -v ' watch \| build ' | cut -d' ' -f2-
}

# running NAME WHY: neither paused, suspended nor write-protected for long.
running() {
    ticks "$1" "$2"
    CHECKS=$((CHECKS + 1))
    case $(xl list "$1" | awk 'NR == 2 { print $5 }') in
    *p*|*s*|*c*) fail "$2: $1 is left $(xl list "$1" | tail -1)" ;;
    esac
}

# quietly NAME COMMAND...: while that guest is paused: what it does meanwhile
# proves nothing, and would take half of the emulated processors.  (Its clock
# goes on; guest_config() sets the watchdog of its kernel accordingly.)
quietly() {
    local name=$1 rc=0
    shift
    xl pause "$name" || fail "pause of $name"
    "$@" || rc=$?
    xl unpause "$name" || fail "unpause of $name"
    return $rc
}

wait_until() { # wait_until SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2 # lint: sleep ok: the condition has no event
    done
}

finish() {
    local name
    for name in $(xl list | awk 'NR > 2 { print $1 }'); do guest_destroy "$name"; done
    rm -rf "$T" "$CKPT_STORE"
    echo "$CHECKS checks, $FAILED failed"
    [ $FAILED -eq 0 ]
    exit
}
