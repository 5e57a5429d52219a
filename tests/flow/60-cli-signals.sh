#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# SIGINT, SIGTERM and SIGHUP cancel; however many come, the process ends by
# itself, with the status for it.
# shellcheck source=tests/fake/cli/cli.sh
. "$(dirname "$0")/../fake/cli/cli.sh"
requires python3

mkfifo "$tmp/ready" || exit 99

# begin N ARGS...: starts xl-ckpt, which ends after N cancels; sets $pid.
begin() {
    local cancels=$1

    shift
    {
        echo "cancels=$cancels"
        echo "ready=$tmp/ready"
        cat "$golden_dir/two.script"
    } | script
    : >"$calls"
    what="xl-ckpt $*"
    # the shell starts what is in the background without SIGINT
    env "${env[@]}" --default-signal=INT "$bin/xl-ckpt" "$@" \
        >"$tmp/out" 2>"$tmp/err" &
    pid=$!
    await
}

# Until it waits to be cancelled.
await() {
    timeout 30 cat "$tmp/ready" || fail "$what does not wait for a signal"
}

env=()
for signal in INT TERM HUP; do
    begin 1 checkpoint web1 --json
    kill -s "$signal" "$pid"
    wait "$pid"
    status=$?
    exits 9
    same "xl checkpoint: take: cancelled, nothing is changed" "$tmp/err"
    same cancelled <(json "$tmp/out" 'd["error"]["code"]')
    called close
done

# impatience: the second and the third do not kill
begin 3 rollback web1
kill -INT "$pid"
await
kill -INT "$pid"
await
kill -TERM "$pid"
wait "$pid"
status=$?
exits 9
called close

# what is to come after a cancelled one is not begun
begin 1 checkpoint-delete a b
kill -TERM "$pid"
wait "$pid"
status=$?
exits 9
! grep -q 'checkpoint=b' "$calls" || fail "$what went on"

# as nohup has it: an ignored SIGHUP stays ignored
env=(--ignore-signal=HUP)
begin 1 fork web1
grep -q '^SigIgn:.*[13579bdf]$' "/proc/$pid/status" ||
    fail "SIGHUP is caught after all"
kill -HUP "$pid"
kill -INT "$pid"
wait "$pid"
status=$?
exits 9
