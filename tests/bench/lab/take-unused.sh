#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen stock --env HYPERVISOR=stock
# lab: --xen patched --env HYPERVISOR=patched
#
# What the patches cost who does not use them: the same guest's work on the
# patched hypervisor against the stock one, a lab each.  Time counts
# instructions in both, so they need not take turns.
#   take.unused            all of it together
#   take.unused.WORK       a kind of work (tests/bench/guest_bench.c)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/guest.sh"
g=bench
# Kinds of work and how many batches: about as long each.
WORKS="syscall:400 fork:100 map:60 token:50 disk:60 ping:150 store:20 balloon:3"
parts=/mnt/share/unused
[ -n "${HYPERVISOR:-}" ] || broken "which hypervisor?"

round() {
    local work total=0
    for work in $WORKS; do
        measure "$parts/${work%:*}.$HYPERVISOR" mean "${work%:*}" "${work#*:}"
        [[ $ANSWER =~ \ total\ ([0-9]+) ]] && total=$((total + BASH_REMATCH[1]))
    done
    echo $((total / 1000)) >>"$parts/all.$HYPERVISOR"
}

mkdir -p $parts
rm -f $parts/*."$HYPERVISOR"
measured_guest "$g" 1 mem=256 vcpus=1 disk_mb=64 extra=addr=192.0.2.7/24
for ((i = 0; i < ROUNDS; i++)); do round; done
clean "$g" "in the end"
if [ "$HYPERVISOR" = patched ]; then
    row take.unused us "stock Xen" $parts/all.patched $parts/all.stock
    for work in $WORKS; do
        work=${work%:*}
        row "take.unused.$work" ns "stock Xen" "$parts/$work.patched" "$parts/$work.stock"
    done
    rm -r $parts
fi
finish
