#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# bench.sh GROUP: runs tests/bench/GROUP.sh here, and tests/bench/lab/GROUP.sh in the
# lab's dom0 with the machine to itself, whichever there is; the latter once for each
# line `# lab:' of it.  A measurement is a row, an object in $B/bench/NAME.json; the
# rows made are printed as a table.
set -eu -o pipefail
group=$1
B=${B:-build}
export B
mkdir -p "$B/bench"
begin=$(mktemp)
trap 'rm -f "$begin"' EXIT

here=tests/bench/$group.sh there=tests/bench/lab/$group.sh
if [ -x "$here" ]; then
    "$here"
fi
if [ -x "$there" ]; then
    mapfile -t labs < <(sed -n 's/^# lab: //p' "$there" | grep . || echo)
    for lab in "${labs[@]}"; do
        read -ra options <<<"$lab"
        tests/lab/lab run --exclusive --share "$B/bench" --timeout 7200 \
            ${options[@]+"${options[@]}"} -- "$there"
    done
fi
if [ ! -x "$here" ] && [ ! -x "$there" ]; then
    echo "bench: there is no $here yet"
    exit 0
fi

find "$B/bench" -maxdepth 1 -name '*.json' -newer "$begin" | sort |
    xargs -r cat |
    jq -r '[.name, .value, .unit, .peer, .peer_value, .ratio] | @tsv' |
    awk -F'\t' '{ printf "%-32s %10s %-8s %-24s %10s   x%s\n",
                         $1, $2, $3, $4, $5, $6 }'
