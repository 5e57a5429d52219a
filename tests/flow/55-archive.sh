#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# An archive with a disk, through the real programs: in, out, through a pipe, and
# what is left when it is damaged, killed at any step, or has no room.
# shellcheck disable=SC2015
set -u
for program in qemu-img python3; do
    command -v $program >/dev/null || { echo "needs $program"; exit 77; }
done

B=$(realpath "${B:-build}")
dir=$(mktemp -d) && dir=$(realpath "$dir") || exit 99
trap 'rm -rf "$dir"' EXIT
ln -s "$B/ckpt-helper" "$dir/" # by whose name our guards are known
export CKPT_HELPER=$dir/ckpt-helper LD_LIBRARY_PATH=$B
export CKPT_STORE=$dir/store
golden=tests/golden/archive/format-1.hex

fail() { echo "FAIL: $*"; exit 1; }
xl() { { "$B/xl-ckpt" "$@" >"$dir/out" 2>"$dir/err"; } 2>>"$dir/shell"; }
must() { "$@" || { cat "$dir/out" "$dir/err"; fail "$*"; }; }
# exits STATUS COMMAND...
exits() {
    local wanted=$1 rc
    shift
    "$@"
    rc=$?
    [ $rc -eq "$wanted" ] || { cat "$dir/out" "$dir/err"; fail "$*: $rc, not $wanted"; }
}
said() { grep -q -- "$1" "$dir/err" || { cat "$dir/err"; fail "did not say: $1"; }; }
# nothing_of NAME: neither it nor a snapshot or a helper of it.
nothing_of() {
    for ((i = 0; i < 200; i++)); do
        [ -z "$(compgen -G "$dir/$1*")" ] && return
        read -rt 0.05 <> <(:) # lint: sleep ok: the guard's end, with a limit
    done
    ls -la "$dir"
    fail "something of $1 is left"
}
guards_gone() { # they undo, and let go of the domain
    while pgrep -f "$CKPT_HELPER guard" >/dev/null; do
        sleep 0.05 # lint: sleep ok: the guard has no event for others
    done
}
listed() { [ "$("$B/xl-ckpt" checkpoint-list -q | wc -l)" -eq "$1" ] || fail "not $1 checkpoints"; }

python3 - "$golden" "$dir" <<'P' || exit 99
import sys
out = None
for line in open(sys.argv[1]):
    a, b = line.split()[:2]
    if a == "file":
        out = open(sys.argv[2] + "/" + b, "w+b")
        out.truncate(int(line.split()[2]))
    else:
        out.seek(int(a, 16))
        out.write(bytes.fromhex(b))
P
python3 - "$dir/content" <<'P' || exit 99
import sys
with open(sys.argv[1], "wb") as f:
    f.truncate(300 << 10)
    for at, what in (0, b"begin"), (123456, b"middle"), ((300 << 10) - 3, b"end"):
        f.seek(at)
        f.write(what)
P
same() { # QCOW2: the guest reads what it read
    qemu-img compare -U -f qcow2 -F raw "$1" "$dir/content" >"$dir/out" 2>&1 ||
        { cat "$dir/out"; fail "$1 is not what the disk was"; }
}

# --- in -----------------------------------------------------------------------

exits 2 xl checkpoint-import "$dir/disk"
said 'xvda .* needs a place'
exits 4 xl checkpoint-import --disk="xvda=qcow2:$dir/content" "$dir/disk"
must xl checkpoint-import -n one --disk="xvda=qcow2:$dir/a.qcow2" "$dir/disk"
grep -q "disks: xvda to $dir/a.qcow2" "$dir/out" || fail "not told where it is"
same "$dir/a.qcow2"
same "$(echo "$dir"/a.qcow2.ckpt-*-xvda)"
must xl checkpoint-verify one
must xl checkpoint-show --json one
python3 - "$dir/out" "$dir/a.qcow2" <<'P' || fail "the manifest has another disk"
import json, sys
d = json.load(open(sys.argv[1]))["checkpoint"]["disks"][0]
assert d["target"] == sys.argv[2] and d["driver"] == "qcow2", d
assert d["snapshot"].startswith(sys.argv[2] + ".ckpt-"), d
P

# --- out, through a pipe, and in again -------------------------------------------

"$B/xl-ckpt" checkpoint-export --format=archive one - 2>"$dir/err" |
    xl checkpoint-import -n two --disk="xvda=qcow2:$dir/b.qcow2" -
[ "${PIPESTATUS[*]}" = "0 0" ] || { cat "$dir/err"; fail "not through a pipe"; }
same "$dir/b.qcow2"
[ "$(compgen -G "$dir/*.ckpt-new")" = "" ] || fail "an overlay is left"

must xl checkpoint-keygen "$dir/read"
must xl checkpoint-keygen --kind=sign "$dir/sign"
must xl checkpoint-export --format=archive --encrypt-to="$dir/read.pub" \
    --sign-with="$dir/sign" one "$dir/sealed-one"
exits 10 xl checkpoint-import -n three --disk=xvda=none "$dir/sealed-one"
exits 10 xl checkpoint-import -n three --disk=xvda=none \
    --decrypt-with="$dir/read" --signed-by="$dir/signer.pub" "$dir/sealed-one"
must xl checkpoint-import -n three --disk="xvda=qcow2:$dir/c.qcow2" \
    --decrypt-with="$dir/read" --signed-by="$dir/sign.pub" "$dir/sealed-one"
same "$dir/c.qcow2"
listed 3

# --- what is refused leaves nothing ------------------------------------------------

head -c -40 "$dir/disk" >"$dir/short"
exits 8 xl checkpoint-import -n four --disk="xvda=qcow2:$dir/d.qcow2" "$dir/short"
nothing_of d.qcow2
# a filesystem without shared blocks: no snapshot could be made there
if ! cp --reflink=always "$dir/content" "$dir/clone" 2>/dev/null; then
    exits 5 xl checkpoint-import -n four --disk="xvda=$dir/d.img" "$dir/disk"
    said 'cannot share blocks'
    nothing_of d.img
fi
rm -f "$dir/clone"
exits 4 xl checkpoint-import -n one --disk="xvda=qcow2:$dir/d.qcow2" "$dir/disk"
nothing_of d.qcow2
(
    ulimit -f 100 # KiB: the disk does not fit
    trap '' XFSZ
    xl checkpoint-import -n four --disk="xvda=qcow2:$dir/d.qcow2" "$dir/disk"
) && fail "it fits, although it cannot"
nothing_of d.qcow2
listed 3

# --- killed -----------------------------------------------------------------------

"$B/xl-ckpt" checkpoint-import -vvv -n four --disk="xvda=qcow2:$dir/d.qcow2" \
    "$dir/disk" 2>"$dir/err" >/dev/null || fail "import"
mapfile -t steps < <(sed -nE '/^static const struct step import_steps/,/^};/s/^ *\{ "([^"]+)".*/\1/p' \
    libckpt/archive_read.c)
[ ${#steps[@]} -eq 7 ] || fail "the steps of an import: ${steps[*]}"
must xl checkpoint-delete four
said 'may be started on at any moment' # so the snapshot stays for now
rm "$dir/d.qcow2"
must xl checkpoint-prune
nothing_of d.qcow2
for step in "${steps[@]}"; do
    for where in before after; do
        CKPT_FAULT="kill:$where:import:$step" \
            xl checkpoint-import -n four --disk="xvda=qcow2:$dir/d.qcow2" "$dir/disk"
        guards_gone
        if [ "$where $step" = "after committed" ]; then
            must xl checkpoint-verify four
            same "$dir/d.qcow2"
            must xl checkpoint-delete four
            rm "$dir/d.qcow2"
            must xl checkpoint-prune
        else
            nothing_of d.qcow2
            listed 3
        fi
    done
done

# failed at any step, by an error and not by death
for step in "${steps[@]}"; do
    exits 1 env CKPT_FAULT="fail:before:import:$step" "$B/xl-ckpt" checkpoint-import \
        -n four --disk="xvda=qcow2:$dir/d.qcow2" "$dir/disk" >"$dir/out" 2>"$dir/err"
    nothing_of d.qcow2
    listed 3
done

# between the rename and the end: the checkpoint is there, so are its disks
CKPT_FAULT=kill:at:import:published \
    xl checkpoint-import -n four --disk="xvda=qcow2:$dir/d.qcow2" "$dir/disk"
guards_gone
must xl checkpoint-verify four
must xl checkpoint-delete four
listed 3
same "$dir/d.qcow2"

# --- deleted, the disks stay, and the snapshots go with them ---------------------------

must xl checkpoint-delete one two three
same "$dir/a.qcow2"
rm "$dir"/[a-d].qcow2
must xl checkpoint-prune
[ -z "$(compgen -G "$dir/*.ckpt-*")" ] || { ls "$dir"; fail "snapshots are left"; }
