#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# What a guest's disk stands on fails in the middle of a take: the guest runs on,
# the error names the disk, nothing is left over, and the next take succeeds.
# shellcheck disable=SC2016,SC2317 # what the hook sees; what is called by its name
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/xen/disks.sh
. "$(dirname "$0")/disks.sh"
# shellcheck source=tests/xen/disk_faults.sh
. "$(dirname "$0")/disk_faults.sh"
HOOK=/etc/xen/ckpt/disk.d/copy
is_control && finish

qmp_socket() { echo "/var/run/xen/qmp-libxl-$(xl domid "$1")"; }
qemu_of() { pgrep -f -- "-xen-domid $(xl domid "$1") "; }
mend=true
words='disk xvda: '
# at POINT DEED [MEND]: that fails while a take is there.  The guest is seen to run
# before MEND.
at() {
    mend=${3:-true}
    fault_at "$1" "$2" given_up_then_mended checkpoint "$g" -n lost
    said "$words"
}
# The take may wait for its guard, which tries for as long as the fault stays.
given_up_then_mended() {
    wait_until 60 grep -Eq "$words" "$T/out" || fail "it is not given up"
    not_paused "before it is mended"
    $mend
}
new_guest() { # DRIVER
    g=$1
    disk_new "$g"
    witness_create "$g" mem=128 vcpus=1 net=0 "$(disk_words "$g")" -- "mb=4,$LIGHT"
    before=$(disks_state)
}
old_guest() {
    guest_destroy "$g"
    disk_old "$g"
}

disks_setup qcow2 dmthin

new_guest qcow2
step "qcow2: QEMU's socket is gone"
socket=$(qmp_socket qcow2)
mv "$socket" "$socket.gone"
must_fail 1 'disk xvda: .*QMP socket /var/run/xen/qmp-libxl-[0-9]*: No such file' xl checkpoint qcow2 -n lost
mv "$socket.gone" "$socket"
goes_on "a socket that was gone"
# It does what it was asked to when it wakes up, though nobody waits any more.
qemu_stops() { kill -STOP "$(qemu_of qcow2)"; }
qemu_wakes() { kill -CONT "$(qemu_of qcow2)"; }
# If something of the guest's waits for its disk just then, it cannot suspend either.
words='disk xvda: |began to suspend but did not finish'
at "after:take:disks armed" qemu_stops qemu_wakes
words='disk xvda: '
goes_on "a QEMU that stood"
at at:take:still qemu_stops qemu_wakes
goes_on "a QEMU that stood in the pause"
qemu_dies() { kill -9 "$(qemu_of qcow2)"; }
at at:take:still qemu_dies
guards_end 300 || fail "a dead QEMU: the guard stays"
old_guest

new_guest dmthin
fill() {
    dmsetup message pool0 0 "create_thin 3"
    dmsetup create more --table "0 1048576 thin /dev/mapper/pool0 3"
    dd if=/dev/zero of=/dev/mapper/more bs=1M oflag=direct status=none 2>/dev/null
}
empty() {
    dmsetup remove --retry more
    dmsetup message pool0 0 "delete 3"
}
at "after:take:disks armed" fill empty
said '100.0 %'
goes_on "a full pool"
old_guest

# On a filesystem that shares no blocks.
hook() { # [LINE]: it copies files; LINE comes before its case
    cat >$HOOK <<HOOK
#!/bin/sh
verb=\$1; shift
for pair; do export "\$pair"; done
${1:-}
case \$verb in
probe) [ ! -f "\$target" ] || echo mine=yes ;;
arm) echo "snapshot=\$target.\$id" ;;
cut) cp "\$target" "\$snapshot" ;;
undo) rm -f "\$target.\$id" ;;
remove) rm -f "\$snapshot" ;;
drain|check) [ -s "\$snapshot" ] ;;
esac
HOOK
    chmod 755 $HOOK
}
DISKS=/tmp/manual
mkdir -p "$(dirname $HOOK)" $DISKS
hook
new_guest manual
hook_hangs() { hook '[ $verb != cut ] || exec sleep 60'; }
hook_fails() { hook '[ $verb != cut ] || { echo "it is broken" >&2; exit 3; }'; }
at "after:take:disks armed" hook_hangs hook
goes_on "a hook that hung"
at "after:take:disks armed" hook_fails hook
said 'it is broken'
goes_on "a hook that failed"
old_guest
rm -r $HOOK $DISKS
DISKS=/tmp/disks
disks_end
finish
