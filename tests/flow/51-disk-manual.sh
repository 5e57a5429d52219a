#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The manual driver: the example of docs/specs/disk-hook.md does what the page
# says, and hooks that fail, hang or are not to be trusted harm nothing.
# shellcheck disable=SC2010,SC2016
set -u
B=$(realpath "${B:-build}")
tool=$B/tests/xen/disk_tool
dir=$(mktemp -d) && dir=$(realpath "$dir") || exit 99
trap 'rm -rf "$dir"' EXIT
ln -s "$B/ckpt-helper" "$dir/" # by whose name our guards are known
export CKPT_HELPER=$dir/ckpt-helper
export CKPT_DISK_HOOKS=$dir/disk.d
mkdir "$CKPT_DISK_HOOKS"
hook=$CKPT_DISK_HOOKS/copy
out=$dir/out
web=$dir/web.img
failed=0

fail() { echo "FAIL: $*"; failed=1; }
title() { echo "--- $*"; }
run() { # VERB...
    timeout 120 "$tool" xvda="$web" -- "$@" >"$out" 2>&1
    local rc=$?
    cat "$out"
    return $rc
}
must() { "$@" || fail "$*"; }
must_not() { "$@" && fail "not refused: $*"; }
said() { grep -q -- "$1" "$out" || fail "did not say: $1"; }
state() { (cd "$dir" && ls | grep -v '^out$'); cat "$web"; }
same_state() { [ "$1" = "$(state)" ] || fail "$2: left something behind: $(state)"; }
no_guard() {
    while pgrep -f "$CKPT_HELPER guard" >/dev/null; do
        sleep 0.05 # lint: sleep ok: the guard has no event for others
    done
}
# The hook of the page, with LINES put before its case.
make_hook() { # [LINES]
    sed -n '/^    #!/,$ s/^    //p' docs/specs/disk-hook.md |
        awk -v more="${1:-}" '/^case/ { print more } { print }' >"$hook"
    chmod 755 "$hook"
}

echo first >"$web"
title "no hooks, no disk"
must_not run probe
said "no hook of .* takes it"

make_hook
title "take, rollback, fork, remove"
must run probe guard arm:1111 cut drain keep stop
must run driver:manual "check:copy:$web.1111"
echo second >"$web"
must run driver:manual guard "fork:copy:$web.1111:child" keep stop
said "target $dir/fork-child-xvda"
[ "$(cat "$dir/fork-child-xvda")" = first ] || fail "the fork's content"
before=$(state)
must run driver:manual guard "fork:copy:$web.1111:other" undo stop
same_state "$before" "a fork undone"
must run driver:manual guard "rollback:copy:$web.1111" end:old stop
same_state "$before" "a rollback taken back"
run driver:manual guard "rollback:copy:$web.1111" kill
no_guard
same_state "$before" "a rollback killed"
must run driver:manual guard "rollback:copy:$web.1111" end:new stop
[ "$(cat "$web")" = first ] || fail "rolled back to $(cat "$web")"
[ ! -e "$web.old" ] || fail "the old content is left"

title "killed between the beats"
before=$(state)
for beats in arm:2222 "arm:2222 cut" "arm:2222 cut drain"; do
    # shellcheck disable=SC2086
    run probe guard $beats kill
    no_guard
    same_state "$before" "killed after $beats"
done
must run probe guard arm:2222 cut undo stop
same_state "$before" "undone"

title "a hook that fails"
make_hook '[ "$verb" != cut ] || { echo "array is degraded" >&2; exit 4; }'
must_not run probe guard arm:3333 cut
said "disk xvda: disk hook copy, cut: .*array is degraded"
no_guard
same_state "$before" "a cut that failed"
make_hook '[ "$verb" != arm ] || exit 0'
must_not run probe guard arm:3333
said "has to print snapshot=NAME"

title "a hook that hangs is ended"
make_hook '[ "$verb" != cut ] || exec sleep 1000'
begin=$SECONDS
must_not run probe guard arm:3333 cut
[ $((SECONDS - begin)) -lt 20 ] || fail "it took $((SECONDS - begin)) s"
said "disk hook copy, cut"
no_guard
same_state "$before" "a cut that hung"

title "a hook that is not to be trusted"
make_hook
chmod 777 "$hook"
must_not run probe
said "nobody else can write"
rm "$hook"
must_not run driver:manual "check:copy:$web.1111"
must_not run driver:manual "remove:../../bin/rm:$web"
said "no name of a disk hook"
[ -e "$web" ] || fail "the disk is gone"
make_hook
must run driver:manual "remove:copy:$web.1111" "remove:copy:$web.1111"
exit $failed
