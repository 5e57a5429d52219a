#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# clang has its own opinion on everything we build.
set -eu
if ! command -v clang >/dev/null; then
    echo "clang is not installed"
    exit 77
fi
exec env -u MAKEFLAGS -u MFLAGS -u CC -u B make -j2 CC=clang all test-bins
