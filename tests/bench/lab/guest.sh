# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# A guest that measures itself (tests/bench/guest_bench.c); sourced after lib.sh.

# measured_guest NAME REGIONS [guest_create's words]
measured_guest() {
    local name=$1 regions=$2 at=$T/cpio
    shift 2
    if [ ! -e "$at" ]; then
        mkdir -p "$at/bin"
        cp /mnt/build/tests/bench/guest_bench "$at/bin/witness"
        (cd "$at" && find . -print | cpio --quiet -o -H newc -R 0:0) \
            >>"$GUEST_FILES/initrd.guest"
    fi
    guest_create "$name" "$@" witness="$regions,/mnt/disk/bench" || broken "no guest $name"
    guest_wait "$name" 'BENCH READY' 300 >/dev/null || {
        tail -20 "$(guest_log "$name")"
        broken "$name did not come up"
    }
    MEASURED=$name
    SEQ=0
}

# measure FILE WHICH WORK BATCHES [REGION]: WHICH of what it answers (mean, median,
# min: nanoseconds for one; total) is added to FILE; all of it is in ANSWER.
measure() {
    local file=$1 which=$2 from
    shift 2
    SEQ=$((SEQ + 1))
    from=$(guest_lines "$MEASURED")
    xenstore-write "/local/domain/$(xl domid "$MEASURED")/control/bench" "$SEQ $*"
    ANSWER=$(guest_wait "$MEASURED" "^BENCH (BROKEN|$SEQ) " 600 "$from") ||
        broken "$MEASURED is silent"
    [[ $ANSWER =~ \ $which\ ([0-9.]+) ]] || broken "$MEASURED: $ANSWER"
    echo "${BASH_REMATCH[1]}" >>"$file"
}
