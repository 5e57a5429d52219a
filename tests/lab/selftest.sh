#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# selftest.sh [LAB-OPTION...]: does the lab keep what README.md says? Minutes.
# Exit status 0, or 1 when a line "not ok" was printed.
set -u -o pipefail
lab=$(dirname "$(readlink -f "$0")")/lab
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0

# expect STATUS WORDS COMMAND...: the status, and words that the output must have.
expect() {
    local want=$1 words=$2 got=0
    shift 2
    "$@" >"$tmp/log" 2>&1 || got=$?
    if [ "$got" = "$want" ] && grep -qF -- "$words" "$tmp/log"; then
        echo "ok: status $want, '$words'"
    else
        echo "not ok: wanted status $want and '$words', got $got: $*"
        sed 's/^/  | /' "$tmp/log"
        bad=1
    fi
}

# shellcheck disable=SC2016 # all is for the shells in dom0
{
expect 7 '<a b><><$x "y">' "$lab" run "$@" -- \
    sh -c 'printf "<%s>" "$@"; echo; exit 7' sh 'a b' '' '$x "y"'
echo host >"$tmp/from-host"
expect 0 'host' "$lab" run "$@" --share "$tmp" -- \
    sh -c 'cat /mnt/share/from-host; echo dom0 >/mnt/share/from-dom0'
expect 0 'dom0' cat "$tmp/from-dom0"
expect 0 'control=1 x=y z' "$lab" control "$@" --env 'X=y z' -- \
    sh -c 'echo "control=$XEN_CKPT_CONTROL x=$X"'
expect 0 'pool' "$lab" run "$@" -- lvs vg0
expect 124 'gave up: timeout' "$lab" run "$@" --timeout 30 -- sleep 1000
expect 122 'dom0 died' "$lab" run "$@" -- sh -c 'sleep 1; echo c >/proc/sysrq-trigger'
for type in pvh pv hvm; do
    expect 0 'tick 2' "$lab" run "$@" --timeout 900 -- bash -c '
        . /mnt/tests/lab/guest.sh
        guest_create g type=$1 mem=192 && guest_wait g "guest: ready" 600 &&
            guest_wait g "tick 2" 60' bash $type
done
}
exit $bad
