#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --cpu ept --xen patched --timeout 10800
#
# 100-captures.sh, ten of them, on Intel's nested paging.  Two vCPUs (VCPUS=2) want
# a mended Bochs: tests/lab/README.md.
VCPUS=${VCPUS:-1} CAPTURES=${CAPTURES:-10} exec "$(dirname "$0")/100-captures.sh"
