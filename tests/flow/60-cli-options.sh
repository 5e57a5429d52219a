#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# What is typed reaches the library as it was meant; what was mistyped is
# refused before the library hears of it.
# shellcheck source=tests/fake/cli/cli.sh
. "$(dirname "$0")/../fake/cli/cli.sh"
script <"$golden_dir/two.script"

# command line -> the call
means() { # CALL ARGS...
    local call=$1

    shift
    run "$@"
    exits 0
    called "$call"
}
take='take domain=web1'
none='name=(none) description=(none) exclude='
means "$take $none flags=0 timeout_ms=0" checkpoint web1
means "take domain=7 $none flags=0 timeout_ms=0" checkpoint 7
means "$take name=x description=a  b exclude= flags=0 timeout_ms=0" \
    checkpoint -n x --description 'a  b' web1
means "$take name=y description=(none) exclude= flags=0 timeout_ms=0" \
    checkpoint web1 --name=y
means "$take name=-n description=(none) exclude= flags=0 timeout_ms=0" \
    checkpoint web1 --name -n
means "$take $none flags=1 timeout_ms=0" checkpoint --disk-only web1
means "$take $none flags=2 timeout_ms=0" checkpoint --paused web1
means "$take $none flags=4 timeout_ms=0" checkpoint --quiesce web1
means "$take $none flags=8 timeout_ms=0" checkpoint --no-track web1
means "$take $none flags=2 timeout_ms=0" checkpoint -p web1
means "$take name=(none) description=(none) exclude=xvdb,xvdc, flags=1 \
timeout_ms=0" checkpoint --exclude-disk xvdb web1 --disk-only \
    --exclude-disk=xvdc
means "$take $none flags=0 timeout_ms=90000" checkpoint --timeout 90 web1
means "$take $none flags=0 timeout_ms=2500" checkpoint --timeout 2.5 web1
means "$take $none flags=0 timeout_ms=125" checkpoint --timeout=0.125 web1
means "$take $none flags=0 timeout_ms=0 ring_mib=1024" \
    checkpoint --ring 1024 --when-full wait web1
means "$take $none flags=0 timeout_ms=0 give-up" \
    checkpoint web1 --when-full=give-up
means 'group name=trio count=3' checkpoint --group trio web1 db 7
means "take domain=7 $none flags=1 timeout_ms=0" \
    checkpoint --group trio --disk-only web1 db 7
means "take domain=-odd $none flags=0 timeout_ms=0" checkpoint -- -odd
means 'rollback domain=web1 checkpoint=(latest) flags=0' rollback web1
means 'rollback domain=web1 checkpoint=day1 flags=0' rollback web1 day1
means 'rollback domain=web1 checkpoint=day1 flags=1' rollback -p web1 day1
means 'rollback domain=web1 checkpoint=(latest) flags=2' \
    rollback web1 --destroy-first
means 'fork source=web1 name=(none) count=0 flags=0 timeout_ms=0' fork web1
means 'fork source=web1/day1 name=w count=2 flags=1 timeout_ms=1000' \
    fork -n w --count 2 --paused --timeout 1 web1/day1
means 'fork source=web1 name=(none) count=256 flags=0 timeout_ms=0' \
    fork web1 --count=256
means 'list domain=(all)' checkpoint-list
means 'list domain=web1' checkpoint-list web1
means 'find checkpoint=day1' checkpoint-show day1
means 'delete checkpoint=b' checkpoint-delete a b
means 'verify checkpoint=a' checkpoint-verify a b
means 'diff from=a to=b' checkpoint-diff a b
means 'mount checkpoint=a vdev=xvda1 dir=/mnt' checkpoint-mount a xvda1 /mnt
means 'mount checkpoint=a vdev=(only) dir=/mnt' checkpoint-mount a /mnt
means 'unmount dir=/mnt' checkpoint-umount /mnt
means 'verify checkpoint=a percent=7' checkpoint-verify --sample 7 a
means 'keep checkpoint=day1 keep=1' checkpoint-keep day1
means 'keep checkpoint=day1 keep=0' checkpoint-keep --off day1
means 'tag checkpoint=day1 tag=x add=1' checkpoint-keep --tag x day1
means 'tag checkpoint=day1 tag=y add=0' checkpoint-keep --tag x --tag=y --off day1
means 'prune domain=(all) keep_last=0 keep_within_s=0 flags=0' checkpoint-prune
means 'prune domain=(all) keep_last=0 keep_within_s=0 flags=2' checkpoint-prune --compress
means 'prune domain=web1 keep_last=3 keep_within_s=129600 flags=1' \
    checkpoint-prune --keep-last 3 --keep-within=36h -n web1

# the store, on each command
for words in 'checkpoint web1' 'rollback web1' 'fork web1' checkpoint-list \
    'checkpoint-show day1' 'checkpoint-delete day1' 'checkpoint-verify day1'; do
    # shellcheck disable=SC2086
    means 'open store=(default)' $words
    # shellcheck disable=SC2086
    means 'open store=dir:/srv/a b' $words --store 'dir:/srv/a b'
done

# by the name it is called
: >"$calls"
"$bin/xl-checkpoint-show" day1 >"$tmp/out" || fail "xl-checkpoint-show"
has 'find checkpoint=day1' "$calls"

# refused, with a reason, and without a word to the library
refused() { # REASON ARGS...
    local reason=$1

    shift
    run "$@"
    exits 2
    has "$reason" "$tmp/err"
    silent "$tmp/out" "$calls"
    [ "$(wc -l <"$tmp/err")" -eq 1 ] || fail "$what: more than one line"
}
refused 'at least 1 argument' checkpoint
refused 'at least 1 argument' rollback --paused
refused "too many arguments at 'b'" checkpoint a b
refused "too many arguments at 'c'" rollback a b c
refused 'unknown option --nme=x' checkpoint --nme=x web1
refused 'unknown option -z' checkpoint -z web1
refused 'unknown option -z' checkpoint -pz web1
refused '--name needs a value' checkpoint web1 --name
refused '-n needs a value' checkpoint web1 -n
refused '--paused takes no value' checkpoint --paused=yes web1
refused 'unknown option --tree' rollback --tree web1
refused 'unknown option --count' checkpoint --count 2 web1
for seconds in 0 0.0 -1 1e3 ' 5' 5s '' . .5 5. 1.2345 99999999999 4294967; do
    refused '--timeout takes seconds above 0' checkpoint \
        --timeout "$seconds" web1
done
for mib in 0 -1 1025 64M 1.5 '' 99999999999999999999; do
    refused '--ring takes MiB from 1 to 1024' checkpoint --ring "$mib" web1
done
for action in '' Wait give-u 'give-up ' no; do
    refused '--when-full is wait or give-up' checkpoint \
        --when-full "$action" web1
done
for count in 0 -1 257 99999999999999999999 2x '' +2; do
    refused '--count takes a number from 1 to 256' fork --count "$count" web1
done

run nonsense
exits 2
run
exits 2
run --help
exits 0
run --version
exits 0
same 'xl-ckpt 0.1.0' "$tmp/out"
run checkpoint --version
same 'xl-ckpt 0.1.0' "$tmp/out"
run help fork
mv "$tmp/out" "$tmp/help"
run fork --help
cmp "$tmp/help" "$tmp/out" || fail "help fork is not fork --help"

# -q: what a script wants to have, and nothing else
run checkpoint -q web1
same 4f1c22a90b71de03 "$tmp/out"
run fork -q --count 2 web1
same $'web1\nweb1-fork-2' "$tmp/out"
run checkpoint-list -q
same $'4f1c22a90b71de03\n8a00000000000001' "$tmp/out"
for words in 'rollback web1' 'checkpoint-delete a' 'checkpoint-verify a'; do
    # shellcheck disable=SC2086
    run $words -q
    exits 0
    silent "$tmp/out" "$tmp/err"
done
