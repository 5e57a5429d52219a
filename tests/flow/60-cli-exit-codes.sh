#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# A failure of the library becomes the documented status, its name in JSON,
# and its words once on standard error.
# shellcheck source=tests/fake/cli/cli.sh
. "$(dirname "$0")/../fake/cli/cli.sh"
requires python3

# Linux's numbers, as libckpt returns them
errnos='1:10:not-permitted 2:3:not-found 5:1:failed 12:6:no-memory
13:10:not-permitted 16:4:busy 17:4:name-taken 22:2:usage 28:6:no-space
38:1:failed 95:5:not-supported 105:6:ring-full 110:7:timed-out 117:8:damaged 125:9:cancelled'
commands='take:checkpoint:web1 rollback:rollback:web1 fork:fork:web1
list:checkpoint-list: find:checkpoint-show:a delete:checkpoint-delete:a
verify:checkpoint-verify:a open:checkpoint:web1 open:checkpoint-list:'

# Every errno of one command, two of every command.  All JSON is looked at
# together: python is slow to start.
mkdir "$tmp/json" || exit 99
for e in $errnos; do
    IFS=: read -r errno wanted name <<<"$e"
    for c in $commands; do
        IFS=: read -r call command word <<<"$c"
        case $call:$errno in
        take:* | *:2 | *:125) ;;
        *) continue ;;
        esac
        echo "$call=-$errno words of \"$call\"" | script
        for flag in '' --json; do
            # shellcheck disable=SC2086
            run "$command" $word $flag
            exits "$wanted"
            same "xl $command: words of \"$call\"" "$tmp/err"
            [ -z "$flag" ] ||
                mv "$tmp/out" "$tmp/json/$name:$wanted:$call:$errno:$command"
            [ -n "$flag" ] || silent "$tmp/out"
        done
    done
done
cat >"$tmp/check.py" <<'P'
import json, os, sys
os.chdir(sys.argv[1])
for file in os.listdir():
    name, status, call = file.split(":")[:3]
    wanted = {"code": name, "exit": int(status),
              "message": f'words of "{call}"'}
    with open(file, encoding="utf-8") as f:
        got = json.load(f)["error"]
    if got != wanted:
        sys.exit(f"{file}: {got}")
print(len(os.listdir()), "errors in JSON")
P
what='errors in JSON'
same '31 errors in JSON' <(python3 "$tmp/check.py" "$tmp/json")

# without words of the library, the system's
echo 'take=-13' | script
run checkpoint web1
same 'xl checkpoint: Permission denied' "$tmp/err"

# wrong use, told in JSON wherever --json stands
script <"$golden_dir/two.script"
for words in 'checkpoint --json' 'checkpoint --nonsense --json web1' \
    'checkpoint --timeout x web1 --json' 'checkpoint --json a b'; do
    # shellcheck disable=SC2086
    run $words
    exits 2
    same usage <(json "$tmp/out" 'd["error"]["code"]')
done

# those that come after one that fails have their turn, but for a signal
script <<S
delete:b=-2 b: no such checkpoint
delete:c=-16 c: in use
delete:x=-125 cancelled
S
run checkpoint-delete a b c d
exits 3
same $'a: deleted\nd: deleted' "$tmp/out"
same $'xl checkpoint-delete: c: in use\nxl checkpoint-delete: b: no such checkpoint' \
    "$tmp/err"
called 'delete checkpoint=d'
run checkpoint-delete a b c d --json
exits 3
same "[True, False, False, True]" \
    <(json "$tmp/out" '[x["ok"] for x in d["deleted"]]')
same "['a', 'b', 'c', 'd']" \
    <(json "$tmp/out" '[x["checkpoint"] for x in d["deleted"]]')
same busy <(json "$tmp/out" 'd["deleted"][2]["error"]["code"]')
same not-found <(json "$tmp/out" 'd["error"]["code"]')
run checkpoint-delete x a
exits 9
! grep -q 'checkpoint=a' "$calls" || fail "went on after a cancelled one"

# damage is said in numbers
{
    echo 'verify=-117 page 4096 is damaged'
    cat "$golden_dir/two.script"
} | script
run checkpoint-verify -q day1
exits 8
same 'day1: DAMAGED, 2 of 79872 pages bad, the first at gfn 0x1000' "$tmp/out"
# and in words: what, who else, what to do
echo "also=$(sed -n 's/^checkpoint=//p' "$golden_dir/two.script" | head -n 1)" >>"$CKPT_FAKE"
run checkpoint-verify day1
has '  page 4096 is damaged' "$tmp/out"
has '(web1/before-upgrade)' "$tmp/out"
has 'What to do: ' "$tmp/out"
run checkpoint-verify day1 --json
same '(["page 4096 is damaged"], [{"gfn": 4096, "pages": 2}], 1)' <(json "$tmp/out" \
    '(d["verified"][0]["damaged"], d["verified"][0]["lost"],
    len(d["verified"][0]["also_damaged"]))' | tr "'" '"')
same '(False, 2, 4096)' <(json "$tmp/out" 'tuple(d["verified"][0][k]
    for k in ("ok", "pages_bad", "first_bad_gfn"))')

# a fork that made some of what was asked for says which
{
    echo 'fork=-12 no memory for the third'
    cat "$golden_dir/two.script"
} | script
run fork --count 3 web1
exits 6
[ "$(wc -l <"$tmp/out")" -eq 2 ] || fail "the two that were made are not told"
run fork --count 3 web1 --json
exits 6
same '2 no-memory' <(json "$tmp/out" \
    'str(len(d["domains"])) + " " + d["error"]["code"]')

# a rollback that cannot list afterwards has still been done
{
    echo 'list=-5 no'
    cat "$golden_dir/two.script"
} | script
run rollback web1 --json
exits 0
same None <(json "$tmp/out" 'd["checkpoint"]')
silent "$tmp/err"

# a result that cannot be printed is a failure
script <"$golden_dir/two.script"
for flag in '' --json; do
    # shellcheck disable=SC2086
    "$bin/xl-ckpt" checkpoint web1 $flag >/dev/full 2>"$tmp/err"
    [ $? -eq 1 ] || fail "a full standard output is not told"
    grep -q 'standard output' "$tmp/err" || fail "nor in words"
done

# a closed descriptor is not taken by a file that is opened later
for flag in -v --json; do
    ! "$bin/xl-ckpt" checkpoint web1 "$flag" >&- 2>"$tmp/err" ||
        fail "a closed standard output is not told"
done
"$bin/xl-ckpt" checkpoint -t web1 <&- >"$tmp/out" 2>&- ||
    fail "fails without a standard error"
[ "$(wc -l <"$tmp/out")" -eq 2 ] || fail "progress is in the result"
! grep -q paused "$calls" || fail "the result is in another file"
