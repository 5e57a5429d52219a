#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# checkpoint-export and -import: which file, and what is left of it.
# shellcheck source=tests/fake/cli/cli.sh
. "$(dirname "$0")/../fake/cli/cli.sh"
script <"$golden_dir/two.script"

run checkpoint-export day1 "$tmp/file"
exits 0
has 'exported to' "$tmp/out"
grep -q '^export checkpoint=day1 format=0' "$calls" || fail "not the format of xl"
[ "$(cat "$tmp/file")" = exported ] || fail "the file is not what was written"
[ "$(stat -c %a "$tmp/file")" = 600 ] || fail "others may read it"

run checkpoint-export day1 "$tmp/file"
exits 4
grep -q "$tmp/file" "$tmp/err" || fail "the file is not named"
[ "$(cat "$tmp/file")" = exported ] || fail "a file that was there is gone"

run checkpoint-export --format vmcore day1 -
exits 0
grep -q '^export checkpoint=day1 format=1' "$calls" || fail "not a core"
[ "$(cat "$tmp/out")" = exported ] || fail "something else on standard output"

run checkpoint-export --format tape day1 -
exits 2

{
    cat "$golden_dir/two.script"
    echo 'export=-117 the page is damaged'
} | script
run checkpoint-export day1 "$tmp/half"
exits 8
[ ! -e "$tmp/half" ] || fail "half a file is left"

echo Xen >"$tmp/save"
run checkpoint-import -n mine "$tmp/save"
exits 0
grep -q '^import name=mine first=X' "$calls" || fail "another file was read"
run checkpoint-import "$tmp/none"
exits 3

# an archive: its options, and none of them for the others
{
    cat "$golden_dir/two.script"
    echo 'archived=1048576|4194304|8192|1'
} | script
run checkpoint-export --format archive --exclude-disk xvdb --encrypt-to a.pub \
    --encrypt-to b --sign-with s day1 "$tmp/archive"
exits 0
called 'archive checkpoint=day1 exclude=xvdb encrypt=a.pub encrypt=b sign=s'
same "day1: exported to $tmp/archive, 1.0 MiB: 4.0 MiB of memory, 8.0 KiB of 1 disk, encrypted, signed" "$tmp/out"
[ "$(cat "$tmp/archive")" = archived ] || fail "the file is not what was written"
run checkpoint-export --json --format=archive day1 "$tmp/archive2"
exits 0
[ "$(json "$tmp/out" "d['format'], d['archive_bytes'], d['disks'], d['signed']")" = \
    "('archive', 1048576, 1, False)" ] || fail "not what --json should be"
run checkpoint-export --sign-with s day1 "$tmp/archive3"
exits 2
has '--format=archive' "$tmp/err"
[ ! -e "$tmp/archive3" ] || fail "a file was made"
run checkpoint-export --format=archive day1 -
exits 0
same archived "$tmp/out"

run checkpoint-import --disk xvda=/srv/a --disk=xvdb=none --decrypt-with k \
    --signed-by p --signed-by q "$tmp/save"
exits 0
called 'import name=(none) first=X disk=xvda=/srv/a disk=xvdb=none decrypt=k signed=p signed=q'

run checkpoint-keygen --kind=sign "$tmp/key"
exits 0
called "keygen kind=1 path=$tmp/key"
has 'keep it secret' "$tmp/out"
run checkpoint-keygen --kind=door "$tmp/key"
exits 2

run checkpoint-show --raw 4f1c22a90b71de03.00000007
exits 0
called 'dump checkpoint=4f1c22a90b71de03.00000007'
same 'pack: good' "$tmp/out"
run checkpoint-show --raw --json day1
exits 2
