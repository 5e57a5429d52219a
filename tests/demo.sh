#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# `make demo': the lab, then the demonstration in its dom0.
set -eu
top=$(dirname "$(dirname "$(readlink -f "$0")")")
begin=$SECONDS
echo "The lab is made ready (the first time this takes some minutes) ..."
"$top/tests/lab/lab" build
echo "The lab is ready after $((SECONDS - begin)) s. A machine with Xen is started ..."
"$top/tests/lab/lab" run --name demo --timeout 1800 -- bash /mnt/tests/xen/demo.sh
echo "The demonstration took $((SECONDS - begin)) s."
