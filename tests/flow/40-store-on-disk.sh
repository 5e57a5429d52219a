#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The store's own tests once more in the build folder: a tmpfs, where they run
# else, is neither written past the page cache nor read by io_uring.
set -u
CKPT_TEST_TMP=$(mktemp -d "$PWD/$B/on-disk.XXXXXX") || exit 99
trap 'rm -rf "$CKPT_TEST_TMP"' EXIT
export CKPT_TEST_TMP
if [ "$(stat -f -c %T "$CKPT_TEST_TMP")" = tmpfs ]; then
    echo "the build folder is a tmpfs"
    exit 77
fi
for t in "$B"/tests/conform/store "$B"/tests/unit/t_store_dir \
    "$B"/tests/unit/t_store_dir_{compress,drop,dump} "$B"/tests/unit/t_archive; do
    "$t" || exit
done
