#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# apply.sh XEN-SOURCE: applies the series to an unpacked Xen source tree.
# A git tree of its own gets one commit per patch, any other tree is patched
# in place.  Either the whole series fits, or nothing is changed.
set -eu -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [ $# -ne 1 ] || [ ! -f "$1/xen/Makefile" ]; then
    echo "usage: apply.sh XEN-SOURCE    (a folder that holds xen/Makefile)" >&2
    exit 2
fi
tree=$(cd "$1" && pwd)

mapfile -t names < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$here/series")
if [ ${#names[@]} -eq 0 ]; then
    echo "apply: the series is empty, $tree stays as it is"
    exit 0
fi
patches=("${names[@]/#/$here/}")

# The rehearsal, on a copy of the files that the series touches.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
sed -n -e 's|^+++ b/\([^[:space:]]*\).*|\1|p' \
    -e 's|^--- a/\([^[:space:]]*\).*|\1|p' "${patches[@]}" | sort -u |
    while read -r file; do
        [ ! -f "$tree/$file" ] || (cd "$tree" && cp --parents -p "$file" "$copy")
    done
for name in "${names[@]}"; do
    if ! patch -d "$copy" -p1 -s -f -F 0 -r - <"$here/$name" >"$copy.said"; then
        echo "apply: $name does not fit (or is there already):" >&2
        cat "$copy.said" >&2
        echo "apply: nothing was changed in $tree" >&2
        rm -f "$copy.said"
        exit 1
    fi
    rm -f "$copy.said"
done

if [ "$(git -C "$tree" rev-parse --show-toplevel 2>/dev/null)" = "$tree" ]; then
    if ! git -C "$tree" am -q "${patches[@]}"; then
        git -C "$tree" am --abort
        echo "apply: git am failed, nothing was changed in $tree" >&2
        exit 1
    fi
    how="as commits, with git am"
else
    for name in "${names[@]}"; do
        patch -d "$tree" -p1 -s -F 0 <"$here/$name"
    done
    how="in place, with patch -p1"
fi
printf 'apply: %s\n' "${names[@]}"
echo "apply: ${#names[@]} patches applied to $tree, $how"
