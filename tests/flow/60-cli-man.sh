#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The manual pages, --help, completion and JSON tell of the same things.
# shellcheck source=tests/fake/cli/cli.sh
. "$(dirname "$0")/../fake/cli/cli.sh"
requires podchecker pod2text python3
script <"$golden_dir/two.script"
man=$top/docs/man
commands=$("$bin/xl-ckpt" --complete commands)

podchecker -warnings -warnings "$man"/xl-*.pod "$man"/xen-ckpt.7.pod \
    >"$tmp/out" 2>&1
what=podchecker
! grep -v 'pod syntax OK' "$tmp/out" >&2 || fail "$what has something to say"

# "-n, --name=NAME" of each option, sorted
options_of_help() { # COMMAND
    "$bin/xl-ckpt" "$1" --help |
        sed -nE '/^-/{s/  .*//; s/^(-.) [A-Z]+,/\1,/; p}' | sort
}
options_of_page() {
    sed -nE '/^=head1 OPTIONS/,/^=head1 [^O]/s/^=item (B<-.*)/\1/p' \
        "$man/xl-$1.1.pod" |
        sed -E 's/[BI]<([^>]*)>/\1/g; s/^(-.) [A-Z]+,/\1,/' | sort
}
for command in $commands; do
    what="xl $command"
    [ -f "$man/xl-$command.1.pod" ] || fail "$what has no manual page"
    options_of_help "$command" >"$tmp/help"
    options_of_page "$command" >"$tmp/page"
    [ "$(wc -l <"$tmp/help")" -ge 8 ] || fail "$what: --help is not understood"
    diff -u "$tmp/help" "$tmp/page" || fail "$what: --help (-) and page (+) differ"
    grep -q "^xl-$command - " "$man/xl-$command.1.pod" ||
        fail "$what: the page has another name"
    # the arguments, from "Usage: xl [-vtT] NAME [options] ..."
    usage=$("$bin/xl-ckpt" "$command" --help | sed -nE \
        's/^Usage: xl \[-vtT\] //p' | tr '[:upper:]' '[:lower:]' | tr -d '<>')
    synopsis=$(sed -nE '/^=head1 SYNOPSIS/,/^=head1 D/s/^B<xl (.*)/\1/p' \
        "$man/xl-$command.1.pod" | sed -E 's/I<([^>]*)>/\1/g; s/>//')
    [ "$usage" = "$synopsis" ] ||
        fail "$what: usage '$usage' and synopsis '$synopsis' differ"
done
for page in "$man"/xl-*.1.pod; do
    command=${page##*/xl-}
    grep -qx "${command%.1.pod}" <<<"$commands" ||
        fail "${page##*/} is of no command"
done
for page in "$man"/*.pod; do
    grep -oE 'L<[^>]+>' "$page" | sed -E 's/L<(.*)\((.)\)>/\1.\2/' |
        while read -r other; do
            [ "$other" = xl.1 ] || [ -f "$man/$other.pod" ] ||
                fail "${page##*/} refers to $other, which is not there"
        done || exit
done

# exit codes: one table, and pages that speak of it truly
"$bin/xl-ckpt" --help | sed '1,/^Exit status/d' | grep . >"$tmp/help"
sed -n '/^=head1 EXIT STATUS/,/^=head1 JSON/p' "$man/xen-ckpt.7.pod" |
    grep '^ ' >"$tmp/page"
what='exit codes'
diff -u "$tmp/help" "$tmp/page" || fail "--help (-) and xen-ckpt(7) (+) differ"
for page in "$man"/xl-*.pod; do
    sed -n '/^=head1 EXIT STATUS/,/^=head1 SEE/p' "$page" |
        grep -oE '\b[0-9]+ (on|when)\b' | while read -r number _; do
        grep -qE "^ *$number " "$tmp/help" ||
            fail "${page##*/} has an exit status $number of its own"
    done || exit
done

# every field of the JSON is told
run checkpoint-show day1 --json
json "$tmp/out" '"\n".join(list(d["checkpoint"]) +
    list(d["checkpoint"]["disks"][0]))' | while read -r field; do
    grep -q "C<$field>" "$man/xl-checkpoint-show.1.pod" ||
        fail "xl-checkpoint-show(1) does not tell of $field"
done || exit
# and is named as in the header
sed -n '/^struct ckpt_disk {/,/^};/p; /^struct ckpt_info {/,/^};/p' \
    libckpt/ckpt.h | sed -nE 's/^    [^;]*[ *]([a-z_]+)(\[[^;]*\])?;.*/\1/p' |
    grep -v nr_disks | sort >"$tmp/header"
json "$tmp/out" '"\n".join(set(list(d["checkpoint"]) +
    list(d["checkpoint"]["disks"][0])) - {"created"})' | sort >"$tmp/fields"
diff -u "$tmp/header" "$tmp/fields" ||
    fail "ckpt.h (-) and the JSON (+) have other fields"

# so for what is within
sed -n '/^struct ckpt_capture {/,/^};/p' libckpt/ckpt.h |
    sed -nE 's/^    uint64_t ([a-z_]+);.*/\1/p' | while read -r field; do
    grep -q "C<$field>" "$man/xl-checkpoint-show.1.pod" ||
        fail "xl-checkpoint-show(1) does not tell of $field"
    grep -q "\"$field\"" xl-plugin/json_ckpt.c || fail "no $field in the JSON"
done || exit

# every driver, every level of consistency
{
    sed -nE 's/^ *\.name = "([a-z]+)".*/\1/p' libckpt/mem_*.c libckpt/disk_*.c
    grep -oE '"(crash|io-drained|guest-suspended|fs-frozen)"' libckpt/ckpt.h |
        tr -d '"'
} 2>/dev/null | sort -u | while read -r word; do
    grep -q "^=item C<$word>" "$man/xen-ckpt.7.pod" ||
        fail "xen-ckpt(7) does not tell of $word"
done || exit

# completion knows which options take a value
for name in $commands; do
    "$bin/xl-ckpt" "$name" --help | sed -nE \
        's/^-(.) [A-Z]+, --([a-z-]+)=.*/-\1\n--\2/p; s/^--([a-z-]+)=.*/--\1/p'
done | sort -u >"$tmp/help"
[ "$(wc -l <"$tmp/help")" -ge 7 ] || fail "no options with a value?"
(
    # shellcheck source=xl-plugin/completion.bash
    . "$top/xl-plugin/completion.bash"
    for name in $commands; do
        "$bin/xl-ckpt" --complete options "$name"
    done | sort -u | while read -r option; do
        ! _xl_ckpt_takes_value "$option" || printf '%s\n' "$option"
    done
) >"$tmp/completion"
diff -u "$tmp/help" "$tmp/completion" ||
    fail "--help (-) and completion.bash (+) differ"

# nothing that is promised is for internal use only
for name in XL_REAL XENCKPT_LIBEXEC; do
    grep -q "$name" xl-plugin/xl.in || fail "$name is not the front's"
done
