#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The store dies at every point where it changes a file.
exec "$B/tests/crash/store" "$@"
