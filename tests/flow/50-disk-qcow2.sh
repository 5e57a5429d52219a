#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The qcow2 driver by itself, on a disk that a real QEMU (qemu-storage-daemon)
# serves and somebody writes to: what it promises about content, names, being
# killed anywhere, and chains.
# shellcheck disable=SC2010,SC2015
set -u
for program in qemu-storage-daemon qemu-img qemu-io jq ss; do
    command -v $program >/dev/null || { echo "needs $program"; exit 77; }
done

B=$(realpath "${B:-build}")
tool=$B/tests/xen/disk_tool
dir=$(mktemp -d) && dir=$(realpath "$dir") || exit 99
export CKPT_QMP_DIR=$dir/run
mkdir "$dir/run"
ln -s "$B/ckpt-helper" "$dir/run/" # by whose name our guards are known
export CKPT_HELPER=$dir/run/ckpt-helper
out=$dir/out
web=$dir/web.qcow2
pids=()
failed=0

cleanup() {
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null
    wait
    rm -rf "$dir"
}
trap cleanup EXIT

fail() { echo "FAIL: $*"; failed=1; }
title() { echo "--- $*"; }
run() { # VERB...
    timeout 120 "$tool" xvda="$web" -- "$@" >"$out" 2>&1 7>&- 8>&-
    local rc=$?
    cat "$out"
    return $rc
}
must() { "$@" || fail "$*"; }
must_not() { "$@" && fail "not refused: $*"; }
said() { grep -q -- "$1" "$out" || fail "did not say: $1"; }
guards_gone() {
    while pgrep -f "$CKPT_HELPER guard" >/dev/null; do
        sleep 0.05 # lint: sleep ok: the guard has no event for others
    done
}

# serve FILE DOMID [off]: as the QEMU of a domain would have it open; without the
# locks by which qemu-img would know, as xen-block has it.
serve() {
    qemu-storage-daemon \
        --chardev "socket,path=$dir/run/qmp-libxl-$2,server=on,wait=off,id=m" \
        --monitor chardev=m \
        --blockdev "driver=qcow2,node-name=disk,file.driver=file,file.filename=$1,file.locking=${3:-auto}" \
        --nbd-server "addr.type=unix,addr.path=$dir/nbd-$2" \
        --export type=nbd,id=e,node-name=disk,name=d,writable=on \
        --pidfile "$dir/pid-$2" --daemonize || exit 99
    pids+=("$(cat "$dir/pid-$2")")
}
stop_serving() { # DOMID [-9]
    local pid
    pid=$(cat "$dir/pid-$1")
    kill ${2:+"$2"} "$pid"
    tail --pid="$pid" -f /dev/null
    rm -f "$dir/run/qmp-libxl-$1"
}
io() { # DOMID COMMAND...: on what the guest of it sees
    local domid=$1 args=()
    shift
    for c in "$@"; do args+=(-c "$c"); done
    qemu-io -f raw "${args[@]}" "nbd+unix:///d?socket=$dir/nbd-$domid" >"$dir/io" 2>&1 &&
        ! grep -qE 'failed|mismatch|error' "$dir/io" || {
        fail "domain $domid: $*: $(cat "$dir/io")"
        return 1
    }
}
holds() { # FILE PATTERN OFFSET: at rest
    qemu-io -U -r -f qcow2 -c "read -P $2 $3 64k" "$1" >"$dir/io" 2>&1
    grep -q 'read 65536' "$dir/io" && ! grep -q 'verification failed' "$dir/io" ||
        fail "$1 has not $2 at $3: $(cat "$dir/io")"
}
ask() { # DOMID: what it has open, by how many files are beneath
    printf '%s\n' '{"execute":"qmp_capabilities"}' \
        '{"execute":"query-named-block-nodes"}' |
        timeout 10 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile("rw")
f.readline()
for line in sys.stdin:
    f.write(line); f.flush(); answer = f.readline()
print(answer)' "$dir/run/qmp-libxl-$1" |
        jq -r '.return[] | select(.drv == "qcow2") | .backing_file_depth' |
        sort
}
qmp() { # DOMID COMMAND...: as libxl would; prints the last answer
    timeout 8 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile("rw")
f.readline()
for command in ["{\"execute\":\"qmp_capabilities\"}"] + sys.argv[2:]:
    f.write(command + "\n"); f.flush(); answer = f.readline()
    while "\"event\"" in answer: answer = f.readline()
print(answer, end="")' "$dir/run/qmp-libxl-$1" "${@:2}"
}
opened() { # DOMID FILE: by which descriptors it has the file open
    find "/proc/$(cat "$dir/pid-$1")/fd" -lname "$2" -printf '%f\n'
}
state() { # all that a failed operation could leave behind
    (cd "$dir" && ls -i | grep -vE ' (out|io|nbd|pid|run|before|seen)')
    ask 7
}
same_state() { # WHAT
    state >"$dir/seen"
    cmp -s "$dir/before" "$dir/seen" && return
    fail "$1: left something behind"
    diff "$dir/before" "$dir/seen"
}
remember() { state >"$dir/before"; }
sound() { # every image
    local f
    for f in "$dir"/*qcow2* "$dir"/fork-*; do
        [ -e "$f" ] || continue
        qemu-img check -q -U "$f" || fail "qemu-img check $f"
    done
}

qemu-img create -q -f qcow2 "$web" 64M
serve "$web" 7
io 7 "write -P 1 0 64k"

title "a checkpoint holds what was there, and the disk goes on under its name"
must run domid:7 probe guard arm:1111 cut drain keep stop
io 7 "read -P 1 0 64k" "write -P 2 0 64k" "flush"
holds "$web.ckpt-1111-xvda" 1 0
holds "$web" 2 0
must run driver:qcow2 "check:$web.ckpt-1111-xvda"
[ ! -e "$web.ckpt-new" ] || fail "an overlay is left"

title "under a writer the snapshot has all writes before one instant, none after"
seq 0 1500 | awk '{ print "write -q -P " $1 % 255 + 1, $1 * 4096 + 1048576, 4096 }' |
    qemu-io -f raw "nbd+unix:///d?socket=$dir/nbd-7" >"$dir/writer" 2>&1 &
writer=$!
must run domid:7 driver:qcow2 guard arm:2222 cut drain keep stop
wait $writer || fail "the writer: $(tail -1 "$dir/writer")"
qemu-img convert -U -O raw "$web.ckpt-2222-xvda" "$dir/io.raw"
python3 - "$dir/io.raw" <<'P' || fail "the snapshot is not one instant"
import sys
f = open(sys.argv[1], "rb"); f.seek(1 << 20)
n = 0
while n <= 1500:
    b = f.read(4096)
    if b == bytes([n % 255 + 1]) * 4096: n += 1
    else: break
print("writes before the cut:", n)
while n <= 1500:
    if any(b): sys.exit("a write after the cut is in it")
    b = f.read(4096); n += 1
P
rm "$dir/io.raw"
io 7 "read -P 1 1M 4k" "read -P 226 7192576 4k"
sound

title "killed between the beats"
remember
for beats in arm:3333 "arm:3333 cut" "arm:3333 cut drain"; do
    # shellcheck disable=SC2086
    run domid:7 driver:qcow2 guard $beats kill
    guards_gone
    cat "$out"
    same_state "killed after $beats"
    io 7 "read -P 2 0 64k" "write -P 2 0 64k"
done

title "undone, also with writes after the cut"
must run domid:7 driver:qcow2 guard arm:3333 undo stop
same_state "undone after arm"
mkfifo "$dir/run/go"
exec 8<>"$dir/run/go"
: >"$out" # or what it said before is taken for its word
"$tool" xvda="$web" -- domid:7 driver:qcow2 guard arm:3333 cut wait undo stop \
    <&8 >"$out" 2>&1 8>&- &
job=$!
timeout 60 tail -n +1 -f "$out" --pid=$job | grep -q -m1 waiting || fail "no cut"
io 7 "write -P 3 0 64k" "write -P 3 32M 64k" flush
echo >&8
wait $job || fail "undo: $(cat "$out")"
exec 8>&-
same_state "undone after cut"
io 7 "read -P 3 0 64k" "read -P 3 32M 64k"
sound

title "what cannot be is refused, and nothing is touched"
must_not run domid:9 driver:qcow2 guard arm:3333
said "device model of domain 9"
same_state "no device model"
must_not run driver:qcow2 guard arm:3333 # no domain: but it is in use
said "Is another process using the image"
same_state "in use"
qemu-img create -q -f qcow2 "$dir/inner.qcow2" 1M
qemu-img snapshot -c inner "$dir/inner.qcow2"
must_not "$tool" xvdb="$dir/inner.qcow2" -- probe >"$out"
said "internal snapshots"
rm "$dir/inner.qcow2"
must_not run "driver:qcow2" "remove:/etc/passwd"
said "left alone"

title "a device model that cannot be trusted, or does not answer"
# faulty NAME: a QMP server of domain 9 that goes wrong in this way.
faulty() {
    python3 - "$dir/run/qmp-libxl-9" "$1" <<'P' &
import os, socket, sys, time
path, how = sys.argv[1:]
s = socket.socket(socket.AF_UNIX); s.bind(path + "~"); s.listen(1); os.rename(path + "~", path)
c, _ = s.accept()
f = c.makefile("rw")
try:
    if how != "silent":
        f.write('{"QMP": {}}\n'); f.flush(); f.readline()
        f.write('{"return": {}}\n'); f.flush(); f.readline()
        f.write({"deep": '{"return": ' + "[" * 100000 + "]" * 100000 + "}",
                 "no list": '{"return": 5}',
                 "no json": 'mov eax, ebx',
                 "endless": '{"return": "' + "x" * 70000000,
                 "gone": ''}[how] + ("" if how == "gone" else "\n"))
        f.flush()
    if how == "silent": f.read()
except OSError: pass
P
    faulty=$!
    timeout 10 bash -c "until [ -S '$dir/run/qmp-libxl-9' ]; do read -rt 0.05 <> <(:); done"
}
for how in silent deep "no list" "no json" endless gone; do
    faulty "$how"
    begin=$SECONDS
    must_not run domid:9 driver:qcow2 guard arm:3333
    [ $((SECONDS - begin)) -lt 40 ] || fail "$how: it took $((SECONDS - begin)) s"
    said "device model of domain 9\|the list of block nodes"
    kill $faulty 2>/dev/null
    wait $faulty 2>/dev/null
    rm -f "$dir/run/qmp-libxl-9"
    same_state "$how"
done

title "what changed between two checkpoints"
io 7 "write -P 4 8M 64k" "write -P 4 40M 128k" flush
must run domid:7 driver:qcow2 guard arm:4444 cut drain keep stop
io 7 "write -P 5 16M 64k" flush
must run domid:7 driver:qcow2 guard arm:5555 cut drain keep stop
must run driver:qcow2 "changed:$web.ckpt-4444-xvda:$web.ckpt-5555-xvda"
[ "$(grep '^changed ' "$out")" = "changed 16777216 65536" ] || fail "changed 4-5: $(cat "$out")"
must run driver:qcow2 "changed:$web.ckpt-2222-xvda:$web.ckpt-4444-xvda"
said "changed 8388608 65536"
said "changed 41943040 131072"
grep -q "changed 16777216 " "$out" && fail "changed later: $(cat "$out")"
must run driver:qcow2 "changed:$web.ckpt-5555-xvda:$web.ckpt-4444-xvda"
[ "$(grep '^changed ' "$out")" = "changed 16777216 65536" ] || fail "backwards: $(cat "$out")"

title "a fork is a copy of its own"
must run driver:qcow2 guard "fork:$web.ckpt-4444-xvda:a b" keep stop
fork=$(sed -n 's/^target //p' "$out")
holds "$fork" 4 8M
serve "$fork" 8
io 8 "write -P 9 8M 64k" flush
io 7 "read -P 4 8M 64k"
remember
must_not run driver:qcow2 guard "fork:$web.ckpt-4444-xvda:a b"
said "another fork's disk"
run driver:qcow2 guard "fork:$web.ckpt-4444-xvda:other" kill
guards_gone
same_state "a fork that was killed"

title "what several domains read through is not written to"
must_not run driver:qcow2 "remove:$web.ckpt-2222-xvda"
said "2 running domains have that open"
[ -e "$web.ckpt-2222-xvda" ] || fail "it is gone"
io 7 "read -P 4 8M 64k" "read -P 3 0 64k"
io 8 "read -P 9 8M 64k" "read -P 3 0 64k"

title "a snapshot goes out of the middle of chains that are in use"
must run driver:qcow2 "remove:$web.ckpt-4444-xvda" "remove:$web.ckpt-4444-xvda"
[ ! -e "$web.ckpt-4444-xvda" ] || fail "it is still there"
io 7 "read -P 4 8M 64k" "read -P 5 16M 64k" "read -P 3 0 64k" "read -P 4 40M 128k"
io 8 "read -P 9 8M 64k" "read -P 4 40M 128k" "read -P 3 0 64k" "read -P 0 16M 64k"
holds "$web.ckpt-5555-xvda" 4 8M
stop_serving 8
holds "$fork" 4 40M
sound
must run driver:qcow2 "remove:$web.ckpt-1111-xvda" # the first file of all
io 7 "read -P 3 0 64k" "read -P 4 40M 128k"
holds "$web.ckpt-2222-xvda" 2 0
sound

title "and under a writer"
for id in 4001 4002 4003; do
    seq 0 400 | awk -v id=$id '{ print "write -q -P " id % 7 + 1, ($1 * 7919 + id) % 4000 * 4096 + 16777216 + 3 * 512, 2048 }' |
        qemu-io -f raw "nbd+unix:///d?socket=$dir/nbd-7" >/dev/null 2>&1
    must run domid:7 driver:qcow2 guard arm:$id cut drain keep stop
done
seq 0 3000 | awk '{ print "write -q -P 9", ($1 * 104729) % 4000 * 4096 + 16777216 + 512, 1024 }' |
    qemu-io -f raw "nbd+unix:///d?socket=$dir/nbd-7" >"$dir/writer" 2>&1 &
writer=$!
descriptors=$(opened 7 "$web")
must run driver:qcow2 "remove:$web.ckpt-4002-xvda" "remove:$web.ckpt-4001-xvda" \
    "remove:$web.ckpt-4003-xvda"
# Opened anew beneath writes that are under way, some of them would fail.
[ "$(opened 7 "$web")" = "$descriptors" ] || fail "$web was opened anew under a writer"
wait $writer || fail "the writer: $(tail -1 "$dir/writer")"
kill -0 "$(cat "$dir/pid-7")" || fail "the device model is dead"
[ -z "$(opened 7 "* (deleted)")" ] || fail "deleted files are kept open: $(ls -l "/proc/$(cat "$dir/pid-7")/fd")"
io 7 "read -P 3 0 64k" "read -P 9 16777728 1k"
sound

# while_it_waits BEATS COMMAND...: disk_tool does the beats, as domain 7,
# and goes on once COMMAND has come to its end.
while_it_waits() {
    local beats=$1 job rc
    shift
    [ -p "$dir/run/go" ] || mkfifo "$dir/run/go"
    exec 8<>"$dir/run/go"
    : >"$dir/io.job"
    # shellcheck disable=SC2086
    "$tool" xvda="$web" -- domid:7 driver:qcow2 guard $beats stop \
        <&8 >"$dir/io.job" 2>&1 8>&- &
    job=$!
    timeout 60 tail -n +1 -f "$dir/io.job" --pid=$job | grep -q -m1 waiting ||
        fail "$beats: $(cat "$dir/io.job")"
    "$@"
    echo >&8
    wait $job
    rc=$?
    exec 8>&-
    [ $rc -eq 0 ] || fail "$beats: $(cat "$dir/io.job")"
}

title "a take under way, and a deletion on behalf of another domain"
stop_serving 7
serve "$web" 7 off
mkdir -p "$dir/run/bin"
cat >"$dir/run/bin/qemu-img" <<P
#!/bin/bash
[ "\$1" != rebase ] || echo "\${@: -1}" >>"$dir/run/rebased"
PATH=$PATH exec qemu-img "\$@"
P
chmod +x "$dir/run/bin/qemu-img"
rebased() { # COMMAND...: sets REBASED, the files that qemu-img rebased in it
    rm -f "$dir/run/rebased"
    PATH=$dir/run/bin:$PATH "$@"
    REBASED=$(cat "$dir/run/rebased" 2>/dev/null)
}
for id in 1 2 3; do
    io 7 "write -P 1$id $((50 + id))M 64k" flush
    must run domid:7 driver:qcow2 guard arm:500$id cut drain keep stop
done
io 7 "write -P 14 54M 64k" flush
while_it_waits "arm:6001 wait undo" rebased must run driver:qcow2 "remove:$web.ckpt-5003-xvda"
[ -z "$REBASED" ] || fail "what the guest writes was changed by qemu-img: $REBASED"
io 7 "read -P 13 53M 64k" "read -P 14 54M 64k"
io 7 "write -P 15 54M 64k" flush
while_it_waits "arm:6002 cut drain wait undo" rebased must run driver:qcow2 "remove:$web.ckpt-5002-xvda"
grep -q ckpt-guard "$dir/io.job" && fail "the take was not undone by itself: $(cat "$dir/io.job")"
[ -z "$REBASED" ] || fail "what the guest goes back to was changed by qemu-img: $REBASED"
io 7 "read -P 12 52M 64k" "read -P 13 53M 64k" "read -P 15 54M 64k"
must run domid:7 driver:qcow2 guard arm:6003 cut drain keep stop
io 7 "write -P 16 54M 64k" flush
holds "$web.ckpt-6003-xvda" 15 54M
must run driver:qcow2 "remove:$web.ckpt-6003-xvda" "remove:$web.ckpt-5001-xvda"
io 7 "read -P 11 51M 64k" "read -P 16 54M 64k"
sound

title "what comes to lie above a snapshot while it is removed"
low=$dir/low.qcow2
at_rest() { # IMAGE VERB...
    local image=$1
    shift
    timeout 120 "$tool" xvda="$image" -- driver:qcow2 "$@" >"$out" 2>&1 7>&- 8>&-
    local rc=$?
    cat "$out"
    return "$rc"
}
qemu-img create -q -f qcow2 "$low" 4M
qemu-io -f qcow2 -c "write -q -P 21 0 64k" "$low"
for id in 8001 8002; do must at_rest "$low" guard arm:$id cut drain keep stop; done
cat >"$dir/run/bin/qemu-img" <<P
#!/bin/bash
PATH=$PATH
# What a take of a fork makes of the fork's file.
[ "\$1" != rebase ] || [ -e "$low.ckpt-8003-xvda" ] ||
    qemu-img create -q -u -f qcow2 -F qcow2 -b "$low.ckpt-8001-xvda" "$low.ckpt-8003-xvda" 4M
exec qemu-img "\$@"
P
PATH=$dir/run/bin:$PATH must at_rest "$low" "remove:$low.ckpt-8001-xvda"
holds "$low.ckpt-8002-xvda" 21 0
holds "$low.ckpt-8003-xvda" 21 0

title "what lies above it, but is damaged, is not passed over"
must at_rest "$low" guard arm:8004 cut drain keep stop
cp "$low" "$dir/low-2.qcow2"
printf '\377\377' | dd of="$low" bs=1 seek=100 conv=notrunc status=none
printf 'QFI\373\0\0\0\3' >"$dir/raw-of-another" # which says nothing of it
must_not at_rest "$dir/low-2.qcow2" "remove:$low.ckpt-8004-xvda"
said "header is damaged"
said "low.qcow2.ckpt-8004-xvda may be beneath"
mv "$dir/low-2.qcow2" "$low"
must at_rest "$low" "remove:$low.ckpt-8002-xvda"
holds "$low" 21 0
rm "$low"
must at_rest "$web" "remove:$low.ckpt-8004-xvda" "remove:$low.ckpt-8003-xvda"
rm "$dir/raw-of-another"

title "two at once that touch each other"
qemu-img create -q -f qcow2 "$low" 4M
for id in 8005 8006; do must at_rest "$low" guard arm:$id cut drain keep stop; done
exec 9<"$low.ckpt-8005-xvda"
flock 9
must_not at_rest "$low" "remove:$low.ckpt-8006-xvda"
said "is just being removed"
exec 9<&-
rm "$low"*

title "a colon in the name is no protocol"
low=$dir/lo:w.qcow2
qemu-img create -q -f qcow2 "$low" 4M
serve "$low" 9
io 9 "write -P 22 0 64k"
for id in 8007 8008; do
    timeout 60 "$tool" xvda="$low" -- domid:9 driver:qcow2 guard arm:$id cut drain keep stop \
        >"$out" 2>&1 || fail "a colon: $(cat "$out")"
done
io 9 "read -P 22 0 64k"
must at_rest "$low" "remove:$low.ckpt-8007-xvda"
stop_serving 9
holds "$low" 22 0
must_not at_rest "$low" "remove:$low.ckpt-8008-xvda"
said "may be started on"
holds "$low" 22 0
rm "$low"*

title "a block job that somebody left"
must run domid:7 driver:qcow2 guard arm:9001 cut drain keep stop
qmp 7 "{\"execute\":\"blockdev-create\",\"arguments\":{\"job-id\":\"xen-ckpt\",\"options\":
{\"driver\":\"file\",\"filename\":\"$dir/run/made\",\"size\":0}}}" | tr -d '\n' | grep -q '"return"' || fail "no job"
must run driver:qcow2 "remove:$web.ckpt-9001-xvda"
qmp 7 '{"execute":"query-jobs"}' | grep -q '"return": \[\]' || fail "a job is left"

title "libxl gets a word in while one runs"
must run domid:7 driver:qcow2 guard arm:9002 cut drain keep stop
qemu-img create -q -f qcow2 "$dir/run/slow" 4M
qemu-io -f qcow2 -c "write -q -P 1 0 4M" "$dir/run/slow"
qemu-img create -q -f qcow2 -F qcow2 -b "$dir/run/slow" "$dir/run/slower"
qmp 7 "{\"execute\":\"blockdev-add\",\"arguments\":{\"driver\":\"qcow2\",\"node-name\":\"slower\",\"file\":
{\"driver\":\"file\",\"filename\":\"$dir/run/slower\"}}}" \
    '{"execute":"block-stream","arguments":{"job-id":"xen-ckpt","device":"slower","speed":65536,"auto-dismiss":false}}' >/dev/null
run driver:qcow2 "remove:$web.ckpt-9002-xvda" &
job=$!
while kill -0 $job && ! ss -x state connected | grep -q qmp-libxl-7; do
    read -rt 0.05 <> <(:) # lint: sleep ok: a connection of others has no event
done
qmp 7 '{"execute":"block-job-set-speed","arguments":{"device":"xen-ckpt","speed":0}}' |
    grep -q '"return": {}' || fail "nobody else was let in"
wait $job || fail "the removal: $(cat "$out")"

title "rollback, under an open device"
io 7 "write -P 6 0 64k" flush
remember
must run driver:qcow2 guard "rollback:$web.ckpt-2222-xvda" end:old stop
same_state "a rollback that was taken back"
run driver:qcow2 guard "rollback:$web.ckpt-2222-xvda" kill
guards_gone
same_state "a rollback that was killed"
must run driver:qcow2 guard "rollback:$web.ckpt-2222-xvda" end:new stop
io 7 "read -P 6 0 64k" # the old domain has its own until it is gone
stop_serving 7
[ ! -e "$web.ckpt-new" ] || fail "the old content is left"
holds "$web" 2 0
serve "$web" 7
io 7 "read -P 2 0 64k" "write -P 7 0 64k"

title "the device model dies between arm and cut"
remember_files() { (cd "$dir" && ls -i "$(basename "$web")"*) | sort; }
files=$(remember_files)
exec 8<>"$dir/run/go"
: >"$out"
"$tool" xvda="$web" -- domid:7 driver:qcow2 guard arm:3333 wait cut \
    <&8 >"$out" 2>&1 8>&- &
job=$!
timeout 60 tail -n +1 -f "$out" --pid=$job | grep -q -m1 waiting || fail "no arm"
stop_serving 7 -9
echo >&8
wait $job && fail "a cut without a device model"
exec 8>&-
said "device model of domain 7"
guards_gone
[ "$(remember_files)" = "$files" ] || fail "files: $(remember_files)"
holds "$web" 7 0
serve "$web" 7

title "and between cut and commit, with writes after the cut"
exec 8<>"$dir/run/go"
: >"$out"
"$tool" xvda="$web" -- domid:7 driver:qcow2 guard arm:3333 cut drain wait undo \
    <&8 >"$out" 2>&1 8>&- &
job=$!
timeout 60 tail -n +1 -f "$out" --pid=$job | grep -q -m1 waiting || fail "no cut"
io 7 "write -P 7 0 64k" "write -P 8 48M 64k" flush
stop_serving 7 -9
echo >&8
wait $job || fail "undo: $(cat "$out")"
exec 8>&-
[ "$(remember_files)" = "$files" ] || fail "files: $(remember_files)"
holds "$web" 7 0
holds "$web" 8 48M
sound

title "at rest: nobody has the files open"
must run driver:qcow2 guard arm:6666 cut drain keep stop
holds "$web" 7 0
must run driver:qcow2 guard arm:7777 undo stop
must_not run driver:qcow2 "remove:$web.ckpt-6666-xvda"
said "may be started on at any moment"
must run driver:qcow2 "remove:$web.ckpt-5555-xvda" # beneath snapshots alone
holds "$web" 7 0
serve "$web" 7
serve "$fork" 8
must run driver:qcow2 "remove:$web.ckpt-6666-xvda"
io 7 "read -P 7 0 64k"
stop_serving 7
rm "$web"
must run driver:qcow2 "remove:$web.ckpt-2222-xvda"
stop_serving 8
holds "$fork" 9 8M
sound
left=$(cd "$dir" && ls | grep -cE 'ckpt')
[ "$left" -eq 0 ] || fail "left: $(ls "$dir")"
exit $failed
