#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# An archive written by docs/specs/archive.md alone, in another language, is
# imported.  It holds what a Linux kernel leaves in memory for a debugger, so the
# core that is exported of it is opened by drgn, where that is installed.
set -u
command -v python3 >/dev/null || { echo "needs python3"; exit 77; }
B=$(realpath "${B:-build}")
export LD_LIBRARY_PATH=$B CKPT_HELPER=$B/ckpt-helper
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
export CKPT_STORE=$dir/store
fail() { echo "FAIL: $*"; exit 1; }

python3 - "$dir/archive" <<'P' || exit 99
import hashlib, json, struct, sys

BASE, PAGE, VA = 0x1000000, 4096, 0xffffffff81000000
RELEASE = b"6.1.0-18-amd64\0"
info = b"".join(line + b"\n" for line in (
    b"OSRELEASE=" + RELEASE[:-1], b"BUILD-ID=" + b"0" * 40, b"PAGESIZE=4096",
    b"SYMBOL(init_uts_ns)=%x" % (VA + 0x1000), b"SYMBOL(swapper_pg_dir)=%x" % VA,
    b"SYMBOL(_stext)=%x" % VA, b"NUMBER(phys_base)=0", b"NUMBER(pgtable_l5_enabled)=0",
    b"KERNELOFFSET=0", b"NUMBER(KERNEL_IMAGE_SIZE)=1073741824", b"CRASHTIME=1"))
note = struct.pack("<III", 11, len(info), 0) + b"VMCOREINFO\0\0" + info

# A page table of three levels, the last of 2 MiB pages; the name; the note.
mem = [bytearray(PAGE) for _ in range(5)]
struct.pack_into("<Q", mem[0], 511 * 8, BASE + 2 * PAGE | 0x63)
struct.pack_into("<Q", mem[2], 510 * 8, BASE + 3 * PAGE | 0x63)
struct.pack_into("<Q", mem[3], (VA >> 21 & 511) * 8, BASE | 0xe3)
mem[1][4:9], mem[1][134:134 + len(RELEASE)] = b"Linux", RELEASE
mem[4][128:128 + len(note)] = note

manifest = dict.fromkeys("memory_bytes stored_bytes pages_stored pages_zero pages_in_pause "
                         "passes pause_us pause_disks_us still_us durable_us".split(), 1)
manifest.update(dict.fromkeys("description mem_why xen_version parent".split(), ""))
manifest.update(version=1, mandatory=[], id="00000000000000aa", name="spec", domain_name="web",
                domain_uuid="11111111-1111-1111-1111-111111111111", domain_type="pvh",
                created_unix_us=1, has_memory=True, consistency="crash", mem_driver="dirty",
                disks=[])

records = []
def record(kind, body):
    records.append(struct.pack("<II", kind, len(body)) + body + b"\0" * (-len(body) % 8))

gfn = BASE // PAGE
record(1, struct.pack("<QQII", len(mem), 3, 3, 0))
record(2, json.dumps(manifest).encode())
for name, body in (b"config", b"{}\0"), (b"machine.head", b"h"), (b"machine.tail", b"t"):
    record(3, name.ljust(32, b"\0") + body)
record(0x80000063, b"of a later version")
record(4, struct.pack("<II", 3, 0) + struct.pack("<3Q", *(1 << 59 | n for n in (0, 1, 9))))
record(4, struct.pack("<II", len(mem), len(mem)) +
       struct.pack("<%dQ" % len(mem), *range(gfn, gfn + len(mem))) + b"".join(mem))
record(7, struct.pack("<Q", len(records)))
stream = b"".join(records)

head = (b"XCKPTARC" + struct.pack("<IIII", 1, 0, 0, 0x10)).ljust(1024, b"\0")
chain = hashlib.blake2b(head, digest_size=32).digest()
with open(sys.argv[1], "wb") as f:
    f.write(head)
    chunk = struct.pack("<IIII", len(stream), len(stream), 1, 0) + stream
    f.write(chunk + hashlib.blake2b(chain + chunk, digest_size=32).digest())
P

"$B/xl-ckpt" checkpoint-import "$dir/archive" >"$dir/out" 2>&1 || fail "import: $(cat "$dir/out")"
"$B/xl-ckpt" checkpoint-verify spec >"$dir/out" 2>&1 || fail "verify: $(cat "$dir/out")"
grep -q ': good, 8 pages' "$dir/out" || fail "not 8 pages: $(cat "$dir/out")"
"$B/xl-ckpt" checkpoint-export --format=vmcore spec "$dir/core" >"$dir/out" 2>&1 ||
    fail "export: $(cat "$dir/out")"
python=$(for p in python3 /usr/bin/python3; do
    "$p" -c 'import drgn' 2>/dev/null && echo "$p" && break; done)
[ "$python" ] || { echo "needs python3-drgn"; exit 77; }
"$python" - "$dir/core" <<'P' || fail "drgn does not find its way"
import sys
import drgn

core = drgn.Program()
core.set_core_dump(sys.argv[1])
assert core.flags & drgn.ProgramFlags.IS_LINUX_KERNEL, core.flags
assert core["UTS_RELEASE"].string_() == b"6.1.0-18-amd64"
# By the page tables that are in it.
name = core.read(0xffffffff81001000, 256)
assert name[4:10] == b"Linux\0" and b"6.1.0-18-amd64\0" in name, name
assert core.read(0x1001004, 5, True) == b"Linux"
assert core.read(9 * 4096, 4096, True) == bytes(4096)
P
