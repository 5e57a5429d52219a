#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The lvmthin driver by itself on vg0/pool, without a guest: what it promises
# about content, about being killed anywhere, and about others at work on the
# same volumes.  disk_tool.c is the one that runs its verbs.
set -u
[ -n "${LAB:-}" ] || { echo "needs the lab's dom0"; exit 77; }
# shellcheck source=tests/xen/guards.sh
. "$(dirname "$0")/guards.sh"

# Neither is installed, and a build on the host must not change them meanwhile.
cp build/tests/xen/disk_tool build/ckpt-helper /run/ || exit 99
tool=/run/disk_tool
export CKPT_HELPER=/run/ckpt-helper
out=$(mktemp)
failed=0
web=/dev/vg0/web

fail() { echo "FAIL: $*"; failed=1; }
title() { echo "--- $* ($(cut -d' ' -f1 /proc/uptime))"; }

# Runs the tool; returns when its guard is gone too, for that has the pipe.
run() { # VERB...
    "$tool" xvda=$web xvdb=/dev/vg0/db -- "$@" 2>&1 | tee "$out"
    return "${PIPESTATUS[0]}"
}
# The same for the first disk only.
run_one() {
    "$tool" xvda=$web -- "$@" 2>&1 | tee "$out"
    return "${PIPESTATUS[0]}"
}
must() { "$@" || fail "$*"; }
must_not() { "$@" && fail "not refused: $*"; }
said() { grep -q -- "$1" "$out" || fail "did not say: $1"; }

await() { # TEXT [PID]: until the tool has said it, or is gone
    for _ in $(seq 600); do
        grep -q "$1" "$out" && return
        kill -0 "${2:-$job}" 2>/dev/null || break
        sleep 0.1 # lint: sleep ok: the poll of a loop with a limit
    done
    fail "$1 is not said"
    cat "$out"
}

# All that the driver could leave behind.
state() {
    lvs -a --noheadings -o lv_name,lv_tags,lv_active,origin vg0
    dmsetup info -c --noheadings -o name,suspended
    find /dev/vg0 -type l -printf '%f\n' | sort
    dmsetup status vg0-pool-tpool | awk '{ print "data", $6 }'
}
same_state() { # BEFORE WHAT
    local now
    udevadm settle
    now=$(state)
    [ "$1" = "$now" ] || {
        fail "$2: left something behind"
        diff <(echo "$1") <(echo "$now")
    }
}

number_of() { # DEVICE: what the writer of the tool wrote there last
    dd if="$1" bs=4096 count=1 iflag=direct status=none |
        od -An -tu8 -N8 | tr -d ' '
}
put() { # TEXT [DEVICE]
    printf '%-4096s' "$1" |
        dd of="${2:-$web}" bs=4096 count=1 oflag=direct conv=notrunc status=none
}
get() { # [DEVICE]
    dd if="${1:-$web}" bs=4096 count=1 iflag=direct status=none | tr -d ' '
}
number_in_snapshot() { # SNAPSHOT
    lvchange -qq -ay -K "vg0/$1" && number_of "/dev/vg0/$1"
    lvchange -qq -an "vg0/$1"
}

lvcreate -qq -V 64M -T vg0/pool -n web &&
    lvcreate -qq -V 64M -T vg0/pool -n db || exit 99
udevadm settle
put first

title "two disks are of one instant, under a writer"
must run probe guard write arm:1111 cut still drain written keep stop
for disk in xvda xvdb; do
    at=$(sed -n "s/^at $disk //p" "$out")
    in=$(number_in_snapshot ckpt-1111-$disk)
    [ "$at" = "$in" ] || fail "$disk: $at was written at the cut, $in is in it"
done
must run_one check:vg0/ckpt-1111-xvda
lvs -o lv_name,lv_attr,lv_tags,origin vg0

title "times"
put second
must run guard arm:2222 cut drain keep stop
must run remove:vg0/ckpt-2222-xvda remove:vg0/ckpt-2222-xvdb \
    remove:vg0/ckpt-2222-xvdb remove:vg0/ckpt-1111-xvdb
must_not run_one check:vg0/ckpt-2222-xvda
said "ckpt-2222-xvda is gone"

title "a fork is a copy of its own"
must run_one guard arm:3333 cut drain keep
put third
must run_one guard fork:vg0/ckpt-3333-xvda:"a b" keep stop
clone=$(sed -n 's/^target //p' "$out")
[ "$(get "$clone")" = second ] || fail "the fork has $(get "$clone")"
put forked "$clone"
[ "$(get)" = third ] || fail "the fork wrote to the original"
before=$(state)
must_not run_one guard fork:vg0/ckpt-3333-xvda:"a b"
said "is there already"
same_state "$before" "a fork that was refused"
must run_one guard fork:vg0/ckpt-3333-xvda:other undo stop
same_state "$before" "a fork that was undone"
run_one guard fork:vg0/ckpt-3333-xvda:other kill
same_state "$before" "a fork that was killed"
lvremove -qq -fy "$clone"

title "rollback under an open device"
lvchange -qq --addtag admins-own vg0/web
before=$(state)
exec 9<>$web
must run_one guard rollback:vg0/ckpt-3333-xvda end:old stop 9>&-
same_state "$before" "a rollback that was taken back"
must run_one guard rollback:vg0/ckpt-3333-xvda undo stop 9>&-
same_state "$before" "a rollback that was undone"
run_one guard rollback:vg0/ckpt-3333-xvda kill 9>&-
same_state "$before" "a rollback that was killed"
[ "$(get)" = third ] || fail "the disk has $(get)"
# Once kept it is kept; the guard removes the old one when nobody has it open.
: >"$out"
run_one guard rollback:vg0/ckpt-3333-xvda keep kill 9>&- &
job=$!
await "process .* died"
[ "$(get)" = second ] || fail "the rolled-back disk has $(get)"
[ "$(get /proc/self/fd/9)" = third ] || fail "the open one has changed"
exec 9>&-
wait $job
said "undone: the making of the logical volume vg0/web.ckpt-old"
must_not lvs vg0/web.ckpt-old 2>/dev/null
lvcreate -qq -V 4M -T vg0/pool -n web.ckpt-old
must_not run_one guard rollback:vg0/ckpt-3333-xvda
said "web.ckpt-old is there already"
lvremove -qq -fy vg0/web.ckpt-old
must run_one guard rollback:vg0/ckpt-3333-xvda end:new stop
[ "$(lvs --noheadings -o lv_tags vg0/web | tr -d ' ')" = admins-own ] ||
    fail "tags: $(lvs --noheadings -o lv_tags vg0/web)"
must_not lvs vg0/web.ckpt-old 2>/dev/null
must run_one remove:vg0/ckpt-3333-xvda remove:vg0/ckpt-1111-xvda

title "killed between the beats"
before=$(state)
run guard arm:4444 kill
same_state "$before" "killed after arm"
run guard write arm:4444 cut kill
same_state "$before" "killed after cut"
run guard arm:4444 cut drain kill
same_state "$before" "killed after drain"
must run guard arm:4444 cut undo stop
same_state "$before" "undone after cut"
must run guard arm:4444 undo stop
same_state "$before" "undone after arm"

title "killed anywhere within arm"
for seconds in 0.1 0.5 1 2 4 8; do
    : >"$out"
    "$tool" xvda=$web -- guard arm:5555 >"$out" 2>&1 &
    pid=$!
    await 'guard: ok' $pid
    sleep $seconds # lint: sleep ok: the time of death is what is varied
    kill -9 $pid
    wait $pid 2>/dev/null
    guards_end 300 || fail "the guard stays"
    cat "$out"
    same_state "$before" "killed after $seconds s of arm"
done

title "what others do in between"
mkfifo /tmp/go
exec 8<>/tmp/go
# A resume that lets a write through is noticed.
: >"$out"
run_one guard arm:6666 cut wait drain <&8 8>&- &
job=$!
await waiting
dmsetup resume vg0-web
put fourth
echo >&8
wait $job && fail "drained although it was resumed"
said "was resumed by another program"
same_state "$before" "resumed by another"
# LVM at work on the group makes the cut fail, soon.
: >"$out"
run_one guard arm:7777 wait cut <&8 8>&- &
job=$!
await waiting
exec 7<>/run/lock/lvm/V_vg0
flock -x 7
echo >&8
await "LVM is at work"
exec 7>&-
wait $job && fail "cut although LVM had its lock"
same_state "$before" "LVM at work"
# Waited for before the guest is asked, it is had in the cut; others wait then.
: >"$out"
run_one guard arm:7878 wait lock wait cut drain keep stop <&8 8>&- &
job=$!
await waiting
exec 7<>/run/lock/lvm/V_vg0
flock -x 7
echo >&8
sleep 2 # lint: sleep ok: nothing is to happen in this time
grep -q 'lock: ok' "$out" && fail "LVM's lock was had beside another"
exec 7>&-
await 'lock: ok'
exec 7<>/run/lock/lvm/V_vg0
flock -xn 7 && fail "LVM's lock is not held until the cut"
exec 7>&-
echo >&8
wait $job || fail "a cut that had waited for LVM"
must run_one remove:vg0/ckpt-7878-xvda
same_state "$before" "LVM at work before the cut"
must run_one guard arm:7878 lock unlock lock undo stop
same_state "$before" "undone after lock"
# An LVM command that comes while the origin is suspended waits.
: >"$out"
run_one guard arm:8888 cut wait drain keep stop <&8 8>&- &
job=$!
await waiting
lvcreate -qq -s -n backup vg0/web 8>&- &
backup=$!
sleep 3 # lint: sleep ok: nothing is to happen in this time
kill -0 $backup || fail "lvcreate did not wait for the drain"
echo >&8
wait $job || fail "drain beside lvcreate"
wait $backup || fail "lvcreate after the drain"
exec 8>&-
must lvremove -qq -fy vg0/backup
must run_one remove:vg0/ckpt-8888-xvda
same_state "$before" "beside another's lvcreate"

title "what cannot be is refused with words"
must_not "$tool" xvda=/dev/vdb -- probe >"$out"
said "disk xvda (/dev/vdb) cannot be snapshotted: it is no volume of LVM"
lvcreate -qq -Wn -L 4M -n plain vg0
must_not "$tool" xvda=/dev/vg0/plain -- probe >"$out"
said "not a thin one: linear"
must_not "$tool" "xvda=$(readlink -f $web)" -- probe >"$out"
said "call it /dev/vg0/web"
must_not "$tool" xvda=/dev/vg0/nothing -- probe >"$out"
said "is it active"
must "$tool" xvda=phy:vg0/web -- probe >"$out"
must "$tool" xvda=/dev/mapper/vg0-web -- probe >"$out"
name=$(printf 'n%.0s' $(seq 118))
lvcreate -qq -V 4M -T vg0/pool -n "$name" && {
    must_not "$tool" "xvda=/dev/vg0/$name" -- arm:9999 >"$out"
    said "longer name than LVM can take"
    lvremove -qq -fy "vg0/$name"
}
lvcreate -qq -L 32M -T vg0/small && lvcreate -qq -V 64M -T vg0/small -n big
dd if=/dev/zero of=/dev/vg0/big bs=1M count=31 oflag=direct status=none
must_not "$tool" xvda=/dev/vg0/big -- arm:9999 >"$out"
said "thin pool vg0/small: data 96"
said "Extend it (lvextend)"
lvremove -qq -fy vg0/big vg0/small vg0/plain
same_state "$before" "what was refused"

title "what changed between two"
must run_one guard arm:aaaa cut drain keep stop
dd if=/dev/urandom of=$web bs=64k seek=160 count=2 oflag=direct conv=notrunc status=none
must run_one guard arm:bbbb cut drain keep stop
must run_one changed:vg0/ckpt-aaaa-xvda:vg0/ckpt-bbbb-xvda
# Whole blocks of the pool, around what was written and nothing else.
chunk=$(lvs --noheadings --units b --nosuffix -o chunk_size vg0/pool | tr -d ' ')
grep '^changed ' "$out" | awk -v chunk="$chunk" '
    { from = $2; to = $2 + $3; n++ }
    END { exit !(n == 1 && from <= 10485760 && to >= 10485760 + 131072 &&
                 to - from <= 131072 + 2 * chunk) }' || fail "changed: $(cat "$out")"
must run_one changed:vg0/ckpt-bbbb-xvda:vg0/ckpt-bbbb-xvda
grep -q '^changed ' "$out" && fail "it differs from itself"
dmsetup status vg0-pool-tpool | grep -q ' - rw' || fail "$(dmsetup status vg0-pool-tpool)"
must run_one remove:vg0/ckpt-aaaa-xvda remove:vg0/ckpt-bbbb-xvda

title "a snapshot that is read stays for now"
must run_one guard arm:cccc cut drain keep stop
lvchange -qq -ay -K vg0/ckpt-cccc-xvda || fail "activating the snapshot"
exec 6</dev/vg0/ckpt-cccc-xvda
must_not run_one remove:vg0/ckpt-cccc-xvda
said "remove:vg0/ckpt-cccc-xvda: 16 .* in use" # EBUSY
exec 6<&-
must run_one remove:vg0/ckpt-cccc-xvda

# LVM and the pool agree: it can still do everything.
title "LVM is content"
must lvcreate -qq -s -n last vg0/web
must lvremove -qq -fy vg0/last
must lvremove -qq -fy vg0/web vg0/db
exit $failed
