#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The test runner counts every ending right, alone and added up, and a test
# that hangs does not hang it.
set -eu -o pipefail
top=$PWD
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
cd "$at"

for rc in 0 1 77 99; do
    printf '#!/bin/sh\necho "says %s"\nexit %s\n' $rc $rc >t$rc.sh
done
printf '#!/bin/sh\nexec cat /dev/zero >/dev/null\n' >hang.sh
printf '#!/bin/sh\nkill -9 $$\n' >dies.sh
# A wrapper is put in front.
printf '#!/bin/sh\nshift\nexec "$@"\n' >wrap.sh
chmod +x ./*.sh

run() { # EXPECTED-STATUS ARG...
    local want=$1 rc=0
    shift
    env -u CKPT_TALLY B=b "$top/scripts/run-tests.sh" "$@" >out || rc=$?
    cat out
    [ "$rc" -eq "$want" ]
}

run 0 -j2 g t0.sh t77.sh
grep -q '^ok g/t0 (' out
grep -q '^skip g/t77: says 77$' out
[ "$(tail -n 1 out)" = "1 passed, 0 failed, 1 skipped" ]

run 1 -j3 -w './wrap.sh x' g t0.sh t1.sh t99.sh dies.sh
grep -q '^FAIL g/t1 (exit 1' out
grep -q '^    | says 1$' out
grep -q "^FAIL g/t99 (the test's own world is broken" out
[ "$(tail -n 1 out)" = "1 passed, 3 failed" ]

run 1 -t 1 -w './wrap.sh x' g hang.sh
grep -q '^FAIL g/hang (exit 124 after .*, limit 1s)' out
[ "$(tail -n 1 out)" = "0 passed, 1 failed" ]

run 0 g
[ "$(tail -n 1 out)" = "0 passed, 0 failed" ]
run 1 g missing.sh
[ "$(tail -n 1 out)" = "0 passed, 1 failed" ]

# Groups add up; one that cannot be built is a failure.  They are shown in the
# order of the lists, however long one takes, and the rest comes last.
cat >waits.sh <<'END'
#!/bin/sh
until [ -e "$B/go" ]; do :; done
END
cat >goes.sh <<'END'
#!/bin/sh
[ "$B" = b2 ] && : >b/go
END
chmod +x ./*.sh
cat >Makefile <<END
check-one:
	@$top/scripts/run-tests.sh one ./t0.sh ./t77.sh
check-two:
	@$top/scripts/run-tests.sh two ./t0.sh
check-slow:
	@$top/scripts/run-tests.sh slow ./waits.sh
check-go:
	@B=b2 $top/scripts/run-tests.sh -w './wrap.sh x' go ./goes.sh
END
unset MAKEFLAGS MFLAGS
rc=0
B=b "$top/scripts/check.sh" one two >out || rc=$?
[ "$rc" -eq 0 ]
[ "$(tail -n 1 out)" = "2 passed, 0 failed, 1 skipped" ]
for jobs in 1 2; do # the second time, what took long begins first
    rm -f b/go
    rc=0
    B=b JOBS=$jobs timeout 60 "$top/scripts/check.sh" one slow go -- two >out ||
        rc=$?
    cat out
    [ "$rc" -eq 0 ]
    [ "$(tail -n 1 out)" = "4 passed, 0 failed, 1 skipped" ]
    [ "$(sed -nE 's/^(==|ok|skip) ([a-z0-9/]*).*/\2/p' out | tr '\n' ' ')" = \
        "one one/t0 one/t77 slow slow/waits go go/goes two two/t0 " ]
done
rc=0
B=b "$top/scripts/check.sh" one three two >out 2>err || rc=$?
[ "$rc" -eq 1 ]
grep -q '^FAIL three (could not be built)' out
[ "$(tail -n 1 out)" = "2 passed, 1 failed, 1 skipped" ]
