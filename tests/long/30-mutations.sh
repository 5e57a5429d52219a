#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched --patch tests/long/mutants.patch --timeout 3600
#
# Each gate of the hypervisor's capture is left out, one at a time, and a row
# of tests/xen/50-cow-writers.sh has to notice: a gate that nobody misses is
# not tested. mutants.patch gives Xen the switch. First every row passes with
# no gate left out. Prints a table; MUTANTS="NAME..." tries only these.
#
# Where two gates are in one path, either being enough, the mutant has neither:
# a fault (the lookup, and the change of type after it), a change of type by
# the device model's operation (the same), and an answer of a hypercall (the
# walk's lookup of the page, and the copy's).
#
# Not here, because nothing can be seen of them, or not in this lab:
#   xen-page   pages of Xen are listed: their records are dropped by dom0
#   PML        no processor of this lane has it
#   the flush of TLBs in begin: the change of types before it flushes as well
# shellcheck source=tests/xen/cow.sh
. "$(dirname "$0")/../xen/lib.sh"
. "$(dirname "$0")/../xen/cow.sh"
g=mutants

# The gate, and the rows, of which one has to fail.
read -r -d '' table <<'EOT'
lookup          foreign-after
fast-path       foreign-after
foreign         foreign-after
fault           vcpu
protect         vcpu
log-dirty       log-dirty
retype          retype-guest
p2m-entry       balloon
other-page      device-over
order           big-over
present         balloon-between
scan            foreign-before
list            grant-before
list-lookup     foreign-between
list-fast-path  grant-between
list-again      let-go
grant           grant-after
grant-read-only grant-read-after
hvm-copy        hypercall
walk            page-tables-by-xen
page-table      page-tables
vcpu-info       vcpu-info
fifo            fifo
xen-flag        vcpu
written         increment
written-entry   increment
written-list    increment
absent          increment
reserve         full
park            full
wake            full
detach-wake     full-detach
watchdog        stall
teardown        destroyed
EOT

mutate() { xl set-parameters "ckpt-mutant=$1" || broken "the switch of this Xen"; }

try() { # ROW
    case $1 in
    increment|full|full-detach|stall) timeout 200 "$COW" "$1" $g ;;
    destroyed)
        "$COW" die $g
        xl destroy $g
        wait_until 30 test "$(xl list | wc -l)" -eq 2
        ;;
    *) timeout 200 "$COW" row "$1" $g ;;
    esac
}

# After a mutant there may be a guest with wrong memory, or one that stands still.
anew() {
    mutate ''
    guest_destroy $g
    cow_guest $g
}

cow_guest $g
survivors=''
for row in $([ -n "${MUTANTS:-}" ] || "$COW" rows) increment full full-detach stall; do
    step "no mutant: $row"
    must "no mutant, $row" try "$row"
done
while read -r mutant row; do
    [[ " ${MUTANTS:-$mutant} " = *" $mutant "* ]] || continue
    mutate "$mutant"
    CHECKS=$((CHECKS + 1))
    rc=0
    try "$row" >"$T/out" 2>&1 || rc=$?
    if [ $rc -eq 0 ]; then
        survivors="$survivors $mutant"
        word=SURVIVES
    elif grep -q BROKEN "$T/out"; then
        fail "$mutant: $(grep BROKEN "$T/out")"
        word=broken
    else
        word="caught by $row"
    fi
    mutate ''
    printf 'MUTANT %-16s %s: %s\n' "$mutant" "$word" \
        "$(grep -m 1 FAIL "$T/out" || tail -n 1 "$T/out")"
    # A row that came to its end has put everything back.
    case $rc,$mutant in
    [01],wake|[01],detach-wake|[01],watchdog) anew ;;
    [01],*) ;;
    *) anew ;;
    esac
done <<<"$table"
[ -z "$survivors" ] || fail "nobody missed:$survivors"
finish
