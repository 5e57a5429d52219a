#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# checkpoint-list --tree: chains, branches, several roots and domains, and
# what a damaged or filtered store may hold, which is drawn once each and ends.
# shellcheck source=tests/fake/cli/cli.sh
. "$(dirname "$0")/../fake/cli/cli.sh"

# Lines of "ID PARENT NAME DOMAIN UUID-DIGIT [head]" become a script.
shape() {
    local id parent name domain uuid head n=0

    while read -r id parent name domain uuid head; do
        echo "checkpoint=$(printf '%016d' "$id")"
        [ "$parent" = - ] || echo "parent=$(printf '%016d' "$parent")"
        echo "name=$name"
        echo "domain_name=$domain"
        echo "domain_uuid=0000000$uuid-0000-4000-8000-000000000000"
        echo "created_unix_us=$((1795222510000000 + n++ * 60000000))"
        echo "stored_bytes=$((n * 1048576))"
        echo "has_memory=$((n % 3 > 0))"
        [ -z "${head-}" ] || echo is_head=1
    done | script
}

draws() { # GOLDEN
    run checkpoint-list --tree
    exits 0
    silent "$tmp/err"
    golden "$1"
    LC_ALL=C.UTF-8 run checkpoint-list --tree
    golden "$1.utf8"
}

shape <<S
1 - base web1 1
2 1 day1 web1 1
3 2 try web1 1
4 3 try-2 web1 1
5 2 other web1 1
6 4 deep-a web1 1
7 4 deep-b web1 1
8 2 day2 web1 1
9 8 day3 web1 1 head
S
draws tree-branches

# several roots; a domain with a name used before; a fork's own checkpoints
# descend from its source's; a rename shows under the newer name
shape <<S
1 - first web1 1
2 - second web1 1
3 1 first-child web1 1 head
4 - x db 2
5 - y db 3
6 1 fork-base web1-fork-1 4
7 6 fork-next web1-fork-1 4 head
8 4 z db-renamed 2
S
draws tree-domains

# a parent that is not listed, itself its parent, a ring, a ring with a tail
shape <<S
1 99 orphan web1 1
2 2 own-parent web1 1
3 5 ring-a web1 1
4 3 ring-b web1 1
5 4 ring-c web1 1
6 5 tail web1 1
S
draws tree-damaged
for id in 1 2 3 4 5 6; do
    [ "$(grep -c "000$id [ *]" "$tmp/out")" -eq 1 ] ||
        fail "checkpoint $id is not drawn exactly once"
done

: | script
run checkpoint-list --tree
exits 0
silent "$tmp/out" "$tmp/err"

# A thousand increments are a straight line; 300 nested branches do not wear
# out anything.
for ((i = 1; i <= 500; i++)); do
    echo "$i $((i > 1 ? i - 1 : 0)) c$i d 1"
done | sed 's/^1 0 /1 - /' | shape
run checkpoint-list --tree
exits 0
[ "$(wc -l <"$tmp/out")" -eq 501 ] || fail "a chain is not drawn whole"
[ "$(wc -L <"$tmp/out")" -lt 80 ] || fail "a chain moves to the right"
for ((i = 1; i <= 400; i++)); do
    # the parent of 2k and 2k+1 is 2k-2: each even one branches
    parent=$((i / 2 * 2 - 2))
    [ "$parent" -gt 0 ] || parent=-
    echo "$i $parent c$i d 1"
done | shape
run checkpoint-list --tree
exits 0
[ "$(wc -l <"$tmp/out")" -eq 401 ] || fail "nested branches are not drawn whole"

# with --json it is the list
run checkpoint-list --tree --json
mv "$tmp/out" "$tmp/tree"
run checkpoint-list --json
cmp "$tmp/tree" "$tmp/out" || fail "--tree changes the JSON"
