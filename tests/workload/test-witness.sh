#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# Proves the witness and its checker without Xen.  The witness runs as a process
# whose arena is a file (backing=FILE), so that the file, copied while the
# process is stopped, is a guest-physical image of one instant.  Then:
#
#   20 such images are found to be one instant each;
#   every kind of image that is not, made from two of them, is caught, and for
#   the reason that it was made for;
#   the witness itself sees memory and disk change behind its back;
#   a stop of the process is measured by its heartbeat.
#
# Exit: 0 proved, 1 not, 77 the programs are not built, 99 no place to work.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 99
bin=${B:-build}/tests/workload
for p in witness witness-check witness-pause; do
    [ -x "$bin/$p" ] || { echo "skip: $bin/$p is not built"; exit 77; }
done
T=$(mktemp -d) || exit 99
pid=''
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$T"' EXIT

# Our own copies: a make beside us may be linking new ones.
cp "$bin"/witness{,-check,-pause} "$T/" || exit 99
bin=$T

failed=0 proved=0
fail() { echo "FAIL: $*"; failed=$((failed + 1)); }
broken() { echo "broken: $*"; exit 99; }
short_nap() {
    # lint: sleep ok: the state of another process has no event to wait for
    sleep 0.01
}

# --- the process ------------------------------------------------------------

start() { # WORD...: one more witness; its lines come from descriptor 3
    exec 3< <(exec "$bin/witness" "$@")
    pid=$!
    expect_line 'WITNESS READY' || broken "the witness did not start"
}

expect_line() { # REGEX: read up to such a line, for ten seconds at most
    local line end=$((SECONDS + 10))
    while [ $SECONDS -lt $end ] && read -r -t 10 line <&3; do
        [[ $line =~ $1 ]] && return 0
    done
    return 1
}

halt() {
    local task state end=$((SECONDS + 10))
    kill -STOP "$pid" || broken "the witness is gone"
    for task in /proc/"$pid"/task/*; do
        while state=$(sed 's/.*) //; s/ .*//' "$task/stat") && [ "$state" != T ]; do
            [ $SECONDS -lt $end ] || broken "the witness does not stop"
            short_nap
        done
    done
}

word_at() { od -An -v -tu8 -j "$2" -N 8 "$1" | tr -d ' '; } # FILE OFFSET
done_of() { word_at "$T/live" $(($(gfn "status$1") * 4096 + 24)); }
log_done() { word_at "$T/live" $(($(gfn log) * 4096 + 24)); }

advance() { # PAGES RECORDS: let it run until each writer and the log did that
    local end=$((SECONDS + 10)) w0 w1 l
    w0=$(($(done_of 0) + $1)) w1=$(($(done_of 1) + $1)) l=$(($(log_done) + $2))
    kill -CONT "$pid"
    while [ "$(done_of 0)" -lt $w0 ] || [ "$(done_of 1)" -lt $w1 ] ||
        [ "$(log_done)" -lt $l ]; do
        [ $SECONDS -lt $end ] || broken "the witness does not advance"
        short_nap
    done
    halt
}

snapshot() { # NAME
    cp "$T/live" "$T/$1" || broken "no space"
    cp "$T/log.live" "$T/log.$1" || broken "no space"
}

# --- images -----------------------------------------------------------------

declare -A layout
read_layout() { # IMAGE
    local k v
    while read -r k v; do layout[$k]=$v; done < <("$bin/witness-check" --raw "$1" --layout)
    [ -n "${layout[current1]:-}" ] || broken "no layout"
}
gfn() { echo "${layout[$1]}"; }

graft() { # FROM TO FIRST [COUNT [AT]]: pages of one image into the other
    dd if="$T/$1" of="$T/$2" bs=4096 skip="$3" seek="${5:-$3}" count="${4:-1}" \
        conv=notrunc status=none || broken "dd"
}

flip() { # FILE OFFSET: one bit
    local v
    v=$(od -An -v -tu1 -j "$2" -N 1 "$T/$1" | tr -d ' ')
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\$(printf %03o $((v ^ 16)))" |
        dd of="$T/$1" bs=1 seek="$2" conv=notrunc status=none || broken "dd"
}

put_word() { # FILE OFFSET NUMBER, below 256
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\$(printf %03o "$3")\\0\\0\\0\\0\\0\\0\\0" |
        dd of="$T/$1" bs=1 seek="$2" conv=notrunc status=none || broken "dd"
}

check() { # WHAT STATUS REGEX ARG...
    local what=$1 want=$2 regex=$3 out status
    shift 3
    out=$("$bin/witness-check" "$@" 2>&1)
    status=$?
    if [ $status -ne "$want" ] || ! grep -qE "$regex" <<<"$out"; then
        fail "$what: status $status, not $want, or no '$regex' in:"
        head -n 5 <<<"$out"
        return 1
    fi
    proved=$((proved + 1))
}
ok() { check "$1" 0 '^OK ' --raw "$T/$2" "${@:3}"; }
caught() { check "$1" 1 "^VIOLATION what=$2 .*expected=.*found=" --raw "$T/$3" "${@:4}"; }
world() { check "$1" 99 "$2" --raw "$T/$3" "${@:4}"; }
new() { cp "$T/$1" "$T/x" || broken "no space"; } # a copy to work on: x

# --- true instants ----------------------------------------------------------

start writers=2 mb=4 logms=2 backing="$T/live" disk="$T/log.live" load="$T/load"
halt
read_layout "$T/live"
in_flight=0
for i in $(seq 20); do
    advance $((i * 7)) 1
    snapshot now
    ok "instant $i" now --disk "$T/log.now"
    n=$("$bin/witness-check" --raw "$T/now" | sed -n 's/.*in_flight=\([0-9]*\).*/\1/p')
    in_flight=$((in_flight + ${n:-0}))
done
echo "20 instants, $in_flight pages of them caught half written"

# --- images of two instants; two rounds between, so every page has changed ---

snapshot A
advance $((2 * $(gfn pages))) 5
snapshot B
ok "the first" A --disk "$T/log.A"
ok "the second" B --disk "$T/log.B"
read_layout "$T/B"
half=$(($(gfn region0) + $(gfn pages)))
last=$((half + $(gfn pages)))

new A; graft B x $half $((last - half))
caught "first half old, second half new" 'page-gen' x
new B; graft A x $half $((last - half))
caught "first half new, second half old" 'page-gen' x
middle=$(($(gfn region0) + $(gfn pages) / 2))
new B; graft A x $middle
caught "one page is old" 'page-gen' x
new A; graft B x $middle
caught "one page is new" 'page-gen' x
new B; graft A x "$(gfn current1)"
caught "the page being written is two rounds old" 'page-gen' x

pair() { graft "$1" x "$(gfn "status$2")"; graft "$1" x "$(gfn "region$2")" "$(gfn pages)"; }
new B; pair A 0
caught "writer 0 is older than writer 1" 'peer-ahead' x
new B; pair A 1
caught "writer 1 is older than writer 0" 'peer-ahead' x
new B; pair A 0; pair A 1
caught "both writers are older than the rest" 'seen-ahead' x
new A; pair B 0; pair B 1
caught "both writers are newer than the rest" 'beat-ahead' x

new B; graft A x "$(gfn control)"
caught "the control page is old" 'beat-ahead' x
new B; graft A x "$(gfn status0)"
caught "a writer's counter is old" 'page-gen' x
new B; graft A x "$(gfn log)"
caught "the log page is old" 'log-ahead' x
new A; graft B x "$(gfn log)"
caught "the log page is new" 'log-stamp' x

# --- damage -----------------------------------------------------------------

new B; flip x $(($(gfn secrets) * 4096 + 1234))
caught "a secret is another" 'secrets' x
new B; flip x $((middle * 4096 + 2000))
caught "a bit of a payload" 'page-fill' x
new B; flip x $(($(gfn current0) * 4096 + 2000))
caught "a bit of the page being written" 'page-fill' x
new B; flip x $((middle * 4096 + 40))
caught "a bit of a stamp" 'page-sum' x
new B; graft B x $middle 1 $((middle + 1))
caught "a page is in another's place" 'page-ident' x
new B; dd if=/dev/zero of="$T/x" bs=4096 seek=$middle count=1 conv=notrunc status=none
caught "a page is empty" 'page-ident' x
new B; truncate -s $((middle * 4096)) "$T/x"
caught "the image is short" 'page-missing' x
new B; flip x $(($(gfn table) * 4096 + 99))
caught "a table is damaged" 'tables' x

# --- the disk ---------------------------------------------------------------

caught "the disk is older than memory" 'disk-older' B --disk "$T/log.A"
caught "the disk is newer than memory" 'disk-newer' A --disk "$T/log.B"
cp "$T/log.B" "$T/log.x"; flip log.x $((9 * 4096 + 3000))
caught "a record is torn" 'disk-torn' B --disk "$T/log.x"
cp "$T/log.B" "$T/log.x"
dd if=/dev/zero of="$T/log.x" bs=4096 seek=9 count=1 conv=notrunc status=none
caught "a record is missing" 'disk-missing' B --disk "$T/log.x"
truncate -s 300M "$T/disk.img"
dd if="$T/log.B" of="$T/disk.img" bs=512 seek=123457 conv=notrunc status=none
ok "the log inside an image of a disk" B --disk "$T/disk.img"
advance 3 2
snapshot C
new C; graft B x "$(gfn status0)"
caught "a writer's counter is a moment old" 'page-(gen|seq|fill)' x
new C; graft B x "$(gfn log)"
caught "the log page is a moment old" 'log-ahead' x
caught "two records ahead" 'disk-newer' B --disk "$T/log.C"
caught "two records behind" 'disk-older' C --disk "$T/log.B"

# --- finding the witness ----------------------------------------------------

new B; graft B x "$(gfn control)" 1 3
ok "a stray copy of the control page" x
new B; graft A x "$(gfn control)" 1 3; put_word x $((3 * 4096 + 16)) 3
ok "the frame it was moved out of" x
dd if="$T/B" of="$T/x" bs=4096 skip=1 status=none
world "everything one frame off" 'no witness' x
: >"$T/x"
world "an empty image" 'no witness' x
world "no image" 'No such file' none
world "no disk" 'No such file' B --disk "$T/none"

# --- what the witness sees by itself -----------------------------------------

flip live $((middle * 4096 + 2000))
kill -CONT "$pid"
expect_line 'VIOLATION what=page-fill .*expected=.*found=' ||
    fail "the witness did not see its page change"
halt
cat "$T/log.A" >"$T/log.live"
kill -CONT "$pid"
expect_line 'VIOLATION what=disk-older ' || fail "the witness did not see an older disk"
halt
flip live $(($(gfn secrets) * 4096 + 7))
kill -CONT "$pid"
expect_line 'VIOLATION what=secrets ' || fail "the witness did not see its secrets change"
halt
snapshot now
caught "what the witness saw is in the image" 'in-guest' now
kill -CONT "$pid"
kill -TERM "$pid"
wait "$pid" && fail "the witness ended as if nothing had been"
"$bin/witness-check" --raw "$T/live" >/dev/null 2>&1
[ $? -eq 99 ] || fail "a witness that is gone is still found"

# --- another witness, and pauses ---------------------------------------------

start writers=1 mb=1 rate=idle backing="$T/live"
exec 4< <(exec "$bin/witness-pause" --file "$T/live" --until-file "$T/enough" 2>&1)
read -r -t 10 _ <&4 || broken "witness-pause does not watch"
halt
new B
truncate -s $((last * 4096)) "$T/x"
cat "$T/live" >>"$T/x"
# its frames would be others; only that two are found is asked for
put_word x $((last * 4096 + 16 * 4096 + 16)) 0
ok "another witness's page at a wrong place" x
dd if="$T/live" of="$T/x" bs=4096 skip=16 seek=200 count=1 conv=notrunc status=none
put_word x $((200 * 4096 + 16)) 200
world "two witnesses" 'two witnesses' x
# lint: sleep ok: this is the pause that is to be measured
sleep 0.2
kill -CONT "$pid"
while ! [ "$(word_at "$T/live" $((16 * 4096 + 192)))" -gt 100 ]; do short_nap; done
: >"$T/enough"
read -r -t 10 json <&4
max=$(sed -n 's/.*"max_gap_us":\([0-9]*\).*/\1/p' <<<"$json")
if [ "${max:-0}" -lt 200000 ] || [ "$max" -gt 2000000 ]; then
    fail "a pause of 0.2 s was measured as $json"
fi
kill -TERM "$pid"
wait "$pid" || fail "the second witness found something"
pid=''

[ $failed -eq 0 ] || { echo "$failed failed"; exit 1; }
echo "$proved images judged rightly; pause of 200 ms measured as $max us"
