#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The example driver does what its README says, over the socket alone, as a
# user with the rights of a group.
export PYTHONPATH=tests/fake/ckptd
exec python3 - <<'EOF'
import os, shutil, subprocess, sys
from world import *

with World('admin_group = games\n', xenstore=False) as w:
    w.start()
    shutil.copytree('examples/opennebula', w.path('driver'))
    env = dict(os.environ, CKPTD_SOCKET=w.path('sock'), PYTHONDONTWRITEBYTECODE='1')
    as_user = ['setpriv', '--reuid', 'nobody', '--regid', 'nogroup', '--groups', 'games'] \
        if os.getuid() == 0 else []

    def run(verb, *args, user=as_user):
        p = subprocess.run([*user, w.path('driver/' + verb), *args], env=env, capture_output=True,
                           text=True, check=False)
        return p.returncode, p.stdout.strip(), p.stderr.strip()

    assert run('snapshot_create', 'web', '0') == (0, '0123456789abcdef', '')
    assert 'take domain=web name=one-0 description=OpenNebula snapshot 0' in w.read('calls')
    assert run('snapshot_create', 'web', '0')[0] == 0          # asked again: not done again
    assert w.read('calls').count('take domain') == 1
    assert run('snapshot_create', 'web', '1')[0] == 0
    assert w.read('calls').count('take domain') == 2
    w.set_script('result=web|%s|7|5\nrollback:gone=-2 There is no checkpoint "x".\n'
                 'delete:gone=-2 no\n' % UUID + SCRIPT)
    w.call('checkpoint.list')       # the spare process has read the old script
    assert run('snapshot_revert', 'web', '0123456789abcdef') == (0, '', '')
    assert run('snapshot_delete', 'web', 'gone') == (0, '', '')
    assert run('snapshot_create', 'web')[0] == 1
    w.set_script('take=-16 Another operation is under way.\n' + SCRIPT)
    w.call('checkpoint.list')
    assert run('snapshot_create', 'db', '5') == (1, '', 'snapshot_create: Another operation is under way.')
    if as_user:
        nobody = ['setpriv', '--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups']
        got = run('snapshot_create', 'web', '9', user=nobody)
        assert got[0] == 1 and 'no right' in got[2], got
    assert w.stop() == 0
print('done')
EOF
