# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# Sourced by tests/flow/*-cli-*.sh: xl's commands over a library that answers
# from a script (fake_ckpt.c says how it is written).  UPDATE=1 writes the
# golden files anew instead of comparing.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../../.." || exit 99
top=$PWD
B=${B:-build}
case $B in /*) ;; *) B=$top/$B ;; esac
golden_dir=$top/tests/golden/cli
fake=$B/tests/xl-ckpt-fake
[ -x "$fake" ] || {
    echo "skipped: $fake is not built"
    exit 77
}

tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
bin=$tmp/bin
mkdir "$bin" || exit 99
ln -s "$fake" "$bin/xl-ckpt"
for word in checkpoint rollback fork checkpoint-list checkpoint-show \
    checkpoint-delete checkpoint-verify checkpoint-keep checkpoint-prune \
    checkpoint-export checkpoint-import checkpoint-keygen checkpoint-diff \
    checkpoint-mount checkpoint-umount; do
    ln -s xl-ckpt "$bin/xl-$word"
done
# no daemon of this machine
export CKPT_FAKE=$tmp/script LC_ALL=C TZ=UTC CKPTD_SOCKET=$tmp/none
unset CKPT_STORE XL_REAL XENCKPT_LIBEXEC
calls=$tmp/calls
status=0

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

# requires PROGRAM...: skips the test where one is missing.
requires() {
    local program

    for program; do
        command -v "$program" >/dev/null || {
            echo "skipped: $program is not installed"
            exit 77
        }
    done
}

# The script of the library, on standard input.
script() {
    {
        echo "log=$calls"
        cat
    } >"$CKPT_FAKE"
}

# run ARGS...: xl-ckpt ARGS, into $tmp/out, $tmp/err and $status.
run() {
    : >"$calls"
    "$bin/xl-ckpt" "$@" >"$tmp/out" 2>"$tmp/err"
    status=$?
    what="xl-ckpt $*"
}

exits() { # STATUS
    [ "$status" -eq "$1" ] && return
    sed 's/^/stderr: /' "$tmp/err" >&2
    fail "$what: exit $status, not $1"
}

# same TEXT FILE: the file holds that line, or those, and nothing else.
same() {
    local text

    text=$(cat "$2") # once: it may be a pipe
    [ "$text" = "$1" ] || fail "$what: ${2##*/} is '$text', not '$1'"
}

has() { # TEXT FILE
    grep -qF -- "$1" "$2" ||
        fail "$what: no '$1' in ${2##*/}: '$(cat "$2")'"
}

silent() { # FILE...
    local file

    for file; do
        [ ! -s "$file" ] || fail "$what: ${file##*/} has '$(cat "$file")'"
    done
}

called() { # LINE: the library was called so, once
    [ "$(grep -cxF -- "$1" "$calls")" -eq 1 ] && return
    sed 's/^/called: /' "$calls" >&2
    fail "$what: not called so: $1"
}

is_json() { # FILE
    python3 -m json.tool "$1" >/dev/null || fail "$what: no JSON"
}

# json FILE EXPRESSION: prints it, `d` being the object.
json() {
    python3 -c 'import json, sys
d = json.load(open(sys.argv[1], encoding="utf-8"))
print(eval(sys.argv[2]))' "$1" "$2" || fail "$what: JSON has no $2"
}

golden() { # NAME: $tmp/out is as in NAME.ok
    if [ -n "${UPDATE-}" ]; then
        cp "$tmp/out" "$golden_dir/$1.ok"
    else
        diff -u "$golden_dir/$1.ok" "$tmp/out" ||
            fail "$what: not as in tests/golden/cli/$1.ok"
    fi
}
