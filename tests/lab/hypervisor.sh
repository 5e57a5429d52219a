#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# hypervisor.sh SOURCE PATCH... OUTDIR: build OUTDIR/xen.bin from the piece SOURCE
# of hypervisor-source.sh with these patches, in this order; a file named config
# among them holds Kconfig lines that differ from Xen's defaults. xen-syms stays
# beside the result for addresses in a crash.
set -eu -o pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

source=$1
shift
out=${*: -1}
set -- "${@:1:$#-1}"

tar -C "$out" -xf "$source/xen.tar"
for p in "$@"; do
    if [ "${p##*/}" = config ]; then
        cp "$p" "$out/xen/xen/.config"
        continue
    fi
    # No fuzz: a patch that only nearly fits is to be rebased, not guessed.
    if ! patch -d "$out/xen" -p1 -s -F0 --no-backup-if-mismatch <"$p"; then
        say "${p##*/} does not apply to Xen $(cat "$source/version")"
        exit 1
    fi
done
# The date and host of a build must not make two equal builds differ.
make_xen() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -C "$out/xen/xen" -j"$(nproc)" \
        XEN_TARGET_ARCH=x86_64 XEN_BUILD_DATE='' XEN_BUILD_HOST=lab XEN_WHOAMI=lab "$@"
}
if ! { make_xen olddefconfig && make_xen; } >"$out/log" 2>&1; then
    grep -E 'error|Error|warning' "$out/log" | tail -n 30 >&2
    exit 1
fi
gunzip -c "$out/xen/xen/xen.gz" >"$out/xen.bin"
cp "$out/xen/xen/xen-syms" "$out/xen/xen/.config" "$out/"
rm -rf --one-file-system "$out/xen"
