#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The compilation database, from what make would do.
set -eu -o pipefail
env -u MAKEFLAGS -u MFLAGS make -nB V=1 all test-bins |
    sed -e ':a' -e '/\\$/N; s/\\\n[[:space:]]*//; ta' |
    awk -v dir="$PWD" '
    / -c -o / {
        file = $NF
        gsub(/\\/, "\\\\")
        gsub(/"/, "\\\"")
        sub(/^[[:space:]]*/, "")
        printf "%s{\"directory\":\"%s\",\"file\":\"%s\",\"command\":\"%s\"}",
               n++ ? ",\n" : "[\n", dir, file, $0
    }
    END { print n ? "\n]" : "[]" }'
