#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The soname is libckpt.so.0, the stack is not executable, and pkg-config
# finds an installed library that a program links with.
set -eu -o pipefail
readelf -d "$B/libckpt.so.0" | grep -q 'SONAME.*\[libckpt\.so\.0\]'
readelf -lW "$B/libckpt.so.0" | grep 'GNU_STACK' | grep -qv 'RWE'

there=$(mktemp -d)
trap 'rm -rf "$there"' EXIT
# Where this build believes it is installed: another place would build the
# programs anew that other tests are running.
build() {
    env -u MAKEFLAGS -u MFLAGS make -s "$@"
}
libdir=$(build show-config | sed -n 's/^LIBDIR *//p')
build install DESTDIR="$there" >"$there/log" 2>&1 || { cat "$there/log"; exit 1; }
cat >"$there/prog.c" <<'END'
#include <ckpt.h>
#include <stdio.h>
int main(void)
{
    return puts(ckpt_version()) < 0;
}
END
export PKG_CONFIG_SYSROOT_DIR=$there PKG_CONFIG_LIBDIR=$there$libdir/pkgconfig
# shellcheck disable=SC2046 # words
"${CC:-gcc}" -o "$there/prog" "$there/prog.c" \
    $(PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 \
        pkg-config --cflags --libs libckpt) -Wl,--allow-shlib-undefined
[ "$(LD_LIBRARY_PATH=$there$libdir "$there/prog")" = \
    "$(unset PKG_CONFIG_SYSROOT_DIR; PKG_CONFIG_LIBDIR=$there$libdir/pkgconfig \
        pkg-config --modversion libckpt)" ]
