#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The rules of CODING_STYLE that a script can check.  Prints every breach as
# FILE:LINE: what, then how many; exits 1 when there was one.
set -u
cd "$(dirname "$0")/.." || exit 99

breaches=$(mktemp) || exit 99
trap 'rm -f "$breaches"' EXIT

# say WHAT: each line of standard input, FILE:LINE:..., is a breach.
say() {
    sed "s|\$|   <- $1|" | tee -a "$breaches"
}

# Ours in git's eyes: tracked, or new and not ignored.  In a tarball: all.
list_files() {
    git ls-files -co --exclude-standard 2>/dev/null | grep . ||
        find . -path './build*' -prune -o -type f -printf '%P\n'
}
mapfile -t files < <(list_files | sort -u |
    while read -r f; do [ -f "$f" ] && [ ! -L "$f" ] && echo "$f"; done)
pick() { # REGEX
    printf '%s\n' "${files[@]}" | grep -E "$1"
}
mapfile -t c_files < <(pick '\.[ch]$')
mapfile -t product < <(pick '^(libckpt|ckptd|xl-plugin|guest)/.*\.[ch]$')
mapfile -t shell < <(grep -lE '^#!.*[/ ](ba)?sh$' "${files[@]}")
mapfile -t texts < <(pick '.' | grep -vE '\.(patch|ok|in)$|^COPYING')
mapfile -t makefiles < <(pick '(^|/)Makefile$|\.mk$')

# /dev/null keeps grep reading files when a list is empty.
find_in() { # REGEX FILE...
    local regex=$1
    shift
    grep -HnIE -- "$regex" /dev/null "$@"
}

awk '
function flush() {
    max = 600
    if (file ~ /\.h$/ && file !~ /^tests\//)
        max = file == "libckpt/ckpt.h" ? 500 : 120
    if (last > max)
        print file ":" last ": more than " max " lines"
}
FNR == 1 { flush(); file = FILENAME; begin = 0 }
{ last = FNR }
/^\{$/ { begin = FNR }
/^\}/ && begin {
    if (FNR - begin - 1 > 60)
        print file ":" begin ": a function of " FNR - begin - 1 " lines"
    begin = 0
}
END { flush() }' "${c_files[@]}" | say "two jobs? split it by job"

for f in "${c_files[@]}" "${shell[@]}" "${makefiles[@]}"; do
    head -n 3 "$f" | grep -q 'SPDX-License-Identifier: ' || echo "$f:1:"
done | say "no SPDX line"

find_in '\<(XX''X|FIX''ME)\>' "${texts[@]}" | say "unfinished"
find_in '[[:space:]]+$' "${texts[@]}" | say "space at the end of a line"
find_in $'\t' "${c_files[@]}" | say "a tab in C"
find_in '\<(system|popen) *\(' "${product[@]}" | say "use spawn_run"

# A source that is not in its folder's list is not built.
for f in "${product[@]}"; do
    case $f in *.h) continue ;; esac
    name=${f##*/}
    grep -qE "(^|[[:space:],/_])(${name#xen_}|$name)\\>" "${f%%/*}/build.mk" ||
        echo "$f:1:"
done | say "not listed in build.mk"

# The border to Xen.  The logger's header alone keeps its ABI: any .c may.
mapfile -t outside < <(pick \
    '^(libckpt|ckptd|xl-plugin|guest|tests/(unit|conform|fake|fuzz))/.*\.[ch]$' |
    grep -vE '^(libckpt|ckptd|xl-plugin|guest)/xen_([a-z_]*\.c|private\.h)$' |
    grep -vE '^tests/unit/t_xen_[a-z_]*\.c$')
find_in '^# *include <(xen|libxl|_?libxl)' "${outside[@]}" |
    grep -vE '^[^:]*\.c:[0-9]+:#include <xentoollog.h>' |
    say "only libckpt/xen_*.c include Xen headers"
find_in '^# *include "xen_private' "${outside[@]}" |
    say "xen_private.h is for libckpt/xen_*.c"

mapfile -t tests < <(pick '^tests/.*\.([ch]|sh)$' | grep -v '^tests/lab/')
# A test that sleeps is slow, or fails on a slow machine; often both.
awk '
/lint: sleep ok: ./ { ok = FNR + 1; okfile = FILENAME; next }
FILENAME == okfile && FNR == ok { next }
FILENAME ~ /\.[ch]$/ && /(^|[^a-z_])(u|nano)?sleep *\(/ ||
FILENAME !~ /\.[ch]$/ && /(^|[;&|({]|then|do|else)[[:space:]]*sleep[[:space:]]/ {
    print FILENAME ":" FNR ": " $0
}' "${tests[@]}" /dev/null | say "wait for the event, or say: lint: sleep ok: REASON"

# It takes longer than all the rest: a script that has passed is looked at again
# when it has changed, or one that is there for others to source.
passed=${B:-build}/shellcheck
export passed
shellcheck_one() { # KEY FILE
    shellcheck -x -P SCRIPTDIR:. -e SC2187,SC2317 -f gcc "$2" && touch "$passed/$1"
}
export -f shellcheck_one
if ! command -v shellcheck >/dev/null; then
    echo "lint: shellcheck is not installed, scripts are not checked" >&2
elif mkdir -p "$passed"; then
    shared=$({ shellcheck --version; pick '\.sh$' | while read -r f; do
        [ -x "$f" ] || cat "$f"
    done; } | sha256sum)
    for f in "${shell[@]}"; do
        key=$({ echo "$shared $f" && cat "$f"; } | sha256sum)
        [ -e "$passed/${key%% *}" ] || echo "${key%% *} $f"
    done | xargs -r -P "$(nproc)" -L 1 bash -c 'shellcheck_one "$@"' _ | say "shellcheck"
    find "$passed" -type f -mtime +30 -delete
fi

header_names=$(sed -n '/^CKPT_API/,/[;(]/p' libckpt/ckpt.h |
    grep -oE '\<ckpt_[a-z_]+\(' | tr -d '(' | sort)
map_names=$(grep -oE '\<ckpt_[a-z_]+;' libckpt/libckpt.map | tr -d ';' | sort)
diff <(echo "$header_names") <(echo "$map_names") | grep '^[<>]' |
    sed 's|^|libckpt/libckpt.map: |' | say "ckpt.h (<) and the map (>) differ"

# Not while a make above us hands down its own flags.
env -u MAKEFLAGS -u MFLAGS make -nB all install uninstall docs help \
    show-config 2>&1 >/dev/null | grep -E 'undefined variable|\*\*\*' |
    say "make"

count=$(wc -l <"$breaches")
[ "$count" -eq 0 ] || echo "lint: $count breaches"
[ "$count" -eq 0 ]
