# SPDX-License-Identifier: LGPL-2.1-only
# The daemon has no sources yet; its programs are listed here when it has.
