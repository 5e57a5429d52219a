#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# build.sh OUTDIR SOURCE: a Bochs for the ept lane, OUTDIR/bochs, from an unpacked
# source of Bochs 2.7 (Debian's source package, or the release) with the patches
# beside this script: without debugger, plugins and screen, several times as fast
# as Debian's program, and with what guests of more than one vCPU need.
#   LAB_BOCHS=OUTDIR/bochs tests/lab/lab run --cpu ept ...
set -eu -o pipefail
here=$(dirname "$(readlink -f "$0")")
if [ $# -ne 2 ] || [ ! -f "$2/cpu/vmx.cc" ]; then
    echo "usage: build.sh OUTDIR SOURCE    (a folder that holds cpu/vmx.cc)" >&2
    exit 2
fi
mkdir -p "$1"
out=$(readlink -f "$1")
work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
cp -R "$2/." "$work"
for p in "$here"/*.patch; do
    patch -d "$work" -p1 -s -F0 --no-backup-if-mismatch <"$p"
done
unset MAKEFLAGS MFLAGS MAKELEVEL LDFLAGS
cd "$work"
if ! {
    CFLAGS="-O3 -w" CXXFLAGS="-O3 -fomit-frame-pointer -fno-stack-protector -w" ./configure \
        --with-nogui --enable-cpu-level=6 --enable-x86-64 --enable-vmx=2 --enable-svm \
        --enable-avx --enable-evex --enable-fpu --enable-all-optimizations \
        --enable-repeat-speedups --enable-fast-function-calls --enable-handlers-chaining \
        --enable-pci --enable-a20-pin --enable-memtype --enable-protection-keys \
        --enable-cet --disable-docbook --disable-debugger --disable-plugins
    make -j"$(nproc)" bochs
} >"$out/log" 2>&1; then
    tail -n 30 "$out/log" >&2
    exit 1
fi
install -m 755 -s bochs "$out/bochs"
