#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# What the commands print, for people and as JSON, byte for byte; and that
# nothing from a store can play with the terminal or break the JSON.
# shellcheck source=tests/fake/cli/cli.sh
. "$(dirname "$0")/../fake/cli/cli.sh"
requires python3
script <"$golden_dir/two.script"

prints() { # GOLDEN ARGS...
    local name=$1

    shift
    run "$@"
    exits 0
    silent "$tmp/err"
    golden "$name"
    run "$@" --json
    exits 0
    silent "$tmp/err"
    golden "$name.json"
}
prints checkpoint checkpoint web1
prints rollback rollback web1
prints fork fork --count 2 web1
prints list checkpoint-list
prints show checkpoint-show before-upgrade
prints show-disks checkpoint-show day1
prints delete checkpoint-delete a b
prints verify checkpoint-verify a
prints diff checkpoint-diff a b
prints mount checkpoint-mount day1 xvda /mnt
prints keep checkpoint-keep before-upgrade
prints prune checkpoint-prune --keep-last 1
prints import checkpoint-import /dev/zero
{
    sed 's/^mem_driver=.*/mem_driver=cow/; /^mem_why=/d' "$golden_dir/two.script" |
        sed '/^checkpoint=8a/,$d'
    printf 'capture.%s\n' ring_bytes=67108864 hypercalls=537 \
        pages_by_write=3200 pages_by_read=520276 copied_bytes=327155712 \
        waits=12 waits_us=41234
} | script
prints waited checkpoint web1
prints show-waited checkpoint-show before-upgrade
: | script
prints list-empty checkpoint-list
what='the golden files'
python3 -c 'import json, sys
for file in sys.argv[1:]:
    json.load(open(file, encoding="utf-8"))' "$golden_dir"/*.json.ok ||
    fail "$what are not all JSON"

# --help, one line after the other, fits a terminal
for word in checkpoint rollback fork checkpoint-list checkpoint-show \
    checkpoint-delete checkpoint-verify checkpoint-keep \
    checkpoint-prune checkpoint-export checkpoint-import checkpoint-keygen \
    checkpoint-diff checkpoint-mount checkpoint-umount; do
    run "$word" --help
    exits 0
    golden "help-$word"
    [ "$(wc -L <"$tmp/out")" -lt 80 ] || fail "$what is too wide"
done
run --help
golden help
[ "$(wc -L <"$tmp/out")" -lt 80 ] || fail "$what is too wide"

# sizes and times at their borders
for pair in '0:0 B' '1023:1023 B' '1024:1.0 KiB' '1536:1.5 KiB' \
    '1048575:1.0 MiB' '1047552:1023.0 KiB' '18446744073709551615:16.0 EiB'; do
    printf 'checkpoint=4f1c22a90b71de03\nstored_bytes=%s\n' "${pair%%:*}" |
        script
    run checkpoint-show 4f1c22a90b71de03
    has "Stored:        ${pair#*:} (" "$tmp/out"
done
for pair in '0:0.0 ms' '999999:999.9 ms' '1000000:1.00 s' '59999999:59.99 s' \
    '60000000:1:00 min' '3599999999:59:59 min' '3600000000:1:00 h' \
    '90061000000:25:01 h'; do
    printf 'checkpoint=4f1c22a90b71de03\ndurable_us=%s\n' "${pair%%:*}" |
        script
    run checkpoint-show 4f1c22a90b71de03
    has "Durable after: ${pair#*:}" "$tmp/out"
done
printf 'checkpoint=4f1c22a90b71de03\ncreated_unix_us=-1\n' | script
run checkpoint-show 4f1c22a90b71de03 --json
same '1969-12-31T23:59:59.999999Z' <(json "$tmp/out" \
    'd["checkpoint"]["created"]')
run checkpoint-show 4f1c22a90b71de03
has 'Created:       1969-12-31 23:59:59' "$tmp/out"

# escape sequences, newlines in disguise, what is no UTF-8
{
    printf 'checkpoint=4f1c22a90b71de03\nname=a\033[2Jb\rc\n'
    printf 'description=d\302\205e\377f\303\251 \360\237\230\200 "\\\n'
    printf 'mem_why=\177\007\nhas_memory=1\n'
} | script
for locale in C C.UTF-8; do
    for words in checkpoint-list 'checkpoint-list --tree' 'checkpoint web1' \
        'checkpoint-show 4f1c22a90b71de03'; do
        # shellcheck disable=SC2086
        LC_ALL=$locale run $words
        exits 0
        ! LC_ALL=C grep -q $'[\001-\011\013-\037\177]' "$tmp/out" ||
            fail "$what lets control characters pass"
        ! LC_ALL=C grep -q $'[\205\377]' "$tmp/out" ||
            fail "$what lets C1 characters or broken UTF-8 pass"
    done
done
LC_ALL=C.UTF-8 run checkpoint-show 4f1c22a90b71de03
has $'d?e?f\303\251 \360\237\230\200 "\\' "$tmp/out"
LC_ALL=C run checkpoint-show 4f1c22a90b71de03
has 'd?e?f?' "$tmp/out"
run checkpoint-show 4f1c22a90b71de03 --json
is_json "$tmp/out"
same "'d\\x85e\\ufffdf\\xe9 \\U0001f600 \"\\\\'" \
    <(json "$tmp/out" 'ascii(d["checkpoint"]["description"])')

# a name wider than its bytes keeps the table straight
printf 'checkpoint=4f1c22a90b71de03\nname=\303\251\303\251\346\227\245\346\227\245\n' |
    script
LC_ALL=C.UTF-8 run checkpoint-list
same 'NAME    DOMAIN' <(sed -n '1s/.*\(NAME *DOMAIN\).*/\1/p' "$tmp/out")
has $'\303\251\303\251\346\227\245\346\227\245  web1' "$tmp/out"

# logging goes to standard error only, and JSON stays alone on the other
script <"$golden_dir/two.script"
run checkpoint -vvv -T web1 --json
is_json "$tmp/out"
