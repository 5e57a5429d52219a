#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The dmsnap driver by itself, without a guest: several snapshots at once, being
# killed anywhere, rollback with snapshots before and after, forks, what is
# stale, a folder that fills up, and a host that went down in a rollback.
set -u
[ -n "${LAB:-}" ] || { echo "needs the lab's dom0"; exit 77; }
driver=dmsnap
web=/dev/mapper/web
# shellcheck source=tests/xen/dm_alone.sh
. "$(dirname "$0")/dm_alone.sh"

state() {
    dmsetup table --showkeys | sort
    dmsetup info -c --noheadings -o name,uuid,suspended | sort
    find /dev/mapper -type l -printf '%f\n' | sort
    losetup -n -O BACK-FILE | sort
    ls /tmp/x/snap
}
device_of() { # NAME: also of one that udev has no link for
    echo "/dev/dm-$(dmsetup info -c --noheadings -o minor "$1")"
}
shown() { device_of "$(basename "$1")"; } # SNAPSHOT
sum() { # [DEVICE]
    dd if="${1:-$web}" bs=1M iflag=direct status=none | md5sum | cut -c1-16
}
scatter() { # SEED: what it overwrites lies in every eighth of the disk
    local n
    for n in 0 1 2 3 4 5 6 7; do
        dd if=/dev/urandom of=$web bs=16k seek=$((n * 96 + $1 * 7)) count=9 \
            oflag=direct conv=notrunc status=none
    done
}
take() { # ID: prints its snapshot
    run_one guard "arm:$1" cut drain keep stop >/dev/null || fail "take $1: $(cat "$out")"
    snapshot_of xvda
}

mkdir /tmp/x && truncate -s 400M /tmp/x.img && mkfs.xfs -q /tmp/x.img &&
    mount -o loop /tmp/x.img /tmp/x || exit 99
export CKPT_DMSNAP_DIR=/tmp/x/snap
mkdir -m 700 $CKPT_DMSNAP_DIR
truncate -s 16M /tmp/web.img && truncate -s 12M /tmp/db.img || exit 99
one=$(losetup -f --show /tmp/web.img) && two=$(losetup -f --show /tmp/db.img) || exit 99
key=$(printf '%064d' 7)
dmsetup create web --uuid admins-own <<END || exit 99
0 12288 linear $one 0
12288 12288 linear $one 16000
END
dmsetup create db --table "0 24576 crypt aes-xts-plain64 $key 0 $two 0" || exit 99
dd if=/dev/urandom of=$web bs=1M count=12 oflag=direct status=none
begin=$(state)

title "two disks are of one instant, under a writer"
must probe $web
must probe phy:/dev/mapper/db
must run guard write arm:1111 cut still drain written keep stop
for disk in xvda xvdb; do
    at=$(sed -n "s/^at $disk //p" "$out")
    in=$(number_of "$(shown "$(snapshot_of $disk)")")
    [ "$at" = "$in" ] || fail "$disk: $at was written at the cut, $in is in it"
done
[ "$(stat -c %a "$(snapshot_of xvda)")" = 600 ] || fail "others read its file"
a=$(snapshot_of xvda)
must run_one "check:$a" "remove:$a" "remove:$a" "remove:$(snapshot_of xvdb)"
must_not run_one "check:$a"
said "is gone"
same_state "$begin" "all of its snapshots deleted"

title "several at once, each of its time"
sum_a=$(sum)
a=$(take aaaa)
scatter 1
sum_b=$(sum)
b=$(take bbbb)
scatter 2
sum_c=$(sum)
c=$(take cccc)
scatter 3
sum_d=$(sum)
all_hold() { # WHEN
    [ "$(sum "$(shown "$a")")" = "$sum_a" ] || fail "$1: the oldest has changed"
    [ "$(sum "$(shown "$b")")" = "$sum_b" ] || fail "$1: the middle one has changed"
    [ "$(sum "$(shown "$c")")" = "$sum_c" ] || fail "$1: the newest has changed"
}
all_hold "after writes"
is_one() { # FROM TO BYTES: with what changed FROM is TO, and no more is said to
    local at len all=0 img=/tmp/changed
    run_one "changed:$1:$2" >/dev/null || fail "changed: $(cat "$out")"
    dd if="$(shown "$1")" of=$img bs=1M status=none
    while read -r _ at len; do
        all=$((all + len))
        dd if="$(shown "$2")" of=$img bs=16k skip=$((at / 16384)) seek=$((at / 16384)) \
            count=$((len / 16384)) conv=notrunc status=none
    done < <(grep '^changed [0-9]' "$out")
    [ "$all" = "$3" ] || fail "$all bytes changed, not $3: $(cat "$out")"
    cmp $img "$(shown "$2")" || fail "not all that changed was said: $(cat "$out")"
}
is_one "$a" "$b" $((8 * 9 * 16384))
is_one "$b" "$a" $((8 * 9 * 16384))
is_one "$a" "$c" $((8 * 16 * 16384)) # nine, and nine more seven further on
is_one "$b" "$b" 0
dd if=/dev/zero of="$(shown "$a")" bs=4096 count=1 oflag=direct status=none 2>/dev/null &&
    fail "a snapshot can be written"
killed_between_the_beats
before=$(state)

title "rollback under an open device"
sum_d=$(sum)
exec 9<>$web
must run_one guard "rollback:$b" end:old stop 9>&-
same_state "$before" "a rollback that was taken back"
run_one guard "rollback:$b" kill 9>&-
same_state "$before" "a rollback that was killed"
[ "$(sum)" = "$sum_d" ] || fail "the disk has changed"
: >"$out"
run_one guard "rollback:$b" keep kill 9>&- &
job=$!
await "process .* died" $job
[ "$(sum)" = "$sum_b" ] || fail "the rolled-back disk is not the checkpoint's"
put during # the new guest runs already, and so does the old one
put old /proc/self/fd/9
[ "$(get)" = during ] || fail "the old guest writes to the new one"
all_hold "while both are there"
exec 9>&-
wait $job
[ "$(get)" = during ] || fail "the settled disk has $(get)"
same_state "$before" "a rollback that was kept, by the guard"
all_hold "after the rollback"
must run_one guard "rollback:$c" end:new stop
[ "$(sum)" = "$sum_c" ] || fail "the disk is not the newest one"
must run_one guard "rollback:$a" end:new stop
[ "$(sum)" = "$sum_a" ] || fail "the disk is not the oldest one"
same_state "$before" "rollbacks that were kept"
scatter 4
all_hold "after rollbacks"
: >$CKPT_DMSNAP_DIR/web.ckpt-new
must_not run_one guard "rollback:$a"
said "left from a rollback"
rm $CKPT_DMSNAP_DIR/web.ckpt-new
dmsetup create web.ckpt-old --table "0 8 zero"
must_not run_one guard "rollback:$a"
said "web.ckpt-old is there already"
dmsetup remove web.ckpt-old
same_state "$before" "a rollback that was refused"

title "a fork is a copy of its own"
put third
must run_one guard "fork:$b:a b" keep stop
clone=$(sed -n 's/^target //p' "$out")
[ "$(sum "$clone")" = "$sum_b" ] || fail "the fork is not the checkpoint"
put forked "$clone"
[ "$(get)" = third ] || fail "the fork wrote to the original"
all_hold "under a fork"
must_not probe "$clone"
said "a snapshot of device-mapper already"
forked=$(state)
must_not run_one guard "fork:$b:a b"
said "is there already"
must run_one guard "fork:$b:other" undo stop
run_one guard "fork:$b:other" kill
same_state "$forked" "forks that were refused, undone and killed"
must_not run_one "remove:$b"
said "^remove.*: 16 .*1 forks are made of it"
must run_one guard "rollback:$b" end:new stop
[ "$(get "$clone")" = forked ] || fail "a rollback changed the fork"
must dmsetup remove --retry "$(basename "$clone")"
same_state "$before" "a fork that is gone"
must run_one "remove:$b"
b=$a sum_b=$sum_a
all_hold "with the middle one deleted"

title "another program at the device"
dmsetup table web.ckpt-real | dmsetup load web
dmsetup resume web
put astray
for verb in "check:$a" "fork:$a:other" "rollback:$a" "arm:5555"; do
    must_not run_one guard "$verb" stop
    said "stale"
done
must run_one "remove:$a" "remove:$c"
same_state "$begin" "stale ones deleted"
[ "$(get)" = astray ] || fail "the disk has $(get)"
a=$(take aaaa)
dmsetup remove --retry "$(basename "$a")" # as when the host restarts
must_not run_one "check:$a"
said "end when the host restarts"
must run_one "remove:$a"
same_state "$begin" "one that the host forgot"

title "no room"
a=$(take aaaa)
fallocate -l $(($(stat -f -c '%a * %S' /tmp/x) - 2097152)) /tmp/x/full || exit 99
must_not run_one guard arm:9999 stop
said "% full"
dd if=/dev/urandom of=$web bs=1M count=12 oflag=direct status=none ||
    fail "the guest's writes fail"
must_not run_one "check:$a"
said "the kernel has given it up"
must run_one "remove:$a"
rm /tmp/x/full
same_state "$begin" "one without room"

title "the host went down in a rollback: what xen-ckpt(7) says"
sum_a=$(sum)
a=$(take aaaa)
scatter 5
cp "$a" $CKPT_DMSNAP_DIR/web.ckpt-merge
must run_one "remove:$a"
must_not probe $web
said "neither that nor what it was"
half=$(losetup -f --show $CKPT_DMSNAP_DIR/web.ckpt-merge)
sectors=$(blockdev --getsz $web)
dmsetup table --showkeys web | dmsetup create web-half
dmsetup load web --table "0 $sectors snapshot-merge /dev/mapper/web-half $half P 32"
dmsetup resume web
until [ "$(dmsetup status web | awk '{ sub("/.*", "", $4); print $4 == $5 }')" = 1 ]; do
    sleep 0.1 # lint: sleep ok: the merge tells nobody; the lab ends what does not end
done
dmsetup table --showkeys web-half | dmsetup load web
dmsetup resume web
dmsetup remove --retry web-half
losetup -d "$half"
rm $CKPT_DMSNAP_DIR/web.ckpt-merge
[ "$(sum)" = "$sum_a" ] || fail "it is not what the checkpoint had"
same_state "$begin" "a rollback finished by hand"

title "without shared blocks in the folder, and what is refused"
export CKPT_DMSNAP_DIR=/tmp/snap
mkdir -m 700 /tmp/snap
a=$(take aaaa)
scatter 6
must run_one guard "rollback:$a" end:new stop
[ "$(sum)" = "$sum_a" ] || fail "it is not what the checkpoint had"
must run_one "remove:$a"
chmod 777 /tmp/snap
must_not run_one guard arm:7777 stop
said "nobody else can write to"
chmod 700 /tmp/snap
dmsetup create odd --table "0 8192 zero"
must_not probe /dev/mapper/odd
said "is of type zero, which cannot be there twice"
dmsetup remove odd
must_not probe "$(readlink -f $web)"
said "call it /dev/mapper/web"
must_not run_one remove:/tmp/snap/web
said "left alone"
same_state "$begin" "in the end"
rmdir /tmp/snap || fail "its folder is not empty"

dmsetup remove --retry web && dmsetup remove --retry db
losetup -d "$one" "$two"
umount /tmp/x || fail "its folder is in use"
exit $failed
