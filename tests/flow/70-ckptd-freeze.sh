#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# A checkpoint with frozen filesystems: the hooks of the guest run around the
# cut, the level that was reached is told as it is, and the guest thaws come
# what may: deadline, a dead daemon, a dead agent, a hook that hangs.
export PYTHONPATH=tests/fake/ckptd
exec python3 - <<'EOF'
import os, signal, time
from world import *

CONF = 'guest_requests = quiesce\nquiesce_timeout = 2\n'
D = 'control/ckpt/'
HOOK = '#!/bin/sh\n[ "$1" = freeze ] && [ -e %s/hang ] && sleep 60 # lint: sleep ok: hangs\necho %s $* >>%s/said\n'

with World(CONF) as w:
    os.mkdir(w.path('guest.d'))
    for name in ('10-a', '20-b'):
        w.write('guest.d/' + name, HOOK % (w.dir, name, w.dir))
        os.chmod(w.path('guest.d/' + name), 0o755)
    w.start()
    g = w.guest()
    g.wait('control/feature-ckpt', lambda v: v)

    def take():
        return w.call('checkpoint.take', domain='web', quiesce=True, quiesce_timeout_ms=2000,
                      wait=True)['checkpoint']['consistency']

    # nobody answers there: at once, and said as it is
    t = time.monotonic()
    assert take() == 'crash'
    assert time.monotonic() - t < 1

    agent = w.ckpt_guest(5, '-d', w.path('guest.d'), 'hooks', 'run')
    g.wait(D + 'feature-quiesce', lambda v: v == '1')
    assert take() == 'fs-frozen'
    g.wait(D + 'quiesce-ack', lambda v: v.endswith('thawed'))
    assert w.read('said').split('\n')[:4] == ['10-a freeze', '20-b freeze', '20-b thaw', '10-a thaw']

    # a cut that comes too late: thawed by the deadline, and not called frozen
    w.set_script(SCRIPT.replace('phase=', 'delay_ms=3000\nphase='))
    w.call('checkpoint.list')        # the spare process has read the old script
    job = w.call('checkpoint.take', domain='web', quiesce=True, quiesce_timeout_ms=1000)['job']['id']
    g.wait(D + 'quiesce', lambda v: 'freeze' in v)
    g.wait(D + 'quiesce-ack', lambda v: v.endswith('thawed'))
    assert w.call('job.show', job=job)['job']['state'] == 'running'
    assert w.call('job.wait', job=job)['result']['checkpoint']['consistency'] == 'crash'

    # cancelled, and killed, while frozen
    job = w.call('checkpoint.take', domain='web', quiesce=True, quiesce_timeout_ms=60000)['job']['id']
    g.wait(D + 'quiesce-ack', lambda v: v.endswith('frozen'))
    w.call('job.cancel', job=job)
    g.wait(D + 'quiesce-ack', lambda v: v.endswith('thawed'))
    for victim in ('ckptd-door', 'ckptd-front', 'job', 'ckptd'):
        w.call('checkpoint.take', domain='web', quiesce=True, quiesce_timeout_ms=60000)
        g.wait(D + 'quiesce-ack', lambda v: v.endswith('frozen'))
        if victim == 'ckptd':
            w.daemon.kill()
            w.daemon.wait()
            w.start()
        elif victim == 'job':
            pid = [p for p in os.listdir('/proc') if p.isdigit() and
                   open('/proc/%s/stat' % p).read().split()[3] == str(w.daemon.pid) and
                   'ckptd-job' in open('/proc/%s/stat' % p).read() and
                   len(os.listdir('/proc/%s/task' % p)) > 1]
            assert len(pid) == 1, pid
            os.kill(int(pid[0]), signal.SIGKILL)
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
        g.wait(D + 'quiesce-ack', lambda v: v.endswith('thawed'), 30)
        for job in w.call('job.list')['jobs']:
            w.call('job.cancel', job=job['id'])
    w.set_script(SCRIPT)
    w.call('checkpoint.list')
    w.call('checkpoint.list')

    # a hook that hangs: failed in time, thawed; the agent ends: no freeze
    w.write('hang', '')
    t = time.monotonic()
    assert take() == 'crash'
    assert time.monotonic() - t < 10
    os.unlink(w.path('hang'))
    g.wait(D + 'quiesce-ack', lambda v: v.endswith('failed') or v.endswith('thawed'))
    assert w.read('said').rstrip().endswith('10-a thaw')
    agent.terminate()
    assert agent.wait(30) == 0
    assert take() == 'crash'
    assert w.stop() == 0
print('done')
EOF
