#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# run-tests.sh [-j N] [-t SECONDS] [-w 'WRAPPER ARGS'] GROUP TEST...
# run-tests.sh [-j N] [-l] -p PLAN GROUP...
#
# Runs each TEST (a program or a script), at most N at a time, prints
#     ok GROUP/NAME (1.2s)
#     FAIL GROUP/NAME (exit 1, 1.2s)    its log's lines of failures, and its tail
#     skip GROUP/NAME: the last line it printed
# in the order of the list, and `N passed, N failed[, N skipped]` at the end.
# A test says 0: passed, 1: failed, 77: skipped, 99: its own world is broken,
# which counts as failed.  Logs are in $B/test/GROUP/NAME.log.
#
# With CKPT_PLAN=FOLDER the first form runs nothing and writes down in
# FOLDER/GROUP what it would have run, and how.  The second form runs that,
# all groups at once, so that no core waits for the end of a group; with -l
# what took longest the last time comes first, and is seen when it is its turn
# in the list, or when it ends if there is but one group.  A group that is not
# there could not be built, and counts as one failed test.
# With CKPT_TALLY=FILE the three counts are appended to FILE instead of being
# printed, so that scripts/check.sh can add up.
set -u

jobs=1 limit=300 wrapper='' plan='' longest_first=''
while getopts j:t:w:p:l opt; do
    case $opt in
    j) jobs=$OPTARG ;;
    t) limit=$OPTARG ;;
    w) wrapper=$OPTARG ;;
    p) plan=$OPTARG ;;
    l) longest_first=1 ;;
    *) exit 99 ;;
    esac
done
shift $((OPTIND - 1))
export B=${B:-build}

# What is run, and how, by a number: the order of the list.
groups=() tests=() limits=() wrappers=() builds=() compilers=()

add() { # GROUP LIMIT B CC CXX WRAPPER TEST
    groups+=("$1") limits+=("$2") builds+=("$3") compilers+=("$4|$5")
    wrappers+=("$6")
    case $7 in /* | ./*) tests+=("$7") ;; *) tests+=("./$7") ;; esac
}

at_its_end=''
if [ -n "$plan" ]; then
    [ $# -ne 1 ] || at_its_end=$longest_first
    for group in "$@"; do
        if [ ! -f "$plan/$group" ]; then
            add "$group" 0 "$B" '' '' '' ''
            continue
        fi
        while IFS='|' read -r -a how; do
            add "$group" "${how[@]}"
        done <"$plan/$group"
    done
else
    group=$1
    shift
    for test in "$@"; do
        add "$group" "$limit" "$B" "${CC:-}" "${CXX:-}" "$wrapper" "$test"
    done
fi

if [ -n "${CKPT_PLAN:-}" ]; then
    for i in "${!tests[@]}"; do
        echo "${limits[$i]}|$B|${compilers[$i]}|$wrapper|${tests[$i]}"
    done >"$CKPT_PLAN/$group.new" &&
        mv "$CKPT_PLAN/$group.new" "$CKPT_PLAN/$group"
    exit
fi

names=() logs=()
for i in "${!tests[@]}"; do
    names[i]=$(basename "${tests[$i]}" .sh)
    logs[i]=${builds[$i]}/test/${groups[$i]}
    [ "$i" -gt 0 ] && [ "${logs[$i]}" = "${logs[$i - 1]}" ] && continue
    rm -rf "${logs[$i]}"
    mkdir -p "${logs[$i]}" || exit 99
done

# Runs test number $1; what there is to say about it goes to NAME.said.
run_one() {
    local i=$1 begin end rc took
    local test=${tests[$i]} name=${names[$i]} group=${groups[$i]}
    local limit=${limits[$i]} wrapper
    local log=${logs[$i]}/$name.log said=${logs[$i]}/$name.said

    read -ra wrapper <<<"${wrappers[$i]}"
    if [ -n "$plan" ]; then
        B=${builds[$i]}
        IFS='|' read -r CC CXX <<<"${compilers[$i]}"
        export CC CXX
    fi
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
            head -n -40 "$log" | grep -a -m 20 '^FAIL' | sed 's/^/    | /'
            tail -n 40 "$log" | sed 's/^/    | /'
            echo "    whole log: $log"
            ;;
        esac
    } >"$said.new"
    echo "$rc" >"${logs[$i]}/$name.rc"
    [ -z "$plan" ] || echo "$((end - begin)) $group/$name" >>"$plan/.took"
    mv "$said.new" "$said"
}

# Prints, in order, what is ready; waits for nothing.
shown=0 shown_group=''
show_ready() {
    local said

    if [ -n "$at_its_end" ] && [ "${limits[0]}" -gt 0 ]; then
        for said in "${logs[0]}"/*.said; do
            [ -f "$said" ] || continue
            [ -n "$shown_group" ] || echo "== ${groups[0]}"
            shown_group=${groups[0]}
            cat "$said"
            rm "$said"
        done
        return
    fi
    while [ "$shown" -lt "${#tests[@]}" ]; do
        if [ -n "$plan" ] && [ "$shown_group" != "${groups[$shown]}" ]; then
            shown_group=${groups[$shown]}
            echo "== $shown_group"
        fi
        said=${logs[$shown]}/${names[$shown]}.said
        if [ "${limits[$shown]}" -eq 0 ]; then
            echo "FAIL $shown_group (could not be built)"
        elif [ -f "$said" ]; then
            cat "$said"
            rm "$said"
        else
            return
        fi
        shown=$((shown + 1))
    done
}

# The numbers in the order in which they begin.
times=$B/test/times
begin_order() {
    local i

    if [ -z "$longest_first" ] || [ ! -f "$times" ]; then
        printf '%s\n' "${!tests[@]}"
        return
    fi
    # What is new may be long, too.
    for i in "${!tests[@]}"; do
        echo "$i ${groups[$i]}/${names[$i]}"
    done | awk 'FNR == NR { took[$2] = $1; next }
        { print $2 in took ? took[$2] : 1e18, $1 }' "$times" - |
        sort -k1,1nr -k2,2n | cut -d' ' -f2
}

mapfile -t order < <([ "${#tests[@]}" -eq 0 ] || begin_order)
running=0
for i in ${order[@]+"${order[@]}"}; do
    [ "${limits[$i]}" -gt 0 ] || continue
    if [ "$running" -ge "$jobs" ]; then
        wait -n
        running=$((running - 1))
        show_ready
    fi
    run_one "$i" &
    running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
    wait -n
    running=$((running - 1))
    show_ready
done
wait
show_ready
if [ -f "$plan/.took" ]; then
    touch "$times"
    awk '{ took[$2] = $0 } END { for (name in took) print took[name] }' \
        "$times" "$plan/.took" >"$times.new" && mv "$times.new" "$times"
fi

passed=0 failed=0 skipped=0
for i in "${!tests[@]}"; do
    rc=99
    if [ "${limits[$i]}" -gt 0 ]; then
        rc=$(cat "${logs[$i]}/${names[$i]}.rc" 2>/dev/null || echo 99)
        rm -f "${logs[$i]}/${names[$i]}.rc"
    fi
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
