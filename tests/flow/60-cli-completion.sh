#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# What Tab offers after each beginning, and that Xen's own completion is still
# asked for all that is not ours, whichever of the two was read first.
# shellcheck source=tests/fake/cli/cli.sh
. "$(dirname "$0")/../fake/cli/cli.sh"

{
    cat "$golden_dir/two.script"
    printf 'checkpoint=9b00000000000001\nname=day1\ndomain_name=db\n'
    printf 'domain_uuid=2\n'
    printf 'checkpoint=9b00000000000002\nname=a;b x\ndomain_name=db\n'
    printf 'domain_uuid=2\n'
} | script
export CKPT_FAKE_NAMES=$'web1\nweb2\ndb\nodd name\n`x`'
export PATH=$bin:$PATH

# In place of Xen's file.
cat >"$tmp/xens" <<'X'
_xl()
{
    local IFS=$'\n,'

    COMPREPLY=()
    if [[ $COMP_CWORD == 1 ]]; then
        COMPREPLY=($(compgen -W 'list ,create ,' -- "${COMP_WORDS[1]}"))
    elif [[ ${COMP_WORDS[1]} != -* ]]; then
        COMPREPLY=(xens)
    fi
}
complete -F _xl -o nospace -o default xl xen
X
export XL_COMPLETION=$tmp/xens

# offers 'A|B' WORD...: the last WORD is being typed
offers() {
    local wanted=$1 function

    COMP_WORDS=("${@:2}")
    COMP_CWORD=$(($# - 2))
    what="Tab after: ${*:2}"
    COMPREPLY=()
    function=$(complete -p "${COMP_WORDS[0]}" | sed 's/.* -F \([^ ]*\).*/\1/')
    "$function" "${COMP_WORDS[0]}" "${COMP_WORDS[-1]}" x 2>"$tmp/err"
    printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"} | sort -u >"$tmp/out"
    same "$(tr '|' '\n' <<<"$wanted" | sort -u)" "$tmp/out"
    silent "$tmp/err"
}

all_offers() {
    offers 'web1|web2|db' xl checkpoint ''
    offers 'web1|web2' xl -v -tT checkpoint we
    offers 'web1|web2' xl checkpoint -p --timeout 5 we
    offers 'web1|web2' xl checkpoint --timeout = 5 -n x we
    offers '' xl checkpoint web1 ''
    offers '' xl checkpoint -n ''
    offers '' xl checkpoint --description ''
    offers '' xl checkpoint --exclude-disk = xv
    offers 'wait|give-up' xl checkpoint --when-full ''
    offers 'give-up' xl checkpoint --when-full = g
    offers '' xl checkpoint --ring ''
    offers 'web1|web2|db' xl rollback ''
    offers "$("$bin/xl-ckpt" --complete options rollback)" xl rollback -
    offers '--destroy-first' xl rollback web1 --d
    offers '4f1c22a90b71de03|web1/before-upgrade|before-upgrade|day1|'\
'8a00000000000001|web1/day1' xl rollback web1 ''
    offers 'web1/before-upgrade|web1/day1' xl rollback 12 web1/
    offers 'before-upgrade' xl rollback --store dir:/x web1 be
    has 'open store=dir:/x' "$calls"
    offers '' xl rollback web1 day1 ''
    offers 'web1|web2|web1/before-upgrade|web1/day1' xl fork we
    offers 'web1|db' xl checkpoint-list ''
    offers '--tree' xl checkpoint-list --tr
    offers '9b00000000000001|9b00000000000002' xl checkpoint-show 9b
    offers '' xl checkpoint-show a ''
    offers 'before-upgrade' xl checkpoint-delete a b be
    offers 'db/day1' xl checkpoint-verify db
    offers 'db/day1' xl checkpoint-diff web1/day1 db
    offers 'db/day1' xl checkpoint-mount db
    offers 'archive' xl checkpoint-export --format a
    offers 'sign|shared' xl checkpoint-keygen --kind = s
    # ours beside Xen's, with the blank that those have
    offers 'list |create |checkpoint |rollback |fork |checkpoint-list |'\
'checkpoint-show |checkpoint-delete |checkpoint-verify |checkpoint-diff |checkpoint-mount |checkpoint-umount |checkpoint-keep |checkpoint-prune |checkpoint-export |checkpoint-import |checkpoint-keygen ' xl ''
    offers 'fork ' xl fo
    offers 'checkpoint-delete ' xl -v checkpoint-de
    # not ours
    offers 'xens' xl list ''
    offers 'xens' xl create checkpoint ''
    # the program itself
    offers 'web1|web2' xl-ckpt checkpoint we
    offers 'rollback ' xl-ckpt ro
}

# In a shell of its own: what is read at its start, in this order.
in_a_shell() ( # FILE...
    local file

    for file; do
        # shellcheck source=/dev/null
        . "$file"
    done
    what="the shell after $*"
    : >"$calls"
    offers 'xens' xl list ''
    offers 'web1|web2' xl checkpoint we
    [[ $(complete -p xl) == *' _xl_ckpt '* ]] || fail "$what: xl is not ours"
)

ours=$top/xl-plugin/completion.bash eager=$tmp/eager
sed "s|@COMPLETION@|$ours|" "$top/xl-plugin/completion.eager.in" >"$eager"
{
    cat "$eager"
    echo 'complete -F _xl_ckpt xl-ckpt'
} >"$tmp/eager2"
in_a_shell "$ours" || exit
# shellcheck source=/dev/null
(. "$ours" && all_offers) || exit
in_a_shell "$tmp/xens" "$ours" || exit
in_a_shell "$tmp/eager2" || exit
in_a_shell "$tmp/xens" "$tmp/eager2" || exit
sed 's|@COMPLETION@|/nonexistent|' "$top/xl-plugin/completion.eager.in" \
    >"$tmp/gone"
(
    # shellcheck source=/dev/null
    . "$tmp/gone"
    ! _xl_ckpt_load xl '' xl 2>"$tmp/err" || fail "the loader succeeds without what it loads"
) || exit

# --complete is quiet when there is nothing to say
rm "$CKPT_FAKE"
unset CKPT_FAKE_NAMES
run --complete domains
silent "$tmp/out" "$tmp/err"
echo 'list=-5 words' | script
for words in 'stored' 'checkpoints' 'checkpoints web1' 'options nonsense' \
    'nonsense' ''; do
    # shellcheck disable=SC2086
    run --complete $words
    silent "$tmp/out" "$tmp/err"
done
