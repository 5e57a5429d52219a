#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# A checkpoint with frozen filesystems: the hooks of the guest run around the
# cut, the level that was reached is told as it is, and the guest thaws come
# what may: deadline, a dead daemon, a dead agent, a hook that hangs.
export PYTHONPATH=tests/fake/ckptd
exec python3 - <<'EOF'
import os, signal, subprocess, time
from world import *

CONF = 'guest_requests = quiesce\nquiesce_timeout = 2\n'
D = 'control/ckpt/'
HOOK = '''#!/bin/sh
[ "$1" = freeze ] && [ -e {0}/hang ] && echo {1} hangs >>{0}/said && sleep 600 # lint: sleep ok: hangs
echo {1} $* >>{0}/said
'''

with World(CONF) as w:
    os.mkdir(w.path('guest.d'))
    for name in ('10-a', '20-b'):
        w.write('guest.d/' + name, HOOK.format(w.dir, name))
        os.chmod(w.path('guest.d/' + name), 0o755)
    w.start()
    g = w.guest()
    g.wait('control/feature-ckpt', lambda v: v)

    def take(ms, domain='web'):
        return w.call('checkpoint.take', domain=domain, quiesce=True, disk_only=True, quiesce_timeout_ms=ms,
                      wait=True)['checkpoint']['consistency']

    def ack(*words):
        """The agent's word on the last order; one of before does not count."""
        def is_it(v):
            number, order = g.read(D + 'quiesce').split()[:2]
            return v in [number + ' ' + word for word in words
                         if word != 'frozen' or order == 'freeze']
        g.wait(D + 'quiesce-ack', is_it)

    # nobody answers there: at once, and said as it is
    t = time.monotonic()
    assert take(600000) == 'crash'
    assert time.monotonic() - t < LIMIT

    agent = w.ckpt_guest(5, '-d', w.path('guest.d'), 'hooks', 'run')
    g.wait(D + 'feature-quiesce', lambda v: v == '1')
    assert take(600000) == 'fs-frozen'
    ack('thawed')
    assert w.read('said').split('\n')[:4] == ['10-a freeze', '20-b freeze', '20-b thaw', '10-a thaw']

    # with memory it is over before the guest suspends
    assert w.call('checkpoint.take', domain='web', quiesce=True, quiesce_timeout_ms=600000,
                  wait=True)['checkpoint']['consistency'] == 'crash'
    ack('thawed')
    assert w.read('said').count('thaw') == 4

    # a cut that comes too late: thawed by the deadline, and not called frozen
    w.write('held', '')
    w.set_script('held_by=%s\n' % w.path('held') + SCRIPT)
    w.call('checkpoint.list')        # the spare process has read the old script
    job = w.call('checkpoint.take', domain='web', quiesce=True, disk_only=True, quiesce_timeout_ms=3000)['job']['id']
    g.wait(D + 'quiesce', lambda v: v.startswith('3 '))
    ack('thawed', 'failed')          # it may not even be frozen by then
    assert w.call('job.show', job=job)['job']['state'] == 'running'
    os.unlink(w.path('held'))
    assert w.call('job.wait', job=job)['result']['checkpoint']['consistency'] == 'crash'

    # cancelled, and killed, while frozen
    w.write('held', '')
    job = w.call('checkpoint.take', domain='web', quiesce=True, disk_only=True, quiesce_timeout_ms=600000)['job']['id']
    ack('frozen')
    w.call('job.cancel', job=job)
    ack('thawed')
    # the next does not wait for the guest to have thawed, and is frozen all the same
    for _ in range(4): # more would be a flood
        job = w.call('checkpoint.take', domain='web', quiesce=True, disk_only=True, quiesce_timeout_ms=600000)['job']['id']
        ack('frozen')
        w.call('job.cancel', job=job)
        w.until(lambda: w.call('job.show', job=job)['job']['state'] == 'cancelled')
    ack('thawed')
    for victim in ('ckptd-door', 'ckptd-front', 'job', 'ckptd'):
        w.call('checkpoint.take', domain='web', quiesce=True, disk_only=True, quiesce_timeout_ms=600000)
        ack('frozen')
        if victim == 'ckptd':
            w.daemon.kill()
            w.daemon.wait()
            w.start()
        elif victim == 'job':
            os.kill(w.busy_job(), signal.SIGKILL)
        else:
            os.kill(w.role(victim), signal.SIGKILL)
        if victim == 'ckptd-front':
            g.wait(D + 'quiesce', lambda v: 'freeze' in v)
            def connect():
                try:
                    c = Client(w.path('sock'))
                    c.call('daemon.info')
                    return c
                except (OSError, ConnectionError):
                    return None
            w.client = w.until(connect)
            for job in w.call('job.list')['jobs']:
                w.call('job.cancel', job=job['id'])
        ack('thawed')
        for job in w.call('job.list')['jobs']:
            w.call('job.cancel', job=job['id'])
    w.set_script(SCRIPT)
    w.call('checkpoint.list')
    w.call('checkpoint.list')

    # a hook that hangs: failed in time, thawed
    w.write('hang', '')
    for ms in 3000, 10000, 30000:    # it has to come so far
        os.unlink(w.path('said'))
        assert take(ms) == 'crash'
        ack('failed')
        if w.read('said').startswith('10-a hangs\n'):
            break
    assert w.read('said') == '10-a hangs\n20-b thaw\n10-a thaw\n', w.read('said')
    # the same while the agent is told to end: it thaws first, and in time
    os.unlink(w.path('said'))
    job = w.call('checkpoint.take', domain='web', quiesce=True, disk_only=True, quiesce_timeout_ms=ms)['job']['id']
    w.until(lambda: w.read('said').startswith('10-a hangs\n'), what='the hook that hangs')
    agent.terminate()
    assert w.call('job.wait', job=job)['result']['checkpoint']['consistency'] == 'crash'
    assert agent.wait(LIMIT) == 0
    ack('failed')
    assert w.read('said') == '10-a hangs\n20-b thaw\n10-a thaw\n'
    # without an agent no freeze is tried
    assert take(600000) == 'crash'

    # no longer asked at all, in the middle of a freeze: thawed
    os.unlink(w.path('hang'))
    os.unlink(w.path('said'))
    w.set_script('held_by=%s\n' % w.path('held') + SCRIPT)
    w.call('checkpoint.list')
    w.call('checkpoint.list')
    agent = w.ckpt_guest(5, '-d', w.path('guest.d'), 'hooks', 'run')
    g.wait(D + 'feature-quiesce', lambda v: v == '1')
    job = w.call('checkpoint.take', domain='web', quiesce=True, disk_only=True, quiesce_timeout_ms=600000)['job']['id']
    ack('frozen')
    w.set_conf('')
    w.daemon.send_signal(signal.SIGHUP)
    w.until(lambda: w.read('said').endswith('20-b thaw\n10-a thaw\n'), what='the thaw')
    w.call('job.cancel', job=job)
    w.set_script(SCRIPT)
    w.call('checkpoint.list')
    w.call('checkpoint.list')
    # allowed again: the agent says anew that it is there; by number as by name
    w.set_conf(CONF)
    w.daemon.send_signal(signal.SIGHUP)
    g.wait(D + 'feature-quiesce', lambda v: v == '1')
    assert take(600000) == 'fs-frozen'
    assert take(600000, domain='5') == 'fs-frozen'
    assert 'forked' not in w.read('said')    # it is still the same domain
    agent.terminate()
    assert agent.wait(LIMIT) == 0

    # a domain that goes while it is asked to freeze: answered, and its watches go with it
    calm = int(w.xs('watches', 0))
    gone = w.guest(11, 'gone', '11111111-2222-2222-2222-222222222222')
    gone.wait('control/feature-ckpt', lambda v: v)
    gone.write(D + 'feature-quiesce', '1')
    job = w.call('checkpoint.take', domain='gone', quiesce=True, disk_only=True,
                 quiesce_timeout_ms=600000)['job']['id']
    gone.wait(D + 'quiesce', lambda v: 'freeze' in v)
    w.xs('destroy', 11)
    w.call('job.wait', job=job)
    w.until(lambda: int(w.xs('watches', 0)) == calm, what='%d watches' % calm)
    assert w.stop() == 0
print('done')
EOF
