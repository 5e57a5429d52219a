#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# ckpt.h compiles alone, in C and in C++, with nothing else on the path.
set -eu
strict='-Wall -Wextra -Wundef -pedantic -Werror -fsyntax-only'
for std in c99 c11 gnu17; do
    # shellcheck disable=SC2086 # words
    "${CC:-gcc}" -std=$std $strict -Wstrict-prototypes -x c libckpt/ckpt.h
done
for std in c++11 c++17; do
    # shellcheck disable=SC2086 # words
    "${CXX:-g++}" -std=$std $strict -x c++ libckpt/ckpt.h
done
