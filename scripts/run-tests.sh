#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# run-tests.sh [-j N] [-t SECONDS] [-w 'WRAPPER ARGS'] GROUP TEST...
#
# Runs each TEST (a program or a script), at most N at a time, prints
#     ok GROUP/NAME (1.2s)
#     FAIL GROUP/NAME (exit 1, 1.2s)    and the tail of its log
#     skip GROUP/NAME: the last line it printed
# in the order of the list, and `N passed, N failed[, N skipped]` at the end.
# A test says 0: passed, 1: failed, 77: skipped, 99: its own world is broken,
# which counts as failed.  Logs are in $B/test/GROUP/NAME.log.
# With CKPT_TALLY=FILE the three counts are appended to FILE instead of being
# printed, so that scripts/check.sh can add groups up.
set -u

jobs=1 limit=300 wrapper=()
while getopts j:t:w: opt; do
    case $opt in
    j) jobs=$OPTARG ;;
    t) limit=$OPTARG ;;
    w) read -ra wrapper <<<"$OPTARG" ;;
    *) exit 99 ;;
    esac
done
shift $((OPTIND - 1))
group=$1
shift

export B=${B:-build}
logs=$B/test/$group
rm -rf "$logs"
mkdir -p "$logs" || exit 99

# Runs one test; what there is to say about it goes to NAME.said.
run_one() {
    local test=$1 name begin end rc took
    name=$(basename "$test" .sh)
    local log=$logs/$name.log

    begin=$(date +%s%N)
    timeout -k 10 "$limit" ${wrapper[@]+"${wrapper[@]}"} "$test" \
        >"$log" 2>&1 </dev/null
    rc=$?
    end=$(date +%s%N)
    took=$(awk -v n=$((end - begin)) 'BEGIN { printf "%.1fs", n / 1e9 }')

    {
        case $rc in
        0) echo "ok $group/$name ($took)" ;;
        77) echo "skip $group/$name: $(tail -n 1 "$log")" ;;
        99) echo "FAIL $group/$name (the test's own world is broken, $took)" ;;
        124 | 137) echo "FAIL $group/$name (exit $rc after $took," \
            "limit ${limit}s)" ;;
        *) echo "FAIL $group/$name (exit $rc, $took)" ;;
        esac
        case $rc in
        0 | 77) ;;
        *)
            tail -n 40 "$log" | sed 's/^/    | /'
            echo "    whole log: $log"
            ;;
        esac
    } >"$logs/$name.said.new"
    echo "$rc" >"$logs/$name.rc"
    mv "$logs/$name.said.new" "$logs/$name.said"
}

# Prints, in order, what is ready; waits for nothing.
shown=0
show_ready() {
    local name

    while [ "$shown" -lt "$started" ]; do
        name=${names[$shown]}
        [ -f "$logs/$name.said" ] || return
        cat "$logs/$name.said"
        rm "$logs/$name.said"
        shown=$((shown + 1))
    done
}

names=() started=0 running=0
for test in "$@"; do
    name=$(basename "$test" .sh)
    case $test in /*) ;; *) test=./$test ;; esac
    if [ "$running" -ge "$jobs" ]; then
        wait -n
        running=$((running - 1))
        show_ready
    fi
    names+=("$name")
    started=$((started + 1))
    run_one "$test" &
    running=$((running + 1))
done
wait
show_ready

passed=0 failed=0 skipped=0
for name in ${names[@]+"${names[@]}"}; do
    rc=$(cat "$logs/$name.rc" 2>/dev/null || echo 99)
    rm -f "$logs/$name.rc"
    case $rc in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    *) failed=$((failed + 1)) ;;
    esac
done

if [ -n "${CKPT_TALLY:-}" ]; then
    echo "$passed $failed $skipped" >>"$CKPT_TALLY"
else
    line="$passed passed, $failed failed"
    [ "$skipped" -gt 0 ] && line="$line, $skipped skipped"
    echo "$line"
fi
[ "$failed" -eq 0 ]
