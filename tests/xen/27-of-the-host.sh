#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# What a domain has of the host: a monitor, also under another name; disks, of which
# what xl saved has none; names, ports and folders that only one can have.  A
# rollback that needs both says so before anything is done, and works when the old
# one goes first; a fork gets its own, or is refused.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
g=other

another() { [ "$(xl domid "$g" 2>/dev/null || echo "$old")" -ne "$old" ]; }
# Of the configuration that libxl has now.
of() { xl list -l "$1" | jq -c ".[0].config.$2"; }

step "a monitor under another name"
witness_create named mem=112 vcpus=1 disk_mb=64 net=0 \
    cfg=$'vif = [ "bridge=xenbr0,vifname=named0" ]\non_reboot = "restart"' -- "mb=4,$LIGHT"
is_control && { ticks named control; finish; }
must "rename" xl rename named $g
must "take" xl checkpoint $g -n one
old=$(xl domid $g)
must "reboot" xl sysrq $g b
wait_until 120 another || fail "nobody starts it again: $(xl list)"
guest_wait $g 'WITNESS READY' 180 >/dev/null || broken "the witness did not come up again"

step "a network interface with a name"
must "take" xl checkpoint $g -n two
must_fail 4 'vifname\) named0' xl rollback $g two
running $g "after the refusal"
must "rollback" xl rollback $g two --destroy-first
ticks $g "rolled back"
is "its interface" '"named0"' "$(of $g 'nics[0].ifname')"
must "fork" xl fork $g -n $g-fork
ticks $g-fork "the fork"
is "the fork's interface" null "$(of $g-fork 'nics[0].ifname')"
ticks $g "the original"
clean $g "in the end"
xl destroy $g-fork
lvremove -qq -fy vg0/fork-$g-fork-xvda

step "what xl saved has no disks"
must "xl save" command xl save -c $g "$T/saved"
must "import" xl checkpoint-import -n imported "$T/saved"
rm "$T/saved"
must_fail 5 'no snapshot of disk xvda' xl fork imported -n $g-fork
must_fail 5 'no snapshot of disk xvda' xl rollback $g imported
running $g "after the refusals"
xl destroy $g

# port NAME LINES: an HVM domain that has not begun, and never does (a restored one
# has no more of what hvmloader wants to read), with these lines; its checkpoint "NAME".
port() {
    printf 'name = "%s"\ntype = "hvm"\nmemory = 32\nmaxmem = 32\nvga = "none"\nusb = 0\n%s\n' \
        "$1" "$2" >"$T/$1.cfg"
    xl create -q -p "$T/$1.cfg" || broken "no domain $1"
    must "take" xl checkpoint "$1" -n "$1"
}
# back NAME WHAT: it cannot go back beside itself, and can when it goes first.
back() {
    local old
    old=$(xl domid "$1")
    must_fail 4 "$2" xl rollback "$1"
    is "the domain that was refused" "$old" "$(xl domid "$1")"
    must "rollback" xl rollback "$1" --destroy-first --paused
    is "its state" p "$(xl list "$1" | awk 'NR == 2 { print $5 }' | tr -d -- -)"
}

step "a serial port that listens, a generation id"
port serial "serial = \"unix:$T/serial,server,nowait\"
ms_vm_genid = \"generate\""
id=$(of serial 'b_info["type.hvm"].ms_vm_genid')
back serial "serial port unix:$T/serial"
is "its port" "\"unix:$T/serial,server,nowait\"" "$(of serial 'b_info["type.hvm"].serial')"
CHECKS=$((CHECKS + 4))
[ -S "$T/serial" ] || fail "nobody listens any more"
[ "$id" != null ] || fail "it had no generation id"
[ "$(of serial 'b_info["type.hvm"].ms_vm_genid')" != "$id" ] || fail "it has the same generation id"
must "fork" xl fork serial/serial -n serial-fork --paused
grep -q 'stays the original' "$T/err" || fail "nobody was told: $(cat "$T/out" "$T/err")"
is "the fork's port" '"pty"' "$(of serial-fork 'b_info["type.hvm"].serial')"
xl destroy serial-fork
xl destroy serial

step "a channel that is a socket"
port channel "channel = [ \"connection=socket,path=$T/channel,name=org.example\" ]"
back channel "channel's socket $T/channel"
must "fork" xl fork channel/channel -n channel-fork --paused
is "the fork's channel" '[{"devid":0,"name":"org.example","connection.pty":{}}]' "$(of channel-fork channels)"
xl destroy channel-fork
xl destroy channel

step "a VNC port that is fixed"
port vnc 'vnc = 1
vnclisten = "127.0.0.1"
vncdisplay = 7
vncunused = 0'
back vnc 'VNC port'
must "fork" xl fork vnc/vnc -n vnc-fork --paused
xl destroy vnc-fork
xl destroy vnc

step "a folder of the host's"
port folder "p9 = [ \"tag=shared,path=$T,security_model=none\" ]"
must_fail 5 "folder $T" xl fork folder/folder -n folder-fork
xl destroy folder
finish
