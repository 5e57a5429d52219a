#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The unit gives ckptd no more of the host than it did when its settings were
# looked through one by one; systemd's own figure, 0 to 10, says so.
set -eu -o pipefail
command -v systemd-analyze >/dev/null || { echo "no systemd-analyze"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp "$B/ckptd.service" "$dir"
said=$(systemd-analyze security --offline=true --no-pager "$dir/ckptd.service" | tail -n 1)
echo "$said"
figure=$(sed -E 's/.*: ([0-9]+)\.([0-9]) .*/\1\2/' <<<"$said")
[ "$figure" -le 39 ]
