#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# Progress: on a terminal or with -t, on standard error, over itself, with a
# rate and the time left, and off the screen before anything else is printed.
# shellcheck source=tests/fake/cli/cli.sh
. "$(dirname "$0")/../fake/cli/cli.sh"
{
    echo 'phase=memory armed|0|0|100'
    echo 'phase=memory copied|0|1073741824|1000'
    echo 'phase=memory copied|107374182|1073741824|501000'
    echo 'phase=memory copied|107374190|1073741824|501100'
    echo 'phase=memory copied|536870912|1073741824|2501000'
    echo 'phase=memory stored|2097152|0|2600000'
    echo 'phase=memory stored|6291456|0|3600000'
    cat "$golden_dir/two.script"
} | script

run checkpoint web1
exits 0
silent "$tmp/err"

run checkpoint -t web1
exits 0
[ "$(wc -l <"$tmp/out")" -eq 2 ] || fail "the result is not on standard output"
tr '\r' '\n' <"$tmp/err" | sed 's/ *$//' >"$tmp/lines"
cp "$tmp/lines" "$tmp/out"
golden progress
case $(tail -c 1 "$tmp/err" | od -An -c) in
*'\r'*) ;;
*) fail "the line is left on the screen" ;;
esac

run checkpoint -q -t web1
silent "$tmp/err"
run checkpoint -t --json web1
[ -s "$tmp/err" ] || fail "no progress with --json"
! grep -q memory\ copied "$tmp/out" || fail "progress in the JSON"

# a failure is told on a line of its own
{
    echo 'take=-28 the store is full'
    echo 'phase=memory copied|1|2|3'
} | script
run checkpoint -t web1
exits 6
tr '\r' '\n' <"$tmp/err" | tail -n 1 | grep -qx \
    'xl checkpoint: the store is full' || fail "the error is mixed with progress"

# a terminal that is narrow: no line is longer than it
command -v python3 >/dev/null || exit 0
cat >"$tmp/narrow.py" <<'P'
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
    os.execv(sys.argv[1], sys.argv[1:])
out = b""
while True:
    try:
        piece = os.read(fd, 4096)
    except OSError:
        break
    if not piece:
        break
    out += piece
sys.exit(3 if os.waitpid(pid, 0)[1] else
         4 if b"memory copied: 50%, 512.0 Mi" not in out else
         5 if any(len(line) >= 30 for part in out.split(b"\n")[:1]
                  for line in part.split(b"\r")) else 0)
P
{
    echo 'phase=memory copied|536870912|1073741824|2501000'
    cat "$golden_dir/two.script"
} | script
python3 "$tmp/narrow.py" "$bin/xl-ckpt" checkpoint -q web1
[ $? -eq 4 ] || fail "progress in spite of -q"
sed -i 's/^name=.*/name=n/; s/^domain_name.*//' "$CKPT_FAKE"
python3 "$tmp/narrow.py" "$bin/xl-ckpt" checkpoint-delete a
status=$?
[ "$status" -eq 0 ] || fail "on a terminal of 30 columns: $status"
