#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# deps.sh [LIST...]: installs the Debian packages of the lists (default: all
# of ours) that are missing.  Does nothing, and needs no root, when none is.
set -eu -o pipefail

[ $# -gt 0 ] || set -- scripts/packages.list tests/lab/packages.list

wanted=()
for list in "$@"; do
    [ -f "$list" ] || continue
    mapfile -t -O "${#wanted[@]}" wanted < \
        <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$list")
done

if ! command -v dpkg-query >/dev/null; then
    echo "deps: not a Debian system; please install what corresponds to:" >&2
    echo "    ${wanted[*]}" >&2
    exit 1
fi

# Of a package that was never seen dpkg-query says nothing but an error.
installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' \
    "${wanted[@]}" 2>/dev/null | sed -n 's/^installed //p' | tr '\n' ' ')" ||
    true # lint: its status only says that some are missing
missing=()
for package in "${wanted[@]}"; do
    case $installed in
    *" $package "*) ;;
    *) missing+=("$package") ;;
    esac
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "deps: missing, install them as root: apt-get install" \
        "--no-install-recommends ${missing[*]}" >&2
    exit 1
fi

echo "deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Lists that are missing or too old make the first try fail.
install=(apt-get install -y -q --no-install-recommends "${missing[@]}")
if ! "${install[@]}"; then
    apt-get update -q
    "${install[@]}"
fi
