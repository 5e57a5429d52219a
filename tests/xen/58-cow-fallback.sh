#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched
#
# The patched hypervisor refuses a domain that could write unseen, here one with
# nested virtualisation: the checkpoint is taken the other way, says why, and is
# as good; a domain beside it is captured on write.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
g=nested

witness_create $g mem=128 vcpus=2 disk_mb=64 cfg='nestedhvm = 1' -- "mb=8,$LIGHT"
is_control && { ticks $g control; finish; }

step "refused, and taken the other way"
must "take" xl checkpoint $g -n one --no-track
cat "$T/out"
CHECKS=$((CHECKS + 1))
cat "$T/out" "$T/err" | tr -s ' \n' ' ' | grep -q 'nested virtualisation' ||
    fail "it does not say why"
is "memory driver" dirty "$(field one mem_driver)"
CHECKS=$((CHECKS + 1))
field one mem_why | grep -q 'does not work for a domain with.*nested virtualisation' ||
    fail "why: $(field one mem_why)"
check_stored one
running $g "after the take"
must "rollback" xl rollback $g one
running $g "after the rollback"
clean $g "after the rollback"
must "delete" xl checkpoint-delete one
before=$(host_state)
free=$(free_mib)

step "what captures on write needs is not asked for in vain"
must "take" xl checkpoint $g -n two --ring 64 --when-full give-up
is "memory driver" dirty "$(field two mem_driver)"
must "delete" xl checkpoint-delete two
is "the host" "$before" "$(host_state)"
is "Xen's free memory" "$free" "$(free_mib)"

step "a domain beside it"
witness_create other mem=128 vcpus=1 disk_mb=64 -- "mb=8,$LIGHT"
must "take" xl checkpoint other -n three
is "memory driver" cow "$(field three mem_driver)"
is "nothing better" '' "$(field three mem_why)"
running other "after its take"
running $g "beside it"
clean $g "in the end"
finish
