#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# hypervisor-source.sh OUTDIR: Debian's source of Xen, unpacked and with Debian's
# own patches, as OUTDIR/xen.tar; OUTDIR/version says which.
set -eu -o pipefail
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/apt.sh
. "$LAB_DIR/apt.sh"

out=$1
apt_source "$out" xen
mv "$out/xen.version" "$out/version"
dpkg-source --extract "$out"/xen_*.dsc "$out/xen" >"$out/log" 2>&1 ||
    { cat "$out/log" >&2; exit 1; }
tar -C "$out" -cf "$out/xen.tar" xen
rm -rf --one-file-system "$out"/{xen,apt,log} "$out"/xen_*
