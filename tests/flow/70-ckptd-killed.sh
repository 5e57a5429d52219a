#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# Any role is killed (SIGKILL) at any moment of a job, CKPTD_KILLS times: the
# daemon serves again, no job is left hanging, a guest's request is answered,
# a key is not done twice, and nothing is left over.
export PYTHONPATH=tests/fake/ckptd CKPTD_KILLS=${CKPTD_KILLS:-30}
exec python3 - <<'EOF'
import os, random, signal, time
from world import *

D = 'control/ckpt/'
seed = int(os.environ.get('CKPTD_SEED', random.randrange(1 << 30)))
random.seed(seed)
print('CKPTD_SEED=%d' % seed)
SLOW = 'unique=1\n' + SCRIPT.replace('phase=', 'delay_ms=40\nphase=memory stored|1|2|3\nphase=')

with World('guest_requests = checkpoint\nguest_rate = 3600000/hour\nguest_burst = 10000\n', SLOW) as w:
    w.start()
    g = w.guest()
    g.wait('control/feature-ckpt', lambda v: v)
    g.watch('control/ckpt', 'killed')

    def descendants():
        out = []
        for p in os.listdir('/proc'):
            try:
                stat = open('/proc/%s/stat' % p).read()
            except (OSError, ValueError):
                continue
            if p.isdigit() and stat.rsplit(')', 1)[1].split()[1] == str(w.daemon.pid) and \
                    stat.rsplit(')', 1)[1].split()[0] != 'Z':
                out.append((int(p), stat.split('(', 1)[1].rsplit(')', 1)[0]))
        return out

    def send(pid, sig):
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass                        # a job's process that had done all

    def connect():
        try:
            c = Client(w.path('sock'))
            c.call('daemon.info')
            return c
        except OSError:
            return None

    kills = {}
    for n in range(int(os.environ['CKPTD_KILLS'])):
        key = 'k%d' % n
        try:
            w.client.ask('checkpoint.take', domain='web', key=key)
        except OSError:
            pass
        g.write(D + 'request', 'r%d checkpoint' % n)
        end = time.monotonic() + random.uniform(0, 0.25)
        while time.monotonic() < end:
            select.select([], [], [], 0.005)   # the moment is the test's subject
        victim = random.choice(['ckptd', 'ckptd-front', 'ckptd-door', 'ckptd-job'])
        if victim == 'ckptd':
            w.daemon.kill()
            w.daemon.wait()
            w.start()
        else:
            pids = [p for p, name in descendants() if name == victim]
            if not pids:
                victim = 'nobody'
            else:
                send(random.choice(pids), signal.SIGKILL)
        kills[victim] = kills.get(victim, 0) + 1
        w.client = w.until(connect, what='the socket')
        w.role('ckptd-door')
        # the guest's request is answered, one way or another
        g.wait(D + 'state', lambda v: v == 'idle r%d' % n)
        # the caller asks again with its key until it is done; it is done once
        def done():
            try:
                return w.client.call('checkpoint.take', domain='web', key=key, wait=True)
            except Failure as f:
                if f.word not in ('failed', 'cancelled', 'name-taken'):
                    raise
                return True
            except OSError:
                w.client = w.until(connect)
                return None
        w.until(done)
        w.until(lambda: all(j['state'] in ('done', 'failed', 'cancelled')
                            for j in w.call('job.list')['jobs']), what='an end of all jobs')
        assert w.read('calls').count('take is done: key-%s\n' % key) <= 1, key
    print('killed:', kills)
    # a role dies, and before the daemon looks there is news for it
    for _ in range(3):
        before, begun = (w.read('calls').count(of) for of in ('take is done', 'take domain=web'))
        w.call('checkpoint.take', domain='web')
        # it asks the daemon nothing from here on
        w.until(lambda: w.read('calls').count('take domain=web') > begun, what='the take')
        front = w.role('ckptd-front')
        w.daemon.send_signal(signal.SIGSTOP)
        os.kill(front, signal.SIGKILL)
        w.until(lambda: w.read('calls').count('take is done') > before, what='the end of the take')
        w.daemon.send_signal(signal.SIGCONT)
        w.client = w.until(connect, what='the socket')
        w.until(lambda: all(j['state'] in ('done', 'failed', 'cancelled')
                            for j in w.call('job.list')['jobs']), what='an end of all jobs')
        assert w.daemon.poll() is None
    w.set_script(SCRIPT)
    w.call('checkpoint.take', domain='web', wait=True)
    # a spare process that dies before it has read its task costs the caller
    # nothing, whenever the daemon learns of it: after, with, before the task
    def spare():
        all_of_it = sorted((name, p) for p, name in descendants())
        names = [name for name, _ in all_of_it]
        return names == ['ckptd-door', 'ckptd-front', 'ckptd-job'] and all_of_it[2][1]
    for when in ('after', 'with', 'before') * 3:
        pid, before = w.until(spare), w.read('calls').count('take domain')
        if when == 'after':
            send(pid, signal.SIGSTOP)
            job = w.call('checkpoint.take', domain='web')['job']['id']
            w.until(lambda: w.call('job.show', job=job)['job']['state']
                    in ('running', 'done'))
            send(pid, signal.SIGKILL)
        elif when == 'with':
            w.daemon.send_signal(signal.SIGSTOP)
            ask = w.client.ask('checkpoint.take', domain='web')
            send(pid, signal.SIGKILL)
            w.daemon.send_signal(signal.SIGCONT)
            job = w.client.reply(ask)['job']['id']
        else:
            send(pid, signal.SIGKILL)
            job = w.call('checkpoint.take', domain='web')['job']['id']
        assert w.call('job.wait', job=job)['job']['state'] == 'done', when
        assert w.read('calls').count('take domain') == before + 1, when
    # nothing is left but the roles and the spare process
    w.until(lambda: sorted(n for _, n in descendants()) ==
            ['ckptd-door', 'ckptd-front', 'ckptd-job'] or descendants() is None,
            what='nothing but the roles: %r' % (descendants(),))
    assert w.stop() == 0
    assert os.listdir(w.path('state')) == ['state']
print('done')
EOF
