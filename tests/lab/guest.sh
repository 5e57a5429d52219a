# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# Guests for tests; to be sourced by a script that runs in the lab's dom0:
#   . /mnt/tests/lab/guest.sh
#   guest_create web mem=256 disk=vg0/web witness=run,mem=64
#   guest_wait web 'guest: ready' 120
#   guest_destroy web
#
# A guest has a log of its console, $(guest_log NAME), from its first message on.

GUEST_FILES=/usr/share/xen-ckpt-lab/guests
GUEST_CFG=/etc/xen/lab

# guest_disk VG/NAME MIB: an ext4 file system on a new thin volume; nothing is
# done when the volume is there already.
guest_disk() {
    local vg=${1%%/*} lv=${1#*/}
    [ -b "/dev/$1" ] && return 0
    lvcreate -qq -V "${2}M" -T "$vg/pool" -n "$lv" || return
    # Discards and lazy tables would be load of our own making in each test.
    mke2fs -q -F -t ext4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 \
        -J size=4 -L "${lv:0:16}" "/dev/$1"
}

# guest_cd NAME WORDS: the CD from which an HVM guest boots with these words for its
# kernel, and the lines for its configuration.  QEMU's own loader for kernels
# (kernel=) hands 13 MiB over byte by byte through a port, 100 s of dom0's time; SeaBIOS
# reads a CD by DMA if that is on AHCI, of which libxl offers disks only.
guest_cd() {
    local cd=$GUEST_CFG/$1.iso dir=$GUEST_CFG/$1.cd
    mkdir -p "$dir"
    cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$dir"
    printf 'default guest\nlabel guest\nkernel vmlinuz\ninitrd initrd.gst\nappend %s\n' \
        "$2" >"$dir/isolinux.cfg"
    genisoimage -quiet -o "$cd" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 \
        -boot-info-table -graft-points "$dir" vmlinuz="$GUEST_FILES/vmlinuz" \
        initrd.gst="$GUEST_FILES/initrd.guest" || return
    rm -r "$dir"
    printf 'boot = "d"\ndevice_model_args_hvm = [ "-device", "ich9-ahci,id=lab", '
    printf '"-drive", "if=none,id=labcd,media=cdrom,readonly=on,format=raw,file=%s", ' "$cd"
    printf '"-device", "ide-cd,bus=lab.0,drive=labcd" ]\n'
}

# guest_config NAME [KEY=VALUE...]: write the xl configuration of a guest and
# print its path. The keys, with their defaults:
#   type=pvh      pvh, hvm (with QEMU as device model) or pv
#   mem=256       MiB
#   vcpus=2
#   disk=vg0/NAME thin volume, made when missing; none: no disk; a word
#                 with a comma goes to xl as it is: "format=qcow2,vdev=xvda,target=..."
#   disk_mb=256   size of a new volume
#   net=1         how many network interfaces (on xenbr0)
#   witness=      arguments of the witness, separated by commas
#   extra=        more words for the guest's kernel
#   cfg=          more lines for the configuration, e.g. cfg='on_crash="preserve"'
guest_config() {
    local name=$1 word i
    local type=pvh mem=256 vcpus=2 disk=vg0/$1 disk_mb=256 net=1 witness='' extra=''
    local cfg=''
    shift
    for word in "$@"; do
        case ${word%%=*} in
        type|mem|vcpus|disk|disk_mb|net|witness|extra|cfg)
            printf -v "${word%%=*}" %s "${word#*=}" ;;
        *) echo "guest_config: unknown $word" >&2; return 2 ;;
        esac
    done
    case $disk in
    none) ;;
    *,*) ;;
    *)
        guest_disk "$disk" "$disk_mb" || return
        disk="phy:/dev/$disk,xvda,w"
        ;;
    esac
    # Self-tests of ciphers take a third of the kernel's boot; there is nothing to
    # mitigate in an emulated processor; rodata=off leaves out a walk through all page tables.
    local kernel_words="console=hvc0 quiet norandmaps mitigations=off cryptomgr.notests rodata=off"
    kernel_words+=" watchdog_thresh=60 oops=panic panic=-1"
    kernel_words+=" ${witness:+witness=$witness }$extra"
    mkdir -p $GUEST_CFG
    {
        printf 'name = "%s"\ntype = "%s"\n' "$name" "$type"
        printf 'memory = %d\nmaxmem = %d\nvcpus = %d\n' "$mem" "$mem" "$vcpus"
        if [ "$type" = hvm ]; then
            guest_cd "$name" "$kernel_words" || return
        else
            # Not packed: unpacking takes long here.
            printf 'kernel = "%s/vmlinux"\nramdisk = "%s/initrd.guest"\nextra = "%s"\n' \
                $GUEST_FILES $GUEST_FILES "$kernel_words"
        fi
        printf 'on_poweroff = "destroy"\non_reboot = "destroy"\non_crash = "destroy"\n'
        [ "$type" != hvm ] || printf 'serial = "null"\nvga = "none"\nusb = 0\n'
        [ "$disk" = none ] || printf 'disk = [ "%s" ]\n' "$disk"
        if [ "$net" -gt 0 ]; then
            printf 'vif = ['
            for ((i = 0; i < net; i++)); do printf ' "bridge=xenbr0",'; done
            printf ' ]\n'
        fi
        printf '%s\n' "$cfg"
    } >"$GUEST_CFG/$name.cfg"
    echo "$GUEST_CFG/$name.cfg"
}

# guest_create NAME [KEY=VALUE...]: as guest_config, then start it.
guest_create() {
    local cfg
    cfg=$(guest_config "$@") || return
    : >"$(guest_log "$1")"
    xl create -q "$cfg"
}

guest_log() { echo "/var/log/xen/console/guest-$1.log"; }

# guest_wait NAME PATTERN SECONDS [FROM-LINE]: wait for a line of its console
# that matches the extended regular expression, print it; 1 when it did not come.
guest_wait() {
    local fd pid line='' status=1 log
    log=$(guest_log "$1")
    exec {fd}< <(exec timeout "$3" tail -q -s 0.2 -n "+${4:-1}" -F "$log" 2>/dev/null)
    pid=$!
    while IFS= read -r -u "$fd" line; do
        if [[ $line =~ $2 ]]; then
            printf '%s\n' "${line%$'\r'}"
            status=0
            break
        fi
    done
    kill "$pid" 2>/dev/null
    exec {fd}<&-
    return $status
}

# guest_lines NAME: how many lines its console has, to wait for newer ones:
#   n=$(guest_lines web); guest_wait web tick 10 $((n + 1))
guest_lines() { wc -l <"$(guest_log "$1")"; }

# guest_destroy NAME...: also its thin volume.
guest_destroy() {
    local name
    for name in "$@"; do
        xl destroy "$name" 2>/dev/null
        [ ! -b "/dev/vg0/$name" ] || lvremove -qq -f "vg0/$name"
    done
}
