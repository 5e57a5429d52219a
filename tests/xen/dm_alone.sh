# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# For tests of a driver of device-mapper by itself, without a guest; sourced.
# They have $driver, $web (a disk's path), and state(), which prints all that
# the driver could leave behind.
# shellcheck disable=SC2034,SC2154 # what it takes and gives, above
# shellcheck source=tests/xen/guards.sh
. "$(dirname "$0")/guards.sh"

# Neither is installed, and a build on the host must not change them meanwhile.
cp build/tests/xen/disk_tool build/ckpt-helper /run/ || exit 99
tool=/run/disk_tool
export CKPT_HELPER=/run/ckpt-helper
out=$(mktemp)
failed=0

fail() { echo "FAIL: $*"; failed=1; }
title() { echo "--- $* ($(cut -d' ' -f1 /proc/uptime))"; }
# Returns when its guard is gone too, for that has the pipe.
run() { # VERB...
    "$tool" "xvda=$web" xvdb=/dev/mapper/db -- "driver:$driver" "$@" 2>&1 | tee "$out"
    return "${PIPESTATUS[0]}"
}
run_one() {
    "$tool" "xvda=$web" -- "driver:$driver" "$@" 2>&1 | tee "$out"
    return "${PIPESTATUS[0]}"
}
probe() { "$tool" "xvda=$1" -- probe >"$out"; }
must() { "$@" || fail "$*"; }
must_not() { "$@" && fail "not refused: $*"; }
said() { grep -q -- "$1" "$out" || fail "did not say: $1, but: $(cat "$out")"; }
await() { # TEXT PID
    for _ in $(seq 600); do
        grep -q "$1" "$out" && return
        kill -0 "$2" 2>/dev/null || break
        sleep 0.1 # lint: sleep ok: the poll of a loop with a limit
    done
    fail "$1 is not said: $(cat "$out")"
}
same_state() { # BEFORE WHAT
    local now
    udevadm settle
    now=$(state)
    [ "$1" = "$now" ] || {
        fail "$2: left something behind"
        diff <(echo "$1") <(echo "$now")
    }
}
put() { # TEXT [DEVICE]
    printf '%-4096s' "$1" |
        dd of="${2:-$web}" bs=4096 count=1 oflag=direct conv=notrunc status=none
}
get() { # [DEVICE]
    dd if="${1:-$web}" bs=4096 count=1 iflag=direct status=none | tr -d ' '
}
number_of() { # DEVICE: what the writer of the tool wrote there last
    dd if="$1" bs=4096 count=1 iflag=direct status=none |
        od -An -tu8 -N8 | tr -d ' '
}
snapshot_of() { sed -n "s/^snapshot $1 //p" "$out"; }

# What holds for each of them.
killed_between_the_beats() {
    local before beats
    before=$(state)
    title "killed between the beats"
    for beats in arm:4444 "arm:4444 cut" "arm:4444 cut drain"; do
        # shellcheck disable=SC2086
        run guard write $beats kill
        same_state "$before" "killed after $beats"
    done
    must run guard arm:4444 cut undo stop
    same_state "$before" "undone after cut"
    put fourth
    [ -p /tmp/go ] || mkfifo /tmp/go
    exec 8<>/tmp/go
    : >"$out"
    run_one guard arm:6666 cut wait drain <&8 8>&- &
    job=$!
    await waiting $job
    dmsetup resume "$(basename "$web")"
    put fifth
    echo >&8
    wait $job && fail "drained although it was resumed"
    exec 8>&-
    said "was resumed by another program"
    same_state "$before" "resumed by another"
}
