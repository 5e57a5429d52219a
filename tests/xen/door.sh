# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# ckptd and guests that speak to it, for tests/xen/*-ckptd-*; sourced after
# lib.sh.  door_guest's guests have ckpt-guest and its agent beside the
# witness, and print what they are told as lines `DOOR ...`: by themselves (mode
# ask), or when they are ordered to (mode tool).

# With one that runs it reads the new configuration.
ckptd_start() { # CONFIGURATION
    id -u ckptd >/dev/null 2>&1 || useradd --system --no-create-home ckptd
    mkdir -p /etc/xen
    printf 'store = %s\naudit_log = %s/audit\n%s\n' "$CKPT_STORE" "$T" "$1" >/etc/xen/ckptd.conf
    ckptd -n -c /etc/xen/ckptd.conf || broken "the configuration"
    pkill -HUP -x ckptd || ckptd_run
}

# /var/log/xen is seen live outside of the lab, and slow: not where time counts.
CKPTD_LOG=/var/log/xen/ckptd.log
ckptd_run() {
    ckptd -v -p "$T/ckptd.pid" -l "$CKPTD_LOG" || {
        cat "$CKPTD_LOG"
        broken "ckptd does not start"
    }
}

# rpc METHOD [PARAMS]: the result's JSON, or the error's and 1.
rpc() { timeout 600 "$WORKLOAD/../xen/rpc_tool" "$@"; }

# tell NAME WORDS: an order for a guest in mode tool.
TOLD=0
tell() {
    TOLD=$((TOLD + 1))
    xenstore-write "/local/domain/$(xl domid "$1")/data/door" "$TOLD $2"
}

# told NAME SECONDS PATTERN: its answer to the last order, without the number.
told() {
    local line
    line=$(guest_wait "$1" "DOOR $TOLD ($3)" "$2") || return
    echo "${line#*DOOR "$TOLD" }"
}

# Resident KiB of the daemon's roles, and of xenstored.
# What ps tells is a counter that the kernel brings up to date now and then: it was seen
# to be a megabyte off.
process_kib() {
    local pid
    for pid in $(pgrep -d ' ' -x "$1"); do cat "/proc/$pid/smaps_rollup"; done |
        awk '$1 == "Rss:" { n += $2 } END { print n }'
}
daemon_kib() { process_kib 'ckptd|ckptd-front|ckptd-door'; }
xenstored_kib() { process_kib xenstored; }

no_job() { [ "$(pgrep -c ckptd-job)" -le "$(pgrep -c -x ckptd)" ]; }

# The initramfs grows by one archive: our programs, and a stand-in for the
# witness that starts them before it.
door_archive() {
    local at=$T/cpio
    [ ! -e "$at" ] || return 0
    mkdir -p "$at/bin" "$at/etc/ckpt/guest.d"
    cp /mnt/build/ckpt-guest "$at/bin/"
    cp /mnt/build/tests/xen/door_tool "$at/bin/door-tool-bin"
    cp "$WORKLOAD/witness" "$at/bin/witness.real"
    cp /usr/share/xen-ckpt/guest/guest.d/{10-fsfreeze,20-rng,40-hostname} "$at/etc/ckpt/guest.d/"
    cat >"$at/bin/witness" <<'SH'
#!/bin/busybox sh
mode=$1
shift
sh "/bin/door-$mode" &
exec /bin/witness.real "$@"
SH
    cat >"$at/bin/door-ask" <<'SH'
until ckpt-guest status >/dev/null 2>&1; do sleep 1; done # lint: sleep ok: no door, nothing to watch
ckpt-guest hooks run &
sleep 2 # lint: sleep ok: the agent says so to ckptd only
# Once the door allows it.
ask() {
    until ckpt-guest status 2>/dev/null | grep -q "^allow:.* $1"; do
        sleep 1 # lint: sleep ok: ckpt-guest waits for answers only
    done
    said=$(ckpt-guest -t 3000 $1 2>&1)
    said="DOOR $1 $? $said"
    echo $said
}
ask checkpoint
case $said in *rolled-back*) exec sleep 100000 ;; esac
ask fork
case $said in *child*) exec sleep 100000 ;; esac
ask rollback
SH
    cat >"$at/bin/door-tool" <<'SH'
ckpt-guest hooks run &
exec door-tool-bin
SH
    chmod +x "$at"/bin/*
    (cd "$at" && find . -print | cpio --quiet -o -H newc -R 0:0) >>"$GUEST_FILES/initrd.guest"
}

# door_guest NAME MODE [guest_create's words] -- witness's words
door_guest() {
    local name=$1 mode=$2
    shift 2
    local -a words=()
    local load=writers=1,mb=8,beat=$BEAT,$LIGHT
    while [ $# -gt 0 ] && [ "$1" != -- ]; do words+=("$1"); shift; done
    shift
    door_archive
    guest_create "$name" "${words[@]}" "witness=$mode,$load${1:+,$1}" || broken "no guest $name"
    guest_wait "$name" 'WITNESS READY' 240 >/dev/null || {
        tail -20 "$(guest_log "$name")"
        broken "the witness of $name did not come up"
    }
}
