#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --xen patched
#
# Take, rollback and fork of an HVM guest, whose device model maps its memory,
# on the patched hypervisor.
DRIVER=cow
# shellcheck source=tests/xen/three.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/three.sh"
three hvm 128 rate=2000
finish
