#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched --env HYPERVISOR=patched
# lab: --xen plain --env HYPERVISOR=plain
#
# What the patches cost who does not use them: the same guest's work on the
# patched hypervisor, and on one of the same source, configuration and compiler
# without them, a lab each.  Time counts instructions in both, so they need not
# take turns.  Debian's own build is another version, configured otherwise.
#   take.unused            all of it together
#   take.unused.WORK       a kind of work (tests/bench/guest_bench.c)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/guest.sh"
g=bench
# Kinds of work and how many batches: about as long each.
WORKS="syscall:10 fork:100 map:60 token:50 disk:60 ping:150 store:20 balloon:3"
parts=/mnt/share/unused
[ -n "${HYPERVISOR:-}" ] || broken "which hypervisor?"

round() {
    local work total=0
    for work in $WORKS; do
        measure "$parts/${work%:*}.$HYPERVISOR" median "${work%:*}" "${work#*:}"
        [[ $ANSWER =~ \ total\ ([0-9]+) ]] && total=$((total + BASH_REMATCH[1]))
    done
    echo $((total / 1000)) >>"$parts/all.$HYPERVISOR"
}

mkdir -p $parts
rm -f $parts/*."$HYPERVISOR"
measured_guest "$g" 1 mem=256 vcpus=1 disk_mb=64 extra=addr=192.0.2.7/24
for ((i = 0; i < ROUNDS; i++)); do round; done
clean "$g" "in the end"
if [ "$HYPERVISOR" = plain ]; then
    row take.unused us "without the patches" $parts/all.{patched,plain}
    for work in $WORKS; do
        work=${work%:*}
        row "take.unused.$work" ns "without the patches" "$parts/$work".{patched,plain}
    done
    rm -r $parts
fi
finish
