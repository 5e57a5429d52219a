#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The library exports exactly the names of the map.
set -eu -o pipefail
lib=$B/libckpt.so.0
grep -oE '\<ckpt_[a-z_]+;' libckpt/libckpt.map | tr -d ';' | sort |
    diff -u - <(nm -D --defined-only --format=posix "$lib" |
        sed -n 's/^\([^ @]*\)@*CKPT_[0-9.]* [TW] .*/\1/p' | sort)
# Nothing outside a version node either.
if nm -D --defined-only --format=posix "$lib" | grep -v '@*CKPT_0\.[0-9]* \|^CKPT_0\.[0-9]*@* A'; then
    echo "exported without a version"
    exit 1
fi
