#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# lab-test.sh TEST: runs tests/xen/NAME.sh in the lab's dom0, with the options
# for `lab run` that the test asks for in a line `# lab: --mem 8192`.  Its clock
# is the emulator's, so how long it takes here says nothing: the limit is for what
# hangs.
set -u
test=${1#./}
name=$(basename "$test" .sh)
read -ra options < <(sed -n 's/^# lab: //p' "$test")

tests/lab/lab run --name "check-$name" --timeout 3500 ${options[@]+"${options[@]}"} -- "/mnt/$test"
rc=$?
# The lab's own failure: the test's world is broken.
[ "$rc" -ne 125 ] || rc=99
exit "$rc"
