#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# A guest whose policy says so finds its checkpoint made ready when it asks: that
# one is used, makes way for everybody else, is made anew, and whatever becomes of
# it the guest gets its checkpoint, once.
export PYTHONPATH=tests/fake/ckptd
exec python3 - <<'EOF'
import os, signal, subprocess
from world import *

CONF = 'guest_requests = checkpoint, rollback\nguest_rate = 3600000/hour\nguest_burst = 1000\n'
READY = CONF + "[domain web]\nguest_requests = checkpoint, rollback\nguest_standby = yes\n"
SCRIPT = 'result=web|%s|5|7\n' % UUID + SCRIPT

with World(READY, SCRIPT) as w:
    w.start()
    g = w.guest()
    count = lambda text: w.read('calls').count(text)
    armed = [0]

    def stands_by():
        """One more than the last time, and none of before."""
        armed[0] += 1
        w.until(lambda: count('stands by: web') == armed[0], what='standby %d' % armed[0])

    def ask():
        p = w.ckpt_guest(5, 'checkpoint')
        so, se = p.communicate(timeout=LIMIT)
        assert p.returncode == 0 and so.startswith('taken '), (so, se)

    # used, under the name of the moment in which it was asked for, and made anew
    stands_by()
    first = [l for l in w.read('calls').splitlines() if l.startswith('take domain=web')][0]
    ask()
    said = [l for l in w.read('calls').splitlines() if l.startswith('stood by: web 0 name=guest-2')]
    assert len(said) == 1 and said[0].split('name=')[1] not in first, (said, first)
    stands_by()
    assert count('take domain=web') == armed[0], w.read('calls')     # nothing but what stood by
    w.busy_job()

    # who asks before it is ready waits for just that
    w.write('arming', '')
    w.set_script('arming_by=%s\n' % w.path('arming') + SCRIPT)
    n = count('take domain=web')
    ask()
    w.until(lambda: count('take domain=web') == n + 1, what='the next one')
    asks = w.ckpt_guest(5, 'checkpoint')
    g.wait('control/ckpt/state', lambda v: v.startswith('busy'))
    w.set_script(SCRIPT)
    os.unlink(w.path('arming'))
    assert asks.wait(LIMIT) == 0
    assert count('stood by: web 0') == 3 and count('stood by: web -125') == 0
    armed[0] += 1       # it was ready in the end
    stands_by()
    assert count('take domain=web') == armed[0], w.read('calls')

    # everybody else goes first, however the domain is called; and it comes again
    for n, params in enumerate(({'domain': 'web'}, {'domain': '5'})):
        w.call('checkpoint.take', wait=True, **params)
        assert count('stood by: web -125') == n + 1
        stands_by()
    w.call('checkpoint.rollback', domain='web', checkpoint='one', wait=True)
    assert count('stood by: web -125') == 3
    stands_by()
    w.call('checkpoint.delete', checkpoint='one', wait=True)     # may be this domain's
    assert count('stood by: web -125') == 4
    stands_by()
    # but for another domain's, and who only looks
    w.call('checkpoint.list')
    other = w.guest(8, 'other', '88888888-2222-2222-2222-222222222222')
    other.wait('control/feature-ckpt', lambda v: v)
    w.call('checkpoint.take', domain='other', wait=True)
    assert count('stood by: web -125') == 4 and count('stands by') == armed[0]

    w.call('checkpoint.take', domain='web', wait=True)
    armed[0] += 1       # also while somebody looks all the time
    w.until(lambda: w.call('checkpoint.list') and count('stands by: web') == armed[0])

    # the domain is not the same any more: another take, as without it
    w.set_script('stale=-116 It was changed.\n' + SCRIPT)
    w.call('checkpoint.take', domain='web', wait=True)
    stands_by()
    n = count('take domain=web')
    ask()
    assert count('stood by: web -116') == 1 and count('take is done') >= 1
    assert count('take domain=web name=guest-') >= 1 and count('take domain=web') >= n + 1
    w.set_script(SCRIPT)
    stands_by()
    w.call('checkpoint.take', domain='web', wait=True)
    stands_by()

    # killed while it waits: the guest is served as without it
    os.kill(w.busy_job(), signal.SIGKILL)
    ask()
    assert count('stood by: web -116') == 1

    # where it cannot be, it is not tried again; the policy is read anew: it is
    w.set_script('stand_by=-95 Not on this Xen.\n' + SCRIPT)
    w.daemon.send_signal(signal.SIGHUP)
    w.until(lambda: 'Not on this Xen' in w.read('log'))
    for _ in range(3):
        ask()
    assert w.read('log').count('Not on this Xen') == 1
    w.set_script(SCRIPT)
    armed[0] = count('stands by: web')
    w.daemon.send_signal(signal.SIGHUP)
    stands_by()

    # who deletes old ones has nobody stand by meanwhile, or nothing came back
    w.set_conf(READY + '[domain other]\nguest_requests = checkpoint\nguest_standby = yes\n')
    w.daemon.send_signal(signal.SIGHUP)
    stands_by()
    w.until(lambda: count('stands by: other') == 1)
    ask()
    w.until(lambda: count('stood by: other -125') == 1)
    stands_by()
    w.until(lambda: count('stands by: other') == 2)

    # no longer wanted, and gone with its domain
    w.set_conf(CONF)
    w.daemon.send_signal(signal.SIGHUP)
    w.until(lambda: not w.busy_jobs(), what='the end of what stood by')
    w.set_conf(READY)
    w.daemon.send_signal(signal.SIGHUP)
    stands_by()
    w.xs('destroy', 5)
    w.until(lambda: not w.busy_jobs(), what='the end of what stood by')
    w.guest(6, 'web', UUID)
    stands_by()
    # the daemon is killed: it undoes what it has done, and is made by the next
    pid = w.busy_jobs()
    n = count('stood by: web -125')
    w.daemon.kill()
    w.daemon.wait()
    w.until(lambda: count('stood by: web -125') == n + 1)
    w.start()
    stands_by()
    assert w.stop() == 0
    w.until(lambda: count('stood by: web -125') == n + 2)
print('done')
EOF
