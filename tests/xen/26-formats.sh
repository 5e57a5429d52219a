#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The formats of others are theirs: what we export xl restores, what xl saved we
# import and xl restores that again; drgn finds its way in the core.  And an
# archive brings a guest back with its disk, through a pipe, on another volume.
# The guest says whether it is itself.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
g=formats

witness_create $g mem=128 vcpus=1 disk_mb=32 -- "mb=6,writers=1,$LIGHT"
is_control && { ticks $g control; finish; }
volumes() { lvs --noheadings -o lv_name vg0 | tr -d ' ' | grep -v "$g" | sort; }
before=$(volumes)

step "what is exported xl restores"
# Paused since the cut: the disk stays as the checkpoint has it.
must "take" xl checkpoint -p -n one $g
must "export" xl checkpoint-export one "$T/one.save"
must "export of a core" xl checkpoint-export --format=vmcore one "$T/core"
xl destroy $g
must "xl restore of our file" command xl restore "$T/one.save"
rm -f "$T/one.save"
ticks $g "after xl restore of our file"
clean $g "after xl restore of our file"

step "what xl saved is imported, and restored again"
must "xl save" command xl save $g "$T/theirs.save"
must "import" xl checkpoint-import -n two "$T/theirs.save"
rm -f "$T/theirs.save"
must "verify" xl checkpoint-verify two
is "where it comes from" import "$(field two mem_driver)"
must "export of what was imported" xl checkpoint-export two "$T/two.save"
must "xl restore of what was imported" command xl restore "$T/two.save"
rm -f "$T/two.save"
ticks $g "after import and xl restore"
clean $g "after import and xl restore"

step "drgn reads the core"
cat >"$T/core.py" <<'P'
import re, sys
import drgn

core = drgn.Program()
core.set_core_dump(sys.argv[1])
assert core.flags & drgn.ProgramFlags.IS_LINUX_KERNEL, core.flags
release = core["UTS_RELEASE"].string_()
with open(sys.argv[1], "rb") as f: # this drgn keeps the note to itself
    note = f.read(1 << 20)
at = int(re.search(rb"SYMBOL\(init_uts_ns\)=([0-9a-f]+)", note).group(1), 16)
# By the guest's own page tables: they and what they lead to are in the core.
name = core.read(at, 512)
assert b"Linux\0" in name and release + b"\0" in name, name
print(release.decode())
P
must "drgn" python3 "$T/core.py" "$T/core"
release=$(cat "$T/out")
CHECKS=$((CHECKS + 1))
[ -d "/lib/modules/$release" ] || fail "the core is of a kernel \"$release\""
rm -f "$T/core"

step "an archive, through a pipe, to another volume"
must "keys" xl checkpoint-keygen --kind=shared "$T/key"
CHECKS=$((CHECKS + 1))
xl checkpoint-export --format=archive --encrypt-to="$T/key" one - 2>"$T/err" |
    xl checkpoint-import -n three --decrypt-with="$T/key" \
        --disk=xvda=thin:vg0/pool/formats-copy - >"$T/out" 2>&1
[ "${PIPESTATUS[*]}" = "0 0" ] || fail "archive: $(cat "$T/err" "$T/out")"
DEEDS=$((DEEDS + 1))
must_fail 4 'is there already' xl checkpoint-import -n four --disk=xvda=thin:vg0/pool/formats-copy \
    --decrypt-with="$T/key" <(xl checkpoint-export --format=archive --encrypt-to="$T/key" one -)
is "its disk" /dev/vg0/formats-copy "$(field three disks.0.target)"
snap=$(field one disks.0.snapshot)
lvchange -qq -ay -K "$snap" || broken "cannot activate $snap"
must "the disk is the same" cmp "/dev/$snap" /dev/vg0/formats-copy
lvchange -qq -an "$snap"
must "verify" xl checkpoint-verify three
guest_destroy $g
must "fork of what came in an archive" xl fork -n $g-again three
ticks $g-again "forked from an archive"
clean $g-again "forked from an archive"
guest_destroy $g-again

step "nothing is left"
must "delete" xl checkpoint-delete one two three
lvremove -qq -f -y vg0/formats-copy || fail "the new volume cannot be removed"
is "the volumes" "$before" "$(volumes)"
finish
