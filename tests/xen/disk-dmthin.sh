#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The dmthin driver by itself, without a guest, on a pool that LVM knows nothing
# of: content, being killed anywhere, the ids that stay, what changed, what is
# refused, and a pool that thin_check finds whole in the end.
set -u
[ -n "${LAB:-}" ] || { echo "needs the lab's dom0"; exit 77; }
driver=dmthin
web=/dev/mapper/web
# shellcheck source=tests/xen/dm_alone.sh
. "$(dirname "$0")/dm_alone.sh"

# All that the driver could leave behind: devices with what they show, and the
# pool's volumes with their blocks.
volumes() {
    dmsetup message pool0 0 reserve_metadata_snap
    thin_ls --no-headers -m -o DEV,MAPPED "$meta"
    dmsetup message pool0 0 release_metadata_snap
}
state() {
    dmsetup table | grep -v ': 0 [0-9]* linear' | sort
    dmsetup info -c --noheadings -o name,uuid,suspended | sort
    find /dev/mapper -type l -printf '%f\n' | sort
    volumes
}
number_in_snapshot() { # POOL/ID/SECTORS
    local id=${1#*/}
    dmsetup create --readonly look --table "0 ${1##*/} thin /dev/mapper/pool0 ${id%/*}"
    number_of /dev/mapper/look
    dmsetup remove --retry look
}

truncate -s 16M /tmp/meta.img && truncate -s 160M /tmp/data.img || exit 99
meta=$(losetup -f --show /tmp/meta.img) && data=$(losetup -f --show /tmp/data.img) || exit 99
begin=$(state 2>/dev/null)
dmsetup create pool0 --table "0 327680 thin-pool $meta $data 128 100 1 error_if_no_space" || exit 99
dmsetup message pool0 0 "create_thin 1"
dmsetup message pool0 0 "create_thin 2"
dmsetup create web --uuid admins-own --table "0 131072 thin /dev/mapper/pool0 1" || exit 99
dmsetup create db --table "0 131072 thin /dev/mapper/pool0 2" || exit 99
put first

title "two disks are of one instant, under a writer"
must "$tool" xvda=$web xvdb=phy:/dev/mapper/db -- probe
must run guard write arm:1111 cut still drain written keep stop
for disk in xvda xvdb; do
    at=$(sed -n "s/^at $disk //p" "$out")
    in=$(number_in_snapshot "$(snapshot_of $disk)")
    [ "$at" = "$in" ] || fail "$disk: $at was written at the cut, $in is in it"
done
one=$(snapshot_of xvda)
must run_one "check:$one" "remove:$one" "remove:$one" "remove:$(snapshot_of xvdb)"
must_not run_one "check:$one"
said "is gone"

title "a fork is a copy of its own"
put second
must run_one guard arm:3333 cut drain keep stop
snap=$(snapshot_of xvda)
put third
must run_one guard "fork:$snap:a b" keep stop
clone=$(sed -n 's/^target //p' "$out")
[ "$(get "$clone")" = second ] || fail "the fork has $(get "$clone")"
put forked "$clone"
[ "$(get)" = third ] || fail "the fork wrote to the original"
must probe "$clone"
before=$(state)
must_not run_one guard "fork:$snap:a b"
said "is there already"
same_state "$before" "a fork that was refused"
must run_one guard "fork:$snap:other" undo stop
same_state "$before" "a fork that was undone"
run_one guard "fork:$snap:other" kill
same_state "$before" "a fork that was killed"

title "rollback under an open device"
exec 9<>$web
must run_one guard "rollback:$snap" end:old stop 9>&-
same_state "$before" "a rollback that was taken back"
run_one guard "rollback:$snap" kill 9>&-
same_state "$before" "a rollback that was killed"
[ "$(get)" = third ] || fail "the disk has $(get)"
: >"$out"
run_one guard "rollback:$snap" keep kill 9>&- &
job=$!
await "process .* died" $job
[ "$(get)" = second ] || fail "the rolled-back disk has $(get)"
[ "$(get /proc/self/fd/9)" = third ] || fail "the open one has changed"
exec 9>&-
wait $job
[ "$(get)" = second ] || fail "the settled disk has $(get)"
same_state "$before" "a rollback that was kept, by the guard" # ids, uuid, all
put fourth
must run_one guard "rollback:$snap" end:new stop
[ "$(get)" = second ] || fail "the disk has $(get)"
same_state "$before" "a rollback that was kept"
dmsetup create web.ckpt-old --table "0 8 zero"
must_not run_one guard "rollback:$snap"
said "web.ckpt-old is there already"
dmsetup remove web.ckpt-old
same_state "$before" "a rollback that was refused"

killed_between_the_beats
put second

title "a pool that fills up between arm and cut"
exec 8<>/tmp/go
: >"$out"
run_one guard arm:7777 wait cut drain <&8 8>&- &
job=$!
await waiting $job
dmsetup message pool0 0 "create_thin 3"
dmsetup create more --table "0 327680 thin /dev/mapper/pool0 3"
dd if=/dev/zero of=/dev/mapper/more bs=1M oflag=direct status=none 2>/dev/null
echo >&8
wait $job && fail "cut in a full pool"
exec 8>&-
said "disk xvda: thin pool pool0: data 100.0 %"
must put second # what is mapped is still written
dmsetup remove --retry more
dmsetup message pool0 0 "delete 3"
same_state "$before" "a full pool"

title "what cannot be is refused with words"
must_not probe /dev/mapper/pool0
said "no thin device"
must_not probe "$(readlink -f $web)"
said "call it /dev/mapper/web"
must_not run_one remove:pool0/1/131072
said "ids of our volumes begin with"
must_not run_one "remove:pool0/${snap#*/}x"
said "not of the form"
must_not run_one "check:nopool/${snap#*/}"
said "there is none"
number=${snap#*/}
dmsetup create look --table "0 131072 thin /dev/mapper/pool0 ${number%/*}"
must_not run_one "remove:$snap"
said "does not delete it"
dmsetup remove look
dmsetup message pool0 0 "create_thin 3"
dmsetup create more --table "0 327680 thin /dev/mapper/pool0 3"
dd if=/dev/zero of=/dev/mapper/more bs=1M count=154 oflag=direct status=none
must_not run_one guard arm:9999 stop
said "thin pool pool0: data 9"
dmsetup remove --retry more
dmsetup message pool0 0 "delete 3"
same_state "$before" "what was refused"

title "what changed between two"
must run_one guard arm:aaaa cut drain keep stop
a=$(snapshot_of xvda)
dd if=/dev/urandom of=$web bs=64k seek=160 count=2 oflag=direct conv=notrunc status=none
must run_one guard arm:bbbb cut drain keep stop
b=$(snapshot_of xvda)
must run_one "changed:$a:$b"
[ "$(grep '^changed ' "$out")" = "changed 10485760 131072" ] || fail "changed: $(cat "$out")"
must run_one "changed:$b:$b"
grep -q '^changed ' "$out" && fail "it differs from itself"
must run_one "remove:$a" "remove:$b" "remove:$snap"

title "what a snapshot holds, read and shown"
mke2fs -q -F -t ext4 -J size=4 $web && mkdir -p /tmp/mnt && mount $web /tmp/mnt || exit 99
echo one >/tmp/mnt/file && sync /tmp/mnt/file /tmp/mnt || exit 99 # in the journal
must run_one guard arm:cccc cut drain keep stop
snap=$(snapshot_of xvda)
echo two >/tmp/mnt/file
umount /tmp/mnt
with=$(state)
must run_one "read:/tmp/content:$snap"
mapped=$(sed -n 's/^content \(.*\) of 67108864$/\1/p' "$out")
[[ ${mapped:-0} -gt 0 && $mapped -lt 40000000 ]] || fail "content: $(cat "$out")"
number=${snap#*/}
dmsetup create look --readonly --table "0 131072 thin /dev/mapper/pool0 ${number%/*}"
cmp /tmp/content /dev/mapper/look || fail "the content is another"
sum=$(sha256sum </dev/mapper/look)
dmsetup remove --retry look
same_state "$with" "reading"
must run_one "view:0123-0:$snap"
device=$(sed -n 's/^device //p' "$out")
must mount -o ro "$device" /tmp/mnt
[ "$(cat /tmp/mnt/file)" = one ] || fail "the file has $(cat /tmp/mnt/file)"
must_not run_one "unview:0123-0:$snap"
umount /tmp/mnt
must run_one "unview:0123-0:$snap" "unview:0123-0:$snap"
same_state "$with" "a view"
must run_one "read:/tmp/content:$snap"
[ "$(sha256sum </tmp/content)" = "$sum" ] || fail "the snapshot was written to"
must run_one "remove:$snap"
same_state "$(grep -v "^ *${number%/*} .*KiB" <<<"$with")" "what was read"
rm /tmp/content

title "the pool is whole"
must dmsetup remove web db "$(basename "$clone")"
must dmsetup remove --retry pool0
must thin_check -q "$meta"
[ "$(state 2>/dev/null)" = "$begin" ] || fail "left: $(state)"
losetup -d "$meta" "$data"
exit $failed
