# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# For tests with guests and without; sourced.

# guards_end SECONDS: there is no guard by then.
guards_end() {
    timeout "$1" pidwait -f 'ckpt-helper[ ]guard' >/dev/null # not this command itself
    ! pgrep -f 'ckpt-helper[ ]guard' >/dev/null
}
