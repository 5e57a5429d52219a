#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# apply.sh applies a series whole or not at all, as commits or in place, and
# leaves a tree alone when the series is empty.
set -eu -o pipefail
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.org
export GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.org

# A series of two, made from a small tree in git.
mkdir -p "$at/hp" "$at/git/xen"
cp hypervisor-patches/apply.sh "$at/hp/"
cd "$at/git"
git init -q
printf 'a\nb\nc\n' >xen/Makefile
git add .
git commit -q -m base
cp -r "$at/git" "$at/plain"
rm -rf "$at/plain/.git"
cp -r "$at/plain" "$at/other"
echo other >"$at/other/xen/Makefile"
sed -i s/b/B/ xen/Makefile
echo new >xen/new
git add .
git commit -q -m "one: thing"
sed -i s/B/BB/ xen/Makefile
git commit -q -a -m "two: things"
git format-patch -q -2 -o "$at/hp"
cp -r xen "$at/wanted"
git reset -q --hard HEAD~2

echo "# none" >"$at/hp/series"
"$at/hp/apply.sh" "$at/plain" | grep -q "series is empty"
diff -r xen "$at/plain/xen"

(cd "$at/hp" && ls -- *.patch) >>"$at/hp/series"
"$at/hp/apply.sh" "$at/plain" | grep -q "2 patches applied"
diff -r "$at/wanted" "$at/plain/xen"
"$at/hp/apply.sh" "$at/git" | grep -q "as commits"
diff -r "$at/wanted" "$at/git/xen"
[ "$(git log --format=%s | wc -l)" -eq 3 ]

cp -r "$at/other" "$at/before"
if "$at/hp/apply.sh" "$at/other" 2>"$at/err"; then
    echo "a patch that does not fit was applied"
    exit 1
fi
grep -q "0001-one-thing.patch does not fit" "$at/err"
diff -r "$at/before" "$at/other"
