# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# Guests for xen_cow_tool: beside the witness they run cow_guest, which grants
# pages and lets Xen write others.  Sourced after lib.sh.
# shellcheck disable=SC2034 # used by those who read this file
COW=/mnt/build/tests/xen/xen_cow_tool

# The initramfs grows by one archive: the helper, the drivers that it needs,
# which no other guest waits for, and a stand-in for the witness that starts it.
cow_archive() {
    local at=$T/cpio
    [ ! -e "$at" ] || return 0
    mkdir -p "$at/bin" "$at/lib/cow"
    cp "/lib/modules/$(uname -r)"/kernel/drivers/xen/xen-{privcmd,gntalloc}.ko "$at/lib/cow/" ||
        broken "no drivers"
    cp /mnt/build/tests/xen/cow_guest "$at/bin/cow-guest"
    cp "$WORKLOAD/witness" "$at/bin/witness.real"
    cat >"$at/bin/witness" <<'SH'
#!/bin/busybox sh
insmod /lib/cow/xen-privcmd.ko unrestricted=1
insmod /lib/cow/xen-gntalloc.ko
# Small guests do without unless they are told.
echo madvise >/sys/kernel/mm/transparent_hugepage/enabled
echo madvise >/sys/kernel/mm/transparent_hugepage/defrag
cow-guest &
exec /bin/witness.real "$@"
SH
    chmod +x "$at"/bin/*
    (cd "$at" && find . -print | cpio --quiet -o -H newc -R 0:0) >>"$GUEST_FILES/initrd.guest"
}

# cow_guest NAME: vCPUs that are offline are there for events to be sent to.
cow_guest() {
    cow_archive
    witness_create "$1" type=pvh mem=120 vcpus="${VCPUS:-2}" disk_mb=64 cfg='maxvcpus=6' -- mb=8
    guest_wait "$1" 'COW-GUEST ready' 60 >/dev/null || broken "no helper in $1"
}
