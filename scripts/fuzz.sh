#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# fuzz.sh SECONDS PROGRAM...: each fuzzer for so long, from the corpus in
# tests/fuzz/corpus/NAME; what it finds stays in build-fuzz/found/NAME.
set -u
seconds=$1
shift
failed=0
for program in "$@"; do
    name=$(basename "$program")
    found=build-fuzz/found/$name
    mkdir -p "$found/corpus" "tests/fuzz/corpus/$name"
    echo "== $name, $seconds s"
    if ! "$program" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 \
        -artifact_prefix="$found/" "$found/corpus" \
        "tests/fuzz/corpus/$name" >"$found/log" 2>&1; then
        tail -n 40 "$found/log"
        failed=$((failed + 1))
    else
        grep -E '^stat::(number_of_executed_units|new_units_added)' "$found/log"
    fi
done
echo "$(($# - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
