#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched
#
# Take, rollback and fork of a PVH guest on the patched hypervisor; another
# size while one is taken.
DRIVER=cow
# shellcheck source=tests/xen/three.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/three.sh"
three pvh 128 rate=2000
is_control || three_resized
finish
