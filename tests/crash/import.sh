#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The same while an archive is imported.
exec "$B/tests/crash/store" import
