#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The store dies at every point where it changes a file.
[ $# -gt 0 ] || set -- open take take-direct take-pmem increment remove prune compress
for scenario; do
    "$B/tests/crash/store" "$scenario" || exit
done
