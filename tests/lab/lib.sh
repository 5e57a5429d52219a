# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# What every script of the lab shares: messages, and the cache of pieces.
#
# A piece is a folder CACHE/NAME-KEY. KEY is the hash of everything the piece is
# made from, so a piece never has to be checked for age: a changed input has
# another name. A piece is made in a temporary folder beside its final place and
# renamed when whole, under a lock of its own, so two builders never meet and a
# half-made piece is never seen.

LAB_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034 # used by those who read this file
LAB_TOP=$(cd "$LAB_DIR/../.." && pwd)
if [ -z "${XEN_CKPT_LAB_CACHE:-}" ]; then
    if [ -n "${XDG_CACHE_HOME:-}" ]; then
        XEN_CKPT_LAB_CACHE=$XDG_CACHE_HOME/xen-ckpt-lab
    elif [ "$(id -u)" = 0 ]; then
        XEN_CKPT_LAB_CACHE=/var/cache/xen-ckpt-lab
    else
        XEN_CKPT_LAB_CACHE=$HOME/.cache/xen-ckpt-lab
    fi
fi
LAB_QEMU=${LAB_QEMU:-}
export XEN_CKPT_LAB_CACHE LAB_QEMU

# Our own failures, apart from those of the command that was run (see README.md).
LAB_EX_SETUP=125

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$*"; exit "$LAB_EX_SETUP"; }

# hash_of FILE-OR-WORD...: one short key for all of them, in this order. A file
# counts by name and content, so a moved script gives a new key too.
hash_of() {
    local a
    for a in "$@"; do
        if [ -f "$a" ]; then
            printf 'file %s ' "${a##*/}"
            sha256sum <"$a"
        else
            printf 'word %s\n' "$a"
        fi
    done | sha256sum | cut -c1-16
}

# list_of FILE: the entries of a list file, without comments and empty lines.
list_of() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$1"; }

# versions_of PACKAGE...: "package version" as apt would install it today.
versions_of() {
    apt-cache policy "$@" | awk '
        /^[^ ]/ { p = $1 } $1 == "Candidate:" { print p, $2 }'
}

# piece NAME KEY BUILDER [ARG...]: sets PIECE to the folder of this piece,
# after running "BUILDER OUTDIR ARG..." when the cache does not have it yet.
piece() {
    local name=$1 key=$2 tmp lock
    shift 2
    PIECE=$XEN_CKPT_LAB_CACHE/$name-$key
    [ -d "$PIECE" ] && { touch -c "$PIECE"; return 0; }
    mkdir -p "$XEN_CKPT_LAB_CACHE"
    exec {lock}>"$XEN_CKPT_LAB_CACHE/.lock.$name-$key"
    if ! flock -n "$lock"; then
        say "waiting for another builder of $name"
        flock "$lock"
    fi
    if [ ! -d "$PIECE" ]; then
        say "making $name ($key)"
        # Left over from a builder that was killed; we hold its lock.
        rm -rf --one-file-system "$XEN_CKPT_LAB_CACHE/.tmp.$name-$key".*
        tmp=$(mktemp -d "$XEN_CKPT_LAB_CACHE/.tmp.$name-$key.XXXXXX")
        if ! "$@" "$tmp" {lock}>&-; then
            rm -rf --one-file-system "$tmp"
            die "making $name failed"
        fi
        chmod 755 "$tmp"
        sync -f "$tmp"
        mv -T "$tmp" "$PIECE"
        forget_unused 10080
    fi
    exec {lock}>&-
}

# forget_unused MINUTES: delete the pieces that nobody asked for in that time.
forget_unused() {
    [ -d "$XEN_CKPT_LAB_CACHE" ] || return 0
    find "$XEN_CKPT_LAB_CACHE" -mindepth 1 -maxdepth 1 -type d -mmin "+$1" -print0 |
        xargs -r0 rm -rf --one-file-system
}
