#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The three operations on a PV guest under write load: what is stored is
# one instant; the guest rolled back goes on from there; a fork is another
# machine and leaves the original alone.
# shellcheck source=tests/xen/lib.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/three.sh"
three pv 128 rate=2000
finish
