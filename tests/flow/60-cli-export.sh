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
