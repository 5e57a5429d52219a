#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# Options, exit statuses, the pidfile, becoming a daemon, the init script, and
# the pages of the manual, as they say of one another.
set -eu -o pipefail
B=${B:-build}
case $B in /*) ;; *) B=$PWD/$B ;; esac
tmp=$(mktemp -d)
leave() {
    rc=$?
    [ "$rc" -eq 0 ] || cat "$tmp"/log*
    [ ! -s "$tmp/pid" ] || kill "$(cat "$tmp/pid")" || true
    rm -rf "$tmp"
}
trap leave EXIT
chmod 755 "$tmp"

fail() {
    echo "FAIL: $*"
    exit 1
}
status() { # STATUS COMMAND...
    local want=$1 rc=0
    shift
    "$@" >"$tmp/out" 2>"$tmp/err" || rc=$?
    [ "$rc" -eq "$want" ] || fail "\`$*' exited $rc, not $want: $(cat "$tmp/err")"
}

cat >"$tmp/conf" <<END
socket = $tmp/sock
state_dir = $tmp/state
run_dir = $tmp/run
user = nobody
audit_log = ""
job_program = $B/tests/ckptd-job-fake
xenstore = no
END
sed "s|^#\(\[\|[a-z]\)|\1|" ckptd/init/ckptd.conf >"$tmp/sample"

status 0 "$B/ckptd-bin" --version
status 0 "$B/ckptd-bin" -h
status 2 "$B/ckptd-bin" --nonsense
status 2 "$B/ckptd-bin" word
status 2 "$B/ckptd-bin" --user=nobody
status 2 "$B/ckptd-bin" --role=front
status 0 "$B/ckptd-bin" -n -c "$tmp/conf"
status 0 "$B/ckptd-bin" -n -c ckptd/init/ckptd.conf
status 0 "$B/ckptd-bin" -n -c "$tmp/sample"
status 1 "$B/ckptd-bin" -n -c "$tmp/none"
printf 'user = x\nnonsense = 1\n' >"$tmp/bad"
status 1 "$B/ckptd-bin" -n -c "$tmp/bad"
grep -q "^$tmp/bad:2: unknown key \"nonsense\"$" "$tmp/err" || fail "no file and line"

# The sample has every key with its default, and the page has every key.
grep -oE '^#?[a-z_]+ =' ckptd/init/ckptd.conf | tr -d '#= ' | sort -u >"$tmp/keys"
for key in $(grep -oE '(OWN|OWN_TEXT|RULE)\([a-z_]+' ckptd/conf.c | sed 's/.*(//' | grep -v '^field$') \
    hook_timeout metrics_interval compress guest_rate quiesce_timeout schedule keep_age; do
    grep -q "B<$key>" docs/man/ckptd.conf.5.pod || fail "$key is not in ckptd.conf(5)"
    case $key in
    state_dir | run_dir | job_program | xenstore) ;;
    *) grep -qx "$key" "$tmp/keys" || fail "$key is not in the sample" ;;
    esac
done
podchecker -warnings -warnings docs/man/ckptd.8.pod docs/man/ckptd.conf.5.pod \
    docs/man/ckpt-guest.1.pod 2>&1 | grep -v 'pod syntax OK' && fail "podchecker"
"$B/ckptd-bin" --help | sed -nE 's/^  -., --([a-z]+).*/\1/p' | while read -r o; do
    grep -q "B<--$o>" docs/man/ckptd.8.pod || fail "--$o is not in ckptd(8)"
done
"$B/ckpt-guest" --help | sed -nE 's/^  ([a-z]+) .*/\1/p' | while read -r c; do
    grep -q "B<$c" docs/man/ckpt-guest.1.pod || fail "$c is not in ckpt-guest(1)"
done

# It is there when the command returns, once, and gone when told.
status 0 "$B/ckptd-bin" -c "$tmp/conf" -p "$tmp/pid" -l "$tmp/log"
pid=$(cat "$tmp/pid")
kill -0 "$pid" || fail "not running"
[ -S "$tmp/sock" ] || fail "no socket"
status 1 "$B/ckptd-bin" -c "$tmp/conf" -p "$tmp/pid" -l "$tmp/log"
status 1 "$B/ckptd-bin" -F -c "$tmp/conf" -l stderr
printf '{"jsonrpc":"2.0","id":1,"method":"daemon.info"}\n' |
    python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.stdin.buffer.read())
print(s.makefile().readline())' "$tmp/sock" >"$tmp/out"
grep -q '"protocol":1' "$tmp/out" || fail "no answer"
mv "$tmp/log" "$tmp/log.1"
kill -HUP "$pid"
timeout 20 sh -c "until grep -qs 'is read' '$tmp/log'; do :; done" || fail "the log is not opened anew"
if grep 'ended' "$tmp/log" "$tmp/log.1"; then fail "a role ended"; fi
kill "$pid"
timeout 20 tail --pid="$pid" -f /dev/null || fail "does not stop"
[ ! -e "$tmp/sock" ] || fail "the socket is left"
[ ! -e "$tmp/pid" ] || fail "the pidfile is left"

# The init script, as a system without systemd would call it.
sed "s|@SBINDIR@/ckptd|$B/ckptd-bin|" ckptd/init/ckptd.init.in >"$tmp/init"
chmod +x "$tmp/init"
if [ -e /etc/default/ckptd ]; then
    echo "skipped: this machine has a ckptd of its own"
    exit 77
fi
sed -i "s|^CKPTD_ARGS=|CKPTD_ARGS='-c $tmp/conf -l $tmp/log'|" "$tmp/init"
export CKPTD_PIDFILE=$tmp/pid CKPTD_ANYWHERE=1
status 3 "$tmp/init" status
status 0 "$tmp/init" start
status 0 "$tmp/init" status
status 0 "$tmp/init" start
status 0 "$tmp/init" reload
status 0 "$tmp/init" restart
status 0 "$tmp/init" stop
status 0 "$tmp/init" stop
status 2 "$tmp/init" dance
CKPTD_ANYWHERE='' status 5 "$tmp/init" start
echo passed
