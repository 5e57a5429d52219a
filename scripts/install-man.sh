#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# install-man.sh install|uninstall MANDIR PAGE...: each into its section.
set -eu
verb=$1 mandir=$2
shift 2
for page in "$@"; do
    name=$(basename "$page")
    dir=$mandir/man${name##*.}
    if [ "$verb" = install ]; then
        install -d "$dir"
        install -m 644 "$page" "$dir/$name"
    else
        rm -f "$dir/$name"
    fi
done
