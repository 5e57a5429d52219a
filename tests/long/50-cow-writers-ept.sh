#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# lab: --cpu ept --xen patched --timeout 10800
#
# tests/xen/50-cow-writers.sh on Intel's nested paging: every way of writing, and
# fewer repetitions.  LAB_CPU=corei7_skylake_x is a processor that can log writes
# by itself (PML); the default cannot.  Two vCPUs (VCPUS=2) want a mended Bochs.
export VCPUS=${VCPUS:-1}
export XEN_CKPT_CYCLES=${XEN_CKPT_CYCLES:-3} XEN_CKPT_FUZZ=${XEN_CKPT_FUZZ:-50}
exec "$(dirname "$0")/../xen/50-cow-writers.sh"
