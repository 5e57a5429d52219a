#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# bash cluster.sh start DIR | stop DIR | pause DIR [mon|osd] | go-on DIR
#
# A Ceph cluster of one monitor and one OSD that keeps its objects in memory,
# for tests: on 127.0.0.1, without authentication, with all it has beneath DIR,
# needing neither root nor a service manager.  It has one pool, rbd, of one
# replica.  `start' returns once the pool takes writes; whoever has CEPH_CONF
# set to DIR/ceph.conf is its client.  `pause' stops both daemons, or the one, in
# the middle of whatever they do (a cluster that does not answer).
# shellcheck disable=SC2015,SC2046
set -u
verb=${1:-} dir=${2:-}
[ -n "$dir" ] || { sed -n '4,5s/^# //p' "$0" >&2; exit 99; }

give_up() {
    echo "ceph: $*" >&2
    tail -n 5 "$dir"/*.log >&2
    bash "$0" stop "$dir"
    exit 99
}
pids() { cat "$dir"/mon.pid "$dir"/osd.pid 2>/dev/null; }

free_port() {
    python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

write_conf() {
    local fsid port
    fsid=$(cat /proc/sys/kernel/random/uuid)
    port=$(free_port)
    cat >"$dir/ceph.conf" <<CONF
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$port
ms bind msgr1 = false
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = $dir
admin socket = $dir/\$name.\$pid.asok
log file = $dir/\$name.log
log to stderr = false
keyring = /dev/null
debug default = 0
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
[mon]
mon data = $dir/mon
pid file = $dir/mon.pid
mon cluster log file = $dir/cluster.log
# Else a snapshot is made and removed in a second each.
paxos propose interval = 0.1
paxos min wait = 0.02
[osd]
osd data = $dir/osd
pid file = $dir/osd.pid
osd objectstore = memstore
memstore device bytes = 268435456
osd class load list = *
osd class default list = *
# A primary may serve for 0.8 of that without its peers, of which there are none: one
# that was stopped for longer serves nobody any more.
osd heartbeat grace = 3600
[client]
# Of the kernel, which would else speak the older protocol.
rbd default map options = ms_mode=crc
CONF
}

start_monitor() { # UUID: of the OSD, which it is told of
    rm -rf "$dir/mon"
    mkdir -p "$dir/mon" && write_conf || exit 99
    monmaptool --create --clobber --fsid "$(sed -n 's/^fsid = //p' "$dir/ceph.conf")" \
        --addv a "[$(sed -n 's/^mon host = //p' "$dir/ceph.conf")]" \
        "$dir/monmap" >"$dir/monmap.log" 2>&1 || give_up "no map of monitors"
    ceph-mon --mkfs -i a --monmap "$dir/monmap" >"$dir/mkfs.log" 2>&1 &&
        ceph-mon -i a 2>>"$dir/mkfs.log" &&
        ceph --connect-timeout 60 osd new "$1" >"$dir/osd-new.log" 2>&1
}

start() {
    local uuid tries=0
    uuid=$(cat /proc/sys/kernel/random/uuid)
    export CEPH_CONF=$dir/ceph.conf
    mkdir -p "$dir/osd" || exit 99
    # Somebody else may have taken the port before the monitor does.
    until start_monitor "$uuid"; do
        tries=$((tries + 1))
        [ $tries -lt 3 ] || give_up "the monitor does not answer"
        stop
    done
    ceph-osd --mkfs -i 0 --osd-uuid "$uuid" >>"$dir/mkfs.log" 2>&1 &&
        ceph-osd -i 0 2>>"$dir/mkfs.log" || give_up "no OSD"
    {
        ceph osd pool create rbd 8 8 --autoscale-mode=off &&
            timeout 120 rbd pool init rbd
    } >"$dir/pool.log" 2>&1 || give_up "no pool"
}

stop() {
    local pid
    for pid in $(pids); do
        kill -CONT "$pid" 2>/dev/null
        kill -9 "$pid" 2>/dev/null && tail --pid="$pid" -f /dev/null
    done
    rm -rf "$dir"/*.pid
}

case $verb in
start) start ;;
stop) stop ;;
pause)
    if [ -n "${3:-}" ]; then
        kill -STOP "$(cat "$dir/$3.pid")"
    else
        kill -STOP $(pids)
    fi
    ;;
go-on) kill -CONT $(pids) ;;
*) exit 99 ;;
esac
