#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The rbd driver by itself, against a real Ceph cluster of one monitor and one
# OSD (tests/ceph/cluster.sh), on an image that a real QEMU (qemu-storage-daemon)
# serves and somebody writes to: what it promises about content, names, being
# killed anywhere, and a cluster that does not answer.
# shellcheck disable=SC2015,SC2012
set -u
for program in ceph-mon ceph-osd rbd qemu-storage-daemon qemu-io jq; do
    command -v $program >/dev/null || { echo "needs $program"; exit 77; }
done
B=$(realpath "${B:-build}")
[ -x "$B/ckpt-rbd" ] || { echo "needs librbd-dev when it is built"; exit 77; }
ls /usr/lib/*/qemu/block-rbd.so >/dev/null 2>&1 ||
    { echo "needs qemu-block-extra"; exit 77; }

tool=$B/tests/xen/disk_tool
dir=$(mktemp -d) && dir=$(realpath "$dir") || exit 99
ln -s "$B/ckpt-helper" "$B/ckpt-rbd" "$dir/" # by whose names ours are known
export CKPT_HELPER=$dir/ckpt-helper CKPT_RBD=$dir/ckpt-rbd
export CEPH_CONF=$dir/ceph/ceph.conf
opt=:conf=$CEPH_CONF
out=$dir/out
pids=()
failed=0

cleanup() {
    [ ${#pids[@]} -eq 0 ] || kill -9 "${pids[@]}" 2>/dev/null
    bash tests/ceph/cluster.sh stop "$dir/ceph"
    wait
    rm -rf "$dir"
}
trap cleanup EXIT
bash tests/ceph/cluster.sh start "$dir/ceph" || exit 99

fail() { echo "FAIL: $*"; failed=1; }
title() { echo "--- $SECONDS s: $*"; }
disk=rbd:rbd/web$opt
run() { # VERB...
    timeout 60 "$tool" xvda="$disk" -- "$@" >"$out" 2>&1 7>&- 8>&-
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
rbds_gone() { # one that was given up comes to its end first
    local pid
    for pid in $(pgrep -f "$CKPT_RBD"); do
        timeout 60 tail --pid="$pid" -f /dev/null || fail "a ckpt-rbd is left"
    done
}
# What verbs in the background wait for is a line to 8.
mkfifo "$dir/go"
exec 8<>"$dir/go"
begin_job() { # VERB...
    : >"$dir/job" # or what the last one said is taken for its word
    "$tool" xvda="$disk" -- driver:rbd guard "$@" stop <&8 >"$dir/job" 2>&1 8>&- &
    job=$!
}
come_to() { # PATTERN [TIMES]: what the job says
    local times=${2:-1}
    [ "$(timeout 60 tail -n +1 -f "$dir/job" --pid=$job | grep -c -m"$times" "$1")" -eq "$times" ] ||
        fail "it does not come to $1: $(cat "$dir/job")"
}

# serve IMAGE: as the QEMU of a domain would have it open, cache and all.
serve() {
    qemu-storage-daemon \
        --blockdev "driver=rbd,node-name=disk,pool=rbd,image=$1,conf=$CEPH_CONF,cache.direct=off" \
        --nbd-server "addr.type=unix,addr.path=$dir/nbd-$1" \
        --export type=nbd,id=e,node-name=disk,name=d,writable=on \
        --pidfile "$dir/pid-$1" --daemonize || exit 99
    pids+=("$(cat "$dir/pid-$1")")
}
stop_serving() { # IMAGE
    local pid
    pid=$(cat "$dir/pid-$1")
    kill "$pid"
    tail --pid="$pid" -f /dev/null
}
io() { # IMAGE COMMAND...: on what the guest of it sees
    local image=$1 args=()
    shift
    for c in "$@"; do args+=(-c "$c"); done
    timeout 60 qemu-io -f raw "${args[@]}" "nbd+unix:///d?socket=$dir/nbd-$image" \
        >"$dir/io" 2>&1 && ! grep -qE 'failed|mismatch|error' "$dir/io" || {
        fail "$image: $*: $(cat "$dir/io")"
        return 1
    }
}
holds() { # IMAGE[@SNAPSHOT] PATTERN OFFSET
    qemu-io -U -r -f raw -c "read -P $2 $3 64k" "rbd:rbd/$1:conf=$CEPH_CONF" >"$dir/io" 2>&1
    grep -q 'read 65536' "$dir/io" && ! grep -q 'verification failed' "$dir/io" ||
        fail "$1 has not $2 at $3: $(cat "$dir/io")"
}
id_of() { rbd info --format json "$1" | jq -r .id; }
state() { /usr/bin/python3 tests/ceph/images.py state --ids; }
remember() { state >"$dir/before"; }
same_state() { # WHAT
    state >"$dir/seen"
    cmp -s "$dir/before" "$dir/seen" && return
    fail "$1: left something behind"
    diff "$dir/before" "$dir/seen"
}

rbd create web --size 64M || exit 99
serve web
io web "write -P 1 0 64k"
web=$(id_of web)
snap() { echo "rbd/$1@ckpt-$2-xvda"; } # IMAGE-ID CHECKPOINT

title "a checkpoint holds what was there, written out or not, and the disk goes on"
must run probe driver:rbd guard arm:1111 cut drain keep stop
io web "read -P 1 0 64k" "write -P 2 0 64k"
holds web@ckpt-1111-xvda 1 0
must run driver:rbd "check:$(snap "$web" 1111)"
rbd lock ls web | grep -q . || fail "the writer has not got its lock back"

title "under a writer the snapshot has all writes before one instant, none after"
# In each round of 1501 blocks a block gets another octet than in the last.
place() { echo "-P $(($1 % 255 + 1)) $(($1 % 1501 * 4096 + 1048576)) 4k"; } # N
numbers() { # 0, 1, 2, ... until the cut is over and all blocks are written, and one more
    local n=1
    echo "write $(place 0)"
    until [ $n -gt 1500 ] && [ -e "$dir/over" ]; do
        echo "write -q $(place $n)" || return
        n=$((n + 1))
    done
    echo "write -q $(place $n)" && echo $n >"$dir/last"
}
begin_job arm:2222 wait cut drain keep
come_to waiting
: >"$dir/writer"
numbers 8>&- | qemu-io -f raw "nbd+unix:///d?socket=$dir/nbd-web" >"$dir/writer" 2>&1 8>&- &
writer=$!
timeout 60 tail -n +1 -f "$dir/writer" --pid=$writer | grep -q -m1 wrote || fail "the writer does not begin"
echo >&8
wait $job || fail "under a writer"
cat "$dir/job"
: >"$dir/over"
wait $writer && ! grep -qE 'failed|error' "$dir/writer" || fail "the writer: $(tail -1 "$dir/writer")"
last=$(cat "$dir/last")
rbd export --no-progress web@ckpt-2222-xvda "$dir/raw"
python3 - "$dir/raw" "$last" <<'P' || fail "the snapshot is not one instant"
import sys
f = open(sys.argv[1], "rb"); f.seek(1 << 20)
blocks = [f.read(4096) for _ in range(1501)]
octets = [b[0] if b == b[:1] * 4096 else -1 for b in blocks]
seen = [0] * 1501                       # as of before number n
differ = sum(octet != 0 for octet in octets)
for n in range(int(sys.argv[2]) + 1):
    if not differ: break
    at = n % 1501
    differ -= octets[at] != seen[at]
    seen[at] = n % 255 + 1
    differ += octets[at] != seen[at]
else:
    sys.exit("it is not what was there before any of the writes")
print("writes before the cut:", n, "after it:", int(sys.argv[2]) + 1 - n)
if not n: sys.exit("the first write is not in it")
P
rm "$dir/raw"
io web "read $(place $((last - 1)))" "read $(place "$last")"

title "killed between the beats"
remember
for beats in arm:3333 "arm:3333 cut" "arm:3333 cut drain"; do
    # shellcheck disable=SC2086
    run driver:rbd guard $beats kill
    io web "write -P 2 0 64k"
    guards_gone
    cat "$out"
    same_state "killed after $beats"
done

title "undone, with a write that waits for the end of the cut"
begin_job arm:3333 cut wait drain undo
come_to waiting
io web "write -P 3 0 64k" "write -P 3 32M 64k" flush
echo >&8
wait $job || fail "undo: $(cat "$dir/job")"
same_state "undone after drain"
io web "read -P 3 0 64k"

title "what cannot be is refused, and nothing is touched"
refused() { # TARGET WHY VERB...
    local disk=$1 why=$2
    shift 2
    must_not run "$@"
    said "$why"
}
refused "rbd:rbd/nothing$opt" "nothing" probe
refused "rbd:nopool/web$opt" "nopool" probe
refused "rbd:rbd/web@ckpt-1111-xvda$opt" "is a snapshot" probe
refused rbd:rbd/web:log_file=/etc/passwd "only id, conf" probe
refused "rbd:rbd/w b" "blanks" probe
must_not run driver:rbd "remove:rbd/$web@mine$opt"
said "snapshot of ours"
must_not run driver:rbd guard "rollback:$(snap "$web" 7777)"
said "the snapshot ckpt-7777-xvda"
rbd create plain --size 8M --image-feature layering
serve plain
io plain "write -P 1 0 64k"
refused "rbd:rbd/plain$opt" "exclusive-lock" driver:rbd guard arm:3333
stop_serving plain
disk=rbd:rbd/plain$opt run driver:rbd guard arm:3333 cut drain keep stop ||
    fail "an image that nobody writes to"
rbd remove --no-progress plain 2>/dev/null && fail "it has no snapshot"
rbd snap purge --no-progress plain && rbd remove --no-progress plain
CKPT_RBD=$dir/none must_not run probe
said "librbd-dev"
state >"$dir/seen"; cmp -s "$dir/before" "$dir/seen" || fail "refusals left something"

title "what changed between two checkpoints"
io web "write -P 4 8M 64k" "write -P 4 40M 128k" flush
must run driver:rbd guard arm:4444 cut drain keep stop
io web "write -P 5 16M 64k" "write -z 40M 64k" flush
must run driver:rbd guard arm:5555 cut drain keep stop
want=$'changed 16777216 65536\nchanged 41943040 65536'
must run driver:rbd "changed:$(snap "$web" 4444):$(snap "$web" 5555)"
[ "$(grep '^changed ' "$out")" = "$want" ] || fail "4 to 5"
must run driver:rbd "changed:$(snap "$web" 5555):$(snap "$web" 4444)"
[ "$(grep '^changed ' "$out")" = "$want" ] || fail "5 to 4"

title "what a snapshot holds, read, and shown to QEMU"
content_is() { # SNAPSHOT IMAGE@SNAPSHOT
    must run driver:rbd "read:$dir/content:$1"
    rbd export --no-progress "$2" "$dir/raw"
    cmp "$dir/content" "$dir/raw" || fail "$2 is read as something else"
    rm "$dir/raw"
}
content_is "$(snap "$web" 5555)" web@ckpt-5555-xvda
bytes=$(sed -n 's/^content \(.*\) of 67108864$/\1/p' "$out")
[ "${bytes:-0}" -ge 6000000 ] && [ "$bytes" -lt 20000000 ] || fail "content: $(cat "$out")"
must run driver:rbd "show:a:$(snap "$web" 5555)$opt"
image=$(sed -n 's/^image raw //p' "$out")
[ "$image" = "rbd:rbd/web@ckpt-5555-xvda$opt" ] || fail "shown: $image"
qemu-io -r -f raw -c "read -P 5 16M 64k" "$image" >"$dir/io" 2>&1 && grep -q 'read 65536' "$dir/io" &&
    ! grep -q failed "$dir/io" || fail "QEMU does not read $image: $(cat "$dir/io")"
must_not run driver:rbd "read:$dir/content:$(snap "$web" 9999)"
said "the snapshot rbd/$web@ckpt-9999-xvda"

title "a new image for what an archive has"
remember
must run guard "place:$dir/content:rbd:rbd/copy$opt" placed:cccc unplace stop
same_state "a new image that was taken back"
for verbs in "" placed:cccc; do
    # shellcheck disable=SC2086
    run guard "place:$dir/content:rbd:rbd/copy$opt" $verbs kill
    guards_gone
    same_state "a new image, killed after ${verbs:-all was written}"
done
must_not run guard "place:$dir/content:rbd:rbd/web$opt" stop
said "File exists"
must_not run guard "place:$dir/content:rbd:rbd/a@b$opt" stop
said "is a snapshot"
must run guard "place:$dir/content:rbd:rbd/copy$opt" placed:cccc place-keep stop
copy=$(id_of copy)
[ "$(sed -n 's/^snapshot xvda //p' "$out")" = "$(snap "$copy" cccc)$opt" ] || fail "$(cat "$out")"
content_is "$(snap "$copy" cccc)" web@ckpt-5555-xvda
must run driver:rbd "remove:$(snap "$copy" cccc)"
rbd remove --no-progress copy
same_state "what was imported"

title "a fork is a copy of its own, and outlives the checkpoint"
must run driver:rbd guard "fork:$(snap "$web" 4444):a b" keep stop
[ "$(sed -n 's/^target //p' "$out")" != "" ] || fail "no target"
fork=$(sed -n 's|^target rbd:rbd/\([^:]*\).*|\1|p' "$out")
serve "$fork"
io "$fork" "read -P 4 8M 64k" "write -P 9 8M 64k" flush
io web "read -P 4 8M 64k"
remember
must_not run driver:rbd guard "fork:$(snap "$web" 4444):a b"
said "another fork's disk"
same_state "a name that is taken"
run driver:rbd guard "fork:$(snap "$web" 4444):other" kill
guards_gone
same_state "a fork that was killed"
must run driver:rbd "remove:$(snap "$web" 4444)" "remove:$(snap "$web" 4444)"
must_not run driver:rbd "check:$(snap "$web" 4444)"
said "is gone"
io "$fork" "read -P 9 8M 64k" "read -P 4 40M 64k"

title "rollback, under an open device"
io web "write -P 6 0 64k" flush
remember
must run driver:rbd guard "rollback:$(snap "$web" 2222)" end:old stop
same_state "a rollback that was taken back"
run driver:rbd guard "rollback:$(snap "$web" 2222)" kill
guards_gone
same_state "a rollback that was killed"
io web "read -P 6 0 64k" "write -P 6 0 64k" # the old domain has its own
exec 9< <(exec timeout 60 "$tool" xvda="$disk" -- driver:rbd guard \
    "rollback:$(snap "$web" 2222)" wait end:new stop <&8 2>&1)
while read -r line <&9 && [ "$line" != waiting ]; do echo "$line"; done
holds web 2 0 # for who opens it by its name, while the old one runs
io web "read -P 6 0 64k" "write -P 7 32M 64k" flush
stop_serving web
echo >&8
cat <&9 >"$out"
cat "$out"
said "end:new: ok"
holds web 2 0
[ "$(rbd info --format json "web.ckpt-old-$web" | jq .size)" = 0 ] ||
    fail "the content before the rollback is not gone"
serve web
io web "read -P 2 0 64k" "write -P 8 0 64k" "write -P 8 24M 64k" flush
holds "web.ckpt-old-$web@ckpt-1111-xvda" 1 0

title "what changed, with a rollback in between"
new=$(id_of web)
[ "$new" != "$web" ] || fail "it is the same image"
must run driver:rbd guard arm:6666 cut drain keep stop
content_is "$(snap "$new" 6666)" web@ckpt-6666-xvda # some of it in the clone, some before
must run driver:rbd "changed:$(snap "$web" 5555):$(snap "$new" 6666)"
said "^changed 0 "
said "^changed 8388608 65536"
said "^changed 16777216 65536"
said "^changed 25165824 4194304"

title "rolled back again, to what was before; the images go with their snapshots"
must run driver:rbd guard "rollback:$(snap "$web" 1111)" end:old stop
stop_serving web
must run driver:rbd guard "rollback:$(snap "$web" 1111)" end:new stop
holds web 1 0
must run driver:rbd "remove:$(snap "$new" 6666)"
rbd info "web.ckpt-old-$new" >/dev/null 2>&1 && fail "an image without use"
must run driver:rbd "remove:$(snap "$web" 2222)" "remove:$(snap "$web" 5555)" \
    "remove:$(snap "$web" 1111)"
holds web 1 0
stop_serving "$fork"
rbd remove --no-progress "$fork"
serve web

title "of clones there are sixteen in a row, the next is a copy"
old_disk=$disk
rbd create up0 --size 8M && serve up0
io up0 "write -P 1 0 64k" "write -P 2 4M 64k" flush
stop_serving up0
for n in {1..15}; do
    rbd snap create --no-progress "up$((n - 1))@s" && rbd clone --rbd-default-clone-format 2 "up$((n - 1))@s" "up$n" || exit 99
done
rbd rename up15 deep
disk=rbd:rbd/deep$opt
has_parent() { rbd info --format json "$1" | jq -e .parent >/dev/null; }
must run driver:rbd guard arm:c16 cut drain keep stop
at=$(snap "$(id_of deep)" c16)
must run driver:rbd guard "rollback:$at" end:new stop
must run driver:rbd "remove:$at"
has_parent deep || fail "the sixteenth is a copy"
must run driver:rbd guard arm:c17 cut drain keep stop
at=$(snap "$(id_of deep)" c17)
remember
must run driver:rbd guard "rollback:$at" end:old stop
same_state "a rollback by a copy that was taken back"
run driver:rbd guard "rollback:$at" kill
guards_gone
same_state "a rollback by a copy that was killed"
must run driver:rbd guard "fork:$at:deep" keep stop
has_parent fork-deep-xvda && fail "a fork of the sixteenth is a clone"
must run driver:rbd guard "rollback:$at" end:new stop
has_parent deep && fail "the seventeenth is a clone"
for image in deep fork-deep-xvda; do
    holds $image 1 0
    holds $image 2 4M
done
must run driver:rbd "remove:$at"
[ "$(rbd ls | grep -c deep)" = 2 ] || fail "images without use: $(rbd ls)"
for image in deep fork-deep-xvda up{14..0}; do
    rbd snap purge --no-progress "$image"
    rbd remove --no-progress "$image" || fail "$image is in use"
done
disk=$old_disk

title "the kernel serves it: mapped anew by a rollback, and for a fork"
# Of the kernel there is only what it tells of its devices, and the program.
export CKPT_RBD_SYSFS=$dir/sys CKPT_RBD_DEV=$dir/dev/rbd
mkdir -p "$dir/bin" "$CKPT_RBD_SYSFS" "$dir/dev"
real_rbd=$(command -v rbd)
cat >"$dir/bin/rbd" <<P
#!/bin/bash
[ "\$1" = device ] || exec $real_rbd "\$@"
verb=\$2; shift 2
echo "\$verb \$*" >>$dir/mapped
if [ \$verb = unmap ]; then
    nr=\${1##*rbd}
    rm "\$1" && rm -r "$dir/sys/\$nr"
    # As udev does: the name goes to who else has it.
    for other in $dir/sys/*; do
        [ -d "\$other" ] && ln -sfn $dir/dev/rbd\${other##*/} $dir/dev/rbd/rbd/\$(cat \$other/name)
    done
    exit 0
fi
while [ \$# -gt 1 ]; do shift; done
nr=0
while [ -e $dir/sys/\$nr ]; do nr=\$((nr + 1)); done
mkdir -p $dir/sys/\$nr $dir/dev/rbd/rbd
name=\${1#rbd/}
echo rbd >$dir/sys/\$nr/pool; echo \$name >$dir/sys/\$nr/name
echo - >$dir/sys/\$nr/current_snap
echo "127.0.0.1:1 name=admin,key=client.admin rbd \$name -" >$dir/sys/\$nr/config_info
$real_rbd info --format json \$name | jq -r .id >$dir/sys/\$nr/image_id
touch $dir/dev/rbd\$nr
ln -sfn $dir/dev/rbd\$nr $dir/dev/rbd/rbd/\$name
P
chmod +x "$dir/bin/rbd"
export PATH=$dir/bin:$PATH
rbd device map web
disk=$CKPT_RBD_DEV/rbd/web
devices() { (cd "$dir" && ls -l dev/rbd/rbd | sed 's/.* web/web/' && ls sys); }
must run probe driver:rbd guard arm:7777 cut drain keep stop
ckpt=$(snap "$(id_of web)" 7777)
io web "write -P 9 0 64k" flush
remember
before=$(devices)
must run driver:rbd guard "rollback:$ckpt" end:old stop
same_state "a rollback that was taken back"
[ "$(devices)" = "$before" ] || fail "devices: $(devices)"
stop_serving web
must run driver:rbd guard "rollback:$ckpt" end:new stop
holds web 1 0
[ "$(cat "$dir"/sys/*/image_id)" = "$(id_of web)" ] || fail "mapped: $(cat "$dir"/sys/*/image_id)"
must run driver:rbd guard "fork:$ckpt:kid" keep stop
said "target $CKPT_RBD_DEV/rbd/fork-kid-xvda"
run driver:rbd guard "fork:$ckpt:other" kill
guards_gone
[ "$(cat "$dir"/sys/*/name | sort | tr '\n' ' ')" = "fork-kid-xvda web " ] || fail "$(devices)"
refused "$CKPT_RBD_DEV$(basename "$dir"/sys/0)" "named" probe
PATH=${PATH#*:}

title "a cluster that does not answer"
disk=rbd:rbd/web:conf=$CEPH_CONF
serve web
begin_job arm:8888 wait cut undo
come_to waiting
bash tests/ceph/cluster.sh pause "$dir/ceph"
echo >&8
come_to "^cut"
cp "$dir/job" "$out"
said "cut: 112 disk xvda: Ceph pool rbd: no answer from the cluster within 2 s"
begin=$SECONDS
must_not run probe
said "disk xvda: Ceph pool rbd: no answer from the cluster within 10 s"
[ $((SECONDS - begin)) -lt 40 ] || fail "it took $((SECONDS - begin)) s"
bash tests/ceph/cluster.sh go-on "$dir/ceph"
wait $job
guards_gone
cat "$dir/job"
timeout 60 bash -c 'until rbd snap ls web >/dev/null; do :; done'
rbd snap ls web | grep 8888 && fail "a snapshot of a failed cut"
io web "write -P 5 0 64k" flush
rbds_gone

title "nor while the snapshot is made: who has the lock waits, and lets go of it"
given_up() { timeout 60 ceph osd blocklist ls 2>/dev/null; }
given_up >"$dir/before" || fail "no list of who was given up for dead"
begin_job arm:9999 wait cut wait drain
come_to waiting
bash tests/ceph/cluster.sh pause "$dir/ceph" mon # who would give the snapshot its number
echo >&8
come_to waiting 2
bash tests/ceph/cluster.sh pause "$dir/ceph" osd
echo >&8
come_to ^drain
cp "$dir/job" "$out"
said "drain: 112 disk xvda: Ceph pool rbd: no answer from the cluster within 30 s"
holder=$(pgrep -f "$CKPT_RBD" | head -n 1)
kill -0 "$holder" || fail "who had the lock is gone"
bash tests/ceph/cluster.sh go-on "$dir/ceph"
io web "write -P 6 0 64k" flush
given_up >"$dir/seen" && cmp "$dir/before" "$dir/seen" ||
    fail "who had the lock was given up for dead: $(cat "$dir/seen")"
wait $job
guards_gone
timeout 60 tail --pid="$holder" -f /dev/null || fail "it does not end"
rbd snap ls web | grep 9999 && fail "a snapshot that nobody waited for"
rbds_gone
title "end"
exit $failed
