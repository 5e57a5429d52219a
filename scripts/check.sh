#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# check.sh GROUP...: runs `make check-GROUP` for each and adds them up.  The
# last line is `N passed, N failed[, N skipped]`, over everything.  A group
# that cannot even be built counts as one failed test.
set -u

B=${B:-build}
mkdir -p "$B/test" || exit 99
export CKPT_TALLY=$PWD/$B/test/tally
: >"$CKPT_TALLY"

# Builds in parallel, unless the make above us already says how.
parallel=(-j"$(nproc)")
[[ ${MAKEFLAGS:-} == *jobserver* ]] && parallel=()

for group in "$@"; do
    echo "== $group"
    before=$(wc -l <"$CKPT_TALLY")
    ${MAKE:-make} ${parallel[@]+"${parallel[@]}"} --no-print-directory \
        "check-$group"
    if [ "$(wc -l <"$CKPT_TALLY")" -eq "$before" ]; then
        echo "FAIL $group (could not be built)"
        echo "0 1 0" >>"$CKPT_TALLY"
    fi
done

awk '{ p += $1; f += $2; s += $3 }
     END {
         line = p + 0 " passed, " f + 0 " failed"
         if (s)
             line = line ", " s " skipped"
         print line
         exit f != 0
     }' "$CKPT_TALLY"
