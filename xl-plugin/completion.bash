# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# bash completion for xl: our commands, their options, domains, checkpoints.
#
# Xen brings a completion for xl as well, read either when the shell starts
# (/etc/bash_completion.d/xl) or at the first Tab (.../completions/xl).  Both
# would say `complete ... xl` after us or instead of us.  So the few lines of
# completion.eager go to /etc/bash_completion.d/xl-ckpt: it sorts behind xl, so
# it has the last word when the shell starts; and once xl has a completion,
# none is looked for at the first Tab.  They read this file at that first Tab.
# For every word that is not ours Xen's function is asked, found when needed.

# The candidates for the word at hand, from xl-ckpt itself.
_xl_ckpt_ask()
{
    local program

    program=$(type -P xl-ckpt) && "$program" --complete "$@" 2>/dev/null
}

# Candidates on standard input; those that begin with $1 are offered, with $2
# behind each.
_xl_ckpt_offer()
{
    local word

    while IFS= read -r word; do
        [[ $word == "$1"* ]] && COMPREPLY+=("$word${2-}")
    done
}

# Xen's own completion.
_xl_ckpt_chain()
{
    local file

    [[ ${COMP_WORDS[0]##*/} == xl ]] || return
    if ! declare -F _xl >/dev/null; then
        for file in ${XL_COMPLETION:+"$XL_COMPLETION"} \
            /usr/share/bash-completion/completions/xl \
            /etc/bash_completion.d/xl; do
            # shellcheck source=/dev/null
            [[ -r $file ]] && . "$file" && break
        done
        complete -o default -F _xl_ckpt xl # it had the last word
    fi
    declare -F _xl >/dev/null || return
    compopt -o nospace 2>/dev/null
    _xl "$@"
}

# Is it an option that takes a value?  An error of this list is harmless: the
# next word is then taken for an argument.
_xl_ckpt_takes_value()
{
    case $1 in
    --store | --name | --group | --description | --exclude-disk | --timeout | \
        --ring | --when-full | --count | --keep-last | --keep-within | --sample | --tag | --format | --disk | \
        --encrypt-to | --sign-with | --decrypt-with | --signed-by | --kind) ;;
    -n) [[ $command != checkpoint-prune ]] ;;
    *) return 1 ;;
    esac
}

# Sets command, and args: the words after it that are no options.
_xl_ckpt_parse()
{
    local i word

    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -z $command ]]; then
            [[ $word == -* ]] || command=$word
        elif _xl_ckpt_takes_value "$word"; then
            # bash splits at "="
            [[ ${COMP_WORDS[i + 1]} == '=' ]] && ((++i))
            ((++i))
            [[ $word != --store ]] || store=(--store "${COMP_WORDS[i]}")
        elif [[ $word != -* ]]; then
            args+=("$word")
        fi
    done
}

_xl_ckpt_checkpoints()
{
    local found

    # a domain given by its id has no name to look for: offer them all
    found=$(_xl_ckpt_ask checkpoints ${1:+"$1"} "${store[@]}")
    [[ $found ]] || found=$(_xl_ckpt_ask checkpoints "${store[@]}")
    _xl_ckpt_offer "$cur" <<<"$found"
}

_xl_ckpt_ours()
{
    compopt +o default 2>/dev/null # no file names in place of domains
    if [[ $prev == --when-full || $prev$before == =--when-full ]]; then
        _xl_ckpt_offer "$cur" < <(printf 'wait\ngive-up\n')
        return
    fi
    case $prev:$before in
    --format:* | =:--format)
        _xl_ckpt_offer "$cur" < <(printf 'xl\nvmcore\narchive\n')
        return
        ;;
    --kind:* | =:--kind)
        _xl_ckpt_offer "$cur" < <(printf 'read\nsign\nshared\n')
        return
        ;;
    --encrypt-to:* | --sign-with:* | --decrypt-with:* | --signed-by:* | \
        =:--encrypt-to | =:--sign-with | =:--decrypt-with | =:--signed-by)
        compopt -o default 2>/dev/null # files of keys
        return
        ;;
    esac
    [[ $prev != '=' ]] && ! _xl_ckpt_takes_value "$prev" || return
    case $command:${#args[@]}:$cur in
    *:*:-*)
        _xl_ckpt_offer "$cur" < <(_xl_ckpt_ask options "$command")
        ;;
    checkpoint:0:* | rollback:0:*)
        _xl_ckpt_offer "$cur" < <(_xl_ckpt_ask domains)
        ;;
    rollback:1:*)
        _xl_ckpt_checkpoints "${args[0]}"
        ;;
    fork:0:*)
        _xl_ckpt_offer "$cur" < <(_xl_ckpt_ask domains)
        _xl_ckpt_checkpoints
        ;;
    checkpoint-list:0:*)
        _xl_ckpt_offer "$cur" < <(_xl_ckpt_ask stored "${store[@]}")
        ;;
    checkpoint-prune:0:*)
        _xl_ckpt_offer "$cur" < <(_xl_ckpt_ask stored "${store[@]}")
        ;;
    checkpoint-show:0:* | checkpoint-keep:0:* | checkpoint-export:0:* | \
        checkpoint-mount:0:* | checkpoint-delete:* | checkpoint-verify:* | \
        checkpoint-diff:[01]:*)
        _xl_ckpt_checkpoints
        ;;
    checkpoint-mount:[12]:* | checkpoint-umount:0:*)
        compopt -o dirnames 2>/dev/null
        ;;
    esac
}

_xl_ckpt()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local before=${COMP_WORDS[COMP_CWORD > 1 ? COMP_CWORD - 2 : 0]}
    local command='' args=() store=()

    COMPREPLY=()
    _xl_ckpt_parse
    case $command in
    checkpoint | rollback | fork | checkpoint-*)
        _xl_ckpt_ours
        return
        ;;
    esac
    _xl_ckpt_chain "$@"
    if [[ -z $command ]]; then
        # Xen's words come with a blank of their own; so must ours then
        compopt -o nospace 2>/dev/null
        _xl_ckpt_offer "$cur" ' ' < <(_xl_ckpt_ask commands)
    fi
}

complete -o default -F _xl_ckpt xl xl-ckpt
