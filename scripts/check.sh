#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# check.sh GROUP... [-- GROUP...]: builds what `make check-GROUP` needs for
# each, runs them all at once and adds them up; those after -- when the others
# are through.  The last line is `N passed, N failed[, N skipped]`, over
# everything.  A group that cannot even be built counts as one failed test.
set -u

B=${B:-build}
mkdir -p "$B/test" || exit 99
export CKPT_TALLY=$PWD/$B/test/tally
: >"$CKPT_TALLY"

# Builds in parallel, unless the make above us already says how.
parallel=(-j"$(nproc)")
[[ ${MAKEFLAGS:-} == *jobserver* ]] && parallel=()

# run_groups 'OPTIONS OF RUN-TESTS' GROUP...
run_groups() {
    local options plan
    read -ra options <<<"$1"
    shift
    [ $# -gt 0 ] || return
    plan=$PWD/$B/test/plan
    rm -rf "$plan"
    mkdir "$plan" || exit 99
    CKPT_PLAN=$plan ${MAKE:-make} ${parallel[@]+"${parallel[@]}"} -k \
        --no-print-directory "${@/#/check-}"
    "$(dirname "$0")/run-tests.sh" "${options[@]}" -p "$plan" "$@"
}

first=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    first+=("$1")
    shift
done
[ $# -eq 0 ] || shift

# About half of the tests wait for something to happen, and need no core.
run_groups "-l -j$((2 * ${JOBS:-2}))" ${first[@]+"${first[@]}"}
run_groups "-l -j${JOBS:-2}" "$@"

awk '{ p += $1; f += $2; s += $3 }
     END {
         line = p + 0 " passed, " f + 0 " failed"
         if (s)
             line = line ", " s " skipped"
         print line
         exit f != 0
     }' "$CKPT_TALLY"
