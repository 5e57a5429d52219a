#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# xl's commands give their work to ckptd when it runs, and print the same as
# when they work alone; with -v they say which it was.
export PYTHONPATH=tests/fake/ckptd
exec python3 - <<'EOF'
import os, signal, subprocess
from world import *

ALL = ('result=web|%s|7|1234\nresult=web-2|%s|8|0\n' % (UUID, UUID)) + SCRIPT + '''parent=fedcba9876543210
description=some text
domain_type=hvm
mem_driver=dirty
mem_why=because
has_memory=1
is_head=1
memory_bytes=1048576
pages_stored=5
pages_zero=6
pages_in_pause=7
capture.ring_bytes=67108864
capture.hypercalls=11
capture.pages_by_write=12
capture.pages_by_read=13
capture.copied_bytes=14
capture.waits=15
capture.waits_us=16
passes=3
pause_disks_us=100
still_us=900
durable_us=123456
disk=xvda|lvmthin|/dev/vg/web|vg/web.1||1073741824
disk=xvdb|none|/dev/vg/b||excluded|
'''

with World(xenstore=False, script=ALL) as w:
    w.start()
    w.write('xl-script', 'log=%s\n%s' % (w.path('xl-calls'), ALL))

    def xl(*args, alone=False, status=0):
        w.write('xl-calls', '')
        env = dict(os.environ, CKPT_FAKE=w.path('xl-script'), LC_ALL='C', TZ='UTC',
                   CKPTD_SOCKET=w.path('none' if alone else 'sock'))
        env.pop('CKPT_STORE', None)
        p = subprocess.run([B + '/tests/xl-ckpt-fake', *args], env=env, capture_output=True, text=True,
                           check=False)
        assert p.returncode == status, (args, p)
        return p.stdout, p.stderr

    COMMANDS = [('checkpoint', 'web'), ('checkpoint', '-n', 'x', '--description', 'some text', '--exclude-disk',
                'xvdb', '-p', '--timeout', '5', 'web'), ('checkpoint', '--ring', '40', 'web'),
                ('checkpoint', '--when-full', 'give-up', 'web'),
                ('checkpoint', '--group', 'pair', 'web', 'db'), ('checkpoint', '--group', 'pair', '-n', 'x',
                '--disk-only', '--exclude-disk', 'xvdb', '-p', '--timeout', '5', 'web', 'db', '7'),
                ('rollback', 'web'),
                ('rollback', '-p', '--destroy-first', 'web', 'one'), ('fork', 'web'),
                ('fork', '-n', 'child', '--count', '2', '-p', 'web')]
    for command in COMMANDS:
        for more in ([], ['--json'], ['-q']):
            args = [command[0], *more, *command[1:]]
            w.write('calls', '')
            by_daemon = xl(*args)
            asked = [l for l in w.read('calls').splitlines()
                     if l.split()[0] in ('take', 'group', 'rollback', 'fork') and 'is done' not in l]
            assert not [l for l in w.read('xl-calls').splitlines()
                        if l.startswith(('take', 'group', 'rollback ', 'fork'))]
            alone = xl(*args, alone=True)
            asked_alone = [l for l in w.read('xl-calls').splitlines()
                           if l.split()[0] in ('take', 'group', 'rollback', 'fork') and 'is done' not in l]
            assert by_daemon == alone, (args, by_daemon, alone)
            asked_alone = [l.replace('count=0', 'count=1') for l in asked_alone]     # one is the default
            assert asked == asked_alone, (asked, asked_alone)
    assert 'runs, and does the work' in xl('checkpoint', '-v', 'web')[1]
    assert 'runs, and does the work' in xl('checkpoint', '-v', '--group', 'pair', 'web', 'db')[1]
    assert 'working alone' in xl('checkpoint', '-v', 'web', alone=True)[1]
    # another store is not the daemon's
    w.write('calls', '')
    xl('checkpoint', '--store', '/elsewhere', 'web')
    assert 'take' not in w.read('calls')

    # failures: the same words, the same status
    for code, status in ((-2, 3), (-17, 4), (-16, 4), (-95, 5), (-28, 6), (-105, 6), (-110, 7), (-117, 8), (-5, 1)):
        bad = 'take=%d It did not work.\n' % code + ALL
        w.set_script(bad)
        w.call('checkpoint.list')       # the spare process has read the old script
        assert xl('checkpoint', 'web', status=status)[1] == 'xl checkpoint: It did not work.\n'
        assert xl('checkpoint', '--group', 'pair', 'db', 'web',
                  status=status)[1] == 'xl checkpoint: It did not work.\n'
    # ^C: the job is cancelled, and we see it end
    w.write('held', '')
    w.set_script('held_by=%s\n' % w.path('held') + ALL)
    w.call('checkpoint.list')
    env = dict(os.environ, CKPT_FAKE=w.path('xl-script'), LC_ALL='C', CKPTD_SOCKET=w.path('sock'))
    env.pop('CKPT_STORE', None)
    p = subprocess.Popen([B + '/tests/xl-ckpt-fake', 'checkpoint', '-t', 'web'], env=env,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    w.processes.append(p)
    w.until(lambda: [j for j in w.call('job.list')['jobs']
                     if j['state'] == 'running' and j['progress']['phase'] == 'memory copied'])
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=LIMIT)
    assert p.returncode == 9 and 'cancelled' in err and 'memory copied' in err, (p.returncode, err)
    # it dies under us
    p = subprocess.Popen([B + '/tests/xl-ckpt-fake', 'checkpoint', 'web'], env=env,
                         stderr=subprocess.PIPE, text=True)
    w.processes.append(p)
    w.until(lambda: [j for j in w.call('job.list')['jobs'] if j['state'] == 'running'])
    w.daemon.kill()
    w.daemon.wait()
    assert p.wait(LIMIT) == 1 and 'ckptd' in p.stderr.read()
print('done')
EOF
