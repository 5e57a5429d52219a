#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The guest's door: what it may ask it gets, what it may not is refused, a
# flood costs nobody else anything, and no restart forgets or repeats.
export PYTHONPATH=tests/fake/ckptd
exec python3 - <<'EOF'
import math, os, signal, subprocess, time
from world import *

ALLOW = 'guest_requests = checkpoint, fork, rollback, quiesce\n'
RATE = 'guest_rate = 3600000/hour\nguest_burst = 1000\n'
D = 'control/ckpt/'
CHILD = '33333333-3333-3333-3333-333333333333'
BORN = 'result=web-fork-1|%s|7|5\n' % CHILD


def out(p, status=0, timeout=LIMIT):
    so, se = p.communicate(timeout=timeout)
    assert p.returncode == status, (p.args, p.returncode, so, se)
    return so.strip() or se.strip()


with World(ALLOW + RATE + '[domain quiet]\nguest_requests = none\n', BORN + SCRIPT) as w:
    w.start()
    quiet = w.guest(9, 'quiet', '99999999-2222-2222-2222-222222222222')
    g = w.guest()
    assert g.wait('control/feature-ckpt', lambda v: v) == '1'
    assert g.read(D + 'allow') == 'checkpoint fork rollback quiesce'
    birth = g.read(D + 'birth')
    assert len(birth) == 32
    # off by default: no subtree at all
    assert quiet.list('control') == []
    assert 'may not ask' in out(w.ckpt_guest(9, 'checkpoint'), 3)

    # ckpt-guest gets what it asks for
    assert out(w.ckpt_guest(5, 'checkpoint')) == 'taken 0123456789abcdef'
    assert ' name=guest-2' in w.read('calls')
    assert out(w.ckpt_guest(5, 'fork')) == 'parent 1'
    assert 'fork source=web name=(none) count=1 flags=2 ' in w.read('calls')   # no network
    assert 'refused quota' in out(w.ckpt_guest(5, 'fork', '2'), 4)
    w.set_script('take=-28 full\nrollback=-5 no\n' + BORN + SCRIPT)
    assert out(w.ckpt_guest(5, 'checkpoint'), 1) == 'ckpt-guest: failed space'
    assert out(w.ckpt_guest(5, 'rollback'), 1) == 'ckpt-guest: failed none'     # none of its own
    w.set_script(BORN + SCRIPT.replace('name=one', 'name=guest-20261121-000000-000'))
    assert out(w.ckpt_guest(5, 'rollback')) == 'rollback 0123456789abcdef'
    assert 'rollback domain=web checkpoint=0123456789abcdef flags=0' in w.read('calls')
    w.set_script(BORN + SCRIPT)

    # a child knows that it is one: the fork's process runs on there
    w.xs('create', 6, 'old', '66666666-2222-2222-2222-222222222222')
    old = w.xs.guest(6)
    old.wait('control/feature-ckpt', lambda v: v)
    waits = w.ckpt_guest(6, 'wait')
    # it watches when it has read who it is, not before
    w.until(lambda: w.xs('watches', 6) == '1', what='its watch')
    dom0 = w.xs.dom0()
    home = '/local/domain/6/' + D
    dom0.write(home + 'origin', 'fork 3')
    dom0.write(home + 'birth', 'f' * 32)
    assert out(waits) == 'child 3'
    w.set_script(SCRIPT.replace('phase=', 'delay_ms=500\nphase=') + BORN)
    job = w.call('checkpoint.fork', domain='web')['job']['id']
    child = w.guest(7, 'web-fork-1', CHILD)      # there before the job ends
    w.call('job.wait', job=job)
    child.wait('control/feature-ckpt', lambda v: v)
    assert child.read(D + 'origin') == 'fork 1'
    assert child.read(D + 'birth') != birth
    w.set_script(BORN + SCRIPT)
    # its own fork counts against the parent's quota for as long as it lives
    n = w.read('calls').count('fork source')
    p = w.ckpt_guest(5, 'fork')
    assert 'refused quota' in out(p, 4), 'a child of its own lives'
    assert w.read('calls').count('fork source') == n
    # nor has the child any of its own, also when the daemon was started anew
    assert 'refused quota' in out(w.ckpt_guest(7, 'fork'), 4), 'a child of a child'
    assert w.stop() == 0
    w.start()
    w.until(lambda: 'refused quota' in w.ckpt_guest(7, 'fork').communicate()[1], what='the door')
    assert w.read('calls').count('fork source') == n
    w.xs('destroy', 7)
    w.until(lambda: w.ckpt_guest(5, 'fork').wait() == 0, what='a fork after the child has gone')

    # what a guest must not do: each is refused, and harms nobody
    for path in ('state', 'result', 'allow', 'birth', 'quiesce', 'x'):
        try:
            g.write(D + path, 'x')
            raise AssertionError(path)
        except OSError as e:
            assert str(e) == 'EACCES', e
    for bad in ('', ' ', 'x', 'id nothing', 'i/../d checkpoint', 'a  checkpoint', 'a checkpoint x',
                'a fork -1', 'a fork 257', 'a fork 1 1', 'x' * 17 + ' checkpoint', b'\xff\xfe',
                b'a\0checkpoint', 'a' * 2000, '../../0/name checkpoint'):
        before = w.read('calls').count('take domain')
        g.write(D + 'request', bad)
    g.write(D + 'request', 'ok1 checkpoint')
    g.wait(D + 'result', lambda v: v.startswith('ok1 ok'))
    g.write(D + 'request', 'ok1 checkpoint')           # the same again is nothing new
    for i in range(20):
        g.write(D + 'request/x%d/y' % i, 'z')           # nodes of its own, below
    g.remove(D + 'request')
    g.wait(D + 'request', lambda v: v == '')
    def write_again():                                 # it is the guest's a moment later
        try:
            g.write(D + 'request', 'ok2 checkpoint')
            return True
        except OSError:
            return False
    w.until(write_again)
    g.wait(D + 'result', lambda v: v.startswith('ok2 ok'))

    # a flood: few requests of ours to xenstore, another guest is served, and
    # the last word of the flood is heard in the end
    other = w.guest(8, 'other', '88888888-2222-2222-2222-222222222222')
    other.wait('control/feature-ckpt', lambda v: v)
    time_of = []
    def serve(tag):
        t = time.monotonic()
        other.write(D + 'request', '%s checkpoint' % tag)
        other.wait(D + 'result', lambda v: v.startswith(tag + ' ok'))
        time_of.append(time.monotonic() - t)
    for i in range(20):
        serve('q%d' % i)
    calm = sorted(time_of)[10]
    asked_before, log_before = int(w.xs('count')), len(w.read('log'))
    rss = lambda: [int(l.split()[1]) for l in open('/proc/%d/status' % w.role('ckptd-door'))
                   if l.startswith('VmRSS')][0]
    rss_before = rss()
    time_of.clear()
    begin = time.monotonic()
    for i in range(10000):
        g.write(D + 'request', 'f%d checkpoint' % i)
        if i % 500 == 250:
            serve('r%d' % i)
    flooded = sorted(time_of)[10]
    asked = int(w.xs('count')) - asked_before
    print('flood: 10000 writes, %d requests of ours, other guest %.2f ms calm, %.2f ms flooded, '
          'RSS +%d KiB' % (asked, calm * 1e3, flooded * 1e3, rss() - rss_before))
    # what is looked at between two spells of silence, of which each is twice the last
    spells = 2 + math.log2(1 + time.monotonic() - begin)
    assert asked < 400 + spells * 32 * 6, (asked, spells)
    if not B.endswith('-san'):      # a sanitizer has its own idea of memory
        assert rss() - rss_before < 1024
    assert len(w.read('log')) - log_before < 200000
    g.wait(D + 'state', lambda v: v == 'idle f9999', 64 + LIMIT)

    # the rate holds across restarts of everything
    w.set_conf(ALLOW + 'guest_rate = 1/hour\nguest_burst = 2\n')
    w.daemon.send_signal(signal.SIGHUP)
    w.until(lambda: 'is read' in w.read('log'))
    # a fork asks at its parent's expense
    child = w.guest(7, 'web-fork-1', CHILD)      # that of the last fork
    child.wait('control/feature-ckpt', lambda v: v)
    assert out(w.ckpt_guest(5, 'checkpoint')).startswith('taken')
    assert out(w.ckpt_guest(7, 'checkpoint')).startswith('taken')
    assert 'refused rate' in out(w.ckpt_guest(5, 'checkpoint'), 4)
    assert 'refused rate' in out(w.ckpt_guest(7, 'checkpoint'), 4)
    w.xs('destroy', 7)
    # what is refused for lack of room costs nothing of it
    w.write('held', '')
    w.set_script('held_by=%s\n' % w.path('held') + SCRIPT)
    jobs = []
    def is_full():
        try:
            jobs.append(w.call('checkpoint.take', domain='web')['job']['id'])
        except Failure as f:
            return f.word == 'busy'
        return False
    while not is_full():
        assert len(jobs) < 140          # one may have had the script of before
    assert 'refused busy Too many jobs' in out(w.ckpt_guest(8, 'checkpoint'), 4)
    w.set_script(BORN + SCRIPT)
    os.unlink(w.path('held'))
    for job in jobs:                    # no one reply takes long
        w.call('job.wait', job=job)
    n = w.read('calls').count('take domain=other')
    assert out(w.ckpt_guest(8, 'checkpoint')).startswith('taken')
    os.kill(w.role('ckptd-door'), signal.SIGKILL)
    w.until(lambda: 'the door role ended' in w.read('log'))
    assert out(w.ckpt_guest(8, 'checkpoint')).startswith('taken')
    assert 'refused rate' in out(w.ckpt_guest(8, 'checkpoint'), 4)
    assert w.stop() == 0
    birth = other.read(D + 'birth')
    w.start()
    w.until(lambda: 'refused rate' in w.ckpt_guest(8, 'checkpoint').communicate()[1])
    assert w.read('calls').count('take domain=other') == n + 2
    assert other.read(D + 'birth') == birth

    # a request under way when the daemon is killed: undone, and said
    w.set_conf(ALLOW + RATE)
    w.daemon.send_signal(signal.SIGHUP)
    w.until(lambda: w.read('log').count('is read') == 2)
    w.write('held', '')
    w.set_script(BORN + 'held_by=%s\n' % w.path('held') + SCRIPT)
    n = w.read('calls').count('take domain=other')
    p = w.ckpt_guest(8, 'checkpoint')
    other.wait(D + 'state', lambda v: v.startswith('busy'))
    w.until(lambda: w.read('calls').count('take domain=other') > n)
    # and what was refused meanwhile is refused for good, whoever is started anew
    busy = other.read(D + 'state')
    other.write(D + 'request', 'late checkpoint')
    other.wait(D + 'result', lambda v: v.startswith('late refused busy'))
    door = w.role('ckptd-door')
    os.kill(door, signal.SIGKILL)
    w.until(lambda: w.role('ckptd-door') != door, what='another door')
    other.write(D + 'request', 'later checkpoint')
    other.wait(D + 'result', lambda v: v.startswith('later refused busy'))
    assert other.read(D + 'state') == busy
    w.daemon.kill()
    w.daemon.wait()
    w.set_script(BORN + SCRIPT)
    w.start()
    p.wait(LIMIT)
    # the spare process of before may have had the slow script: one or the other
    assert 'failed interrupted' in p.stderr.read(), 'not said'
    w.until(lambda: 'take is cancelled' in w.read('calls'))
    os.unlink(w.path('held'))
    other.wait(D + 'state', lambda v: v == 'idle later')
    other.write(D + 'request', 'next checkpoint')
    other.wait(D + 'result', lambda v: v.startswith('next ok'))
    assert w.read('calls').count('take domain=other') == n + 2

    # what ends, or is asked, while there is no door is answered by the next one
    def asked_of():
        return w.read('calls').count('take domain=other')
    held = w.path('held')
    w.write('held', '')
    w.set_script('held_by=%s\n' % held + SCRIPT)
    n = w.read('calls').count('take domain=web')
    w.call('checkpoint.take', domain='web', wait=False)    # and the spare process is a slow one
    w.until(lambda: w.read('calls').count('take domain=web') > n)
    n = asked_of()
    other.write(D + 'request', 'e1 checkpoint')
    other.wait(D + 'state', lambda v: v == 'busy e1')
    w.until(lambda: asked_of() == n + 1)
    ends = w.read('calls').count('take is done')
    door = w.role('ckptd-door')
    w.daemon.send_signal(signal.SIGSTOP)
    os.kill(door, signal.SIGKILL)
    os.unlink(held)
    w.until(lambda: w.read('calls').count('take is done') == ends + 2, what='the end of the take')
    w.daemon.send_signal(signal.SIGCONT)
    seen = other.wait(D + 'result', lambda v: v.startswith('e1 '))
    assert seen == 'e1 ok checkpoint 0123456789abcdef', seen
    other.wait(D + 'state', lambda v: v == 'idle e1')
    # the door dies with the news that it was accepted: it is not run again
    n = asked_of()
    door = w.role('ckptd-door')
    w.daemon.send_signal(signal.SIGSTOP)
    looked = int(w.xs('count'))
    other.write(D + 'request', 'e2 checkpoint')
    w.until(lambda: int(w.xs('count')) > looked, what='the look of the door')
    os.kill(door, signal.SIGKILL)
    w.daemon.send_signal(signal.SIGCONT)
    other.wait(D + 'result', lambda v: v.startswith('e2 ok'))
    other.write(D + 'request', 'e3 checkpoint')
    other.wait(D + 'result', lambda v: v.startswith('e3 ok'))
    assert asked_of() == n + 2, asked_of()

    # xenstored drops us: we come back by ourselves
    w.xs('drop')
    w.until(lambda: 'xenstored is gone' in w.read('log'))
    assert out(w.ckpt_guest(8, 'checkpoint')).startswith('taken')
    # policy taken away: the door closes
    w.set_conf('')
    w.daemon.send_signal(signal.SIGHUP)
    other.wait('control/feature-ckpt', lambda v: v is None)
    other.wait(D + 'version', lambda v: v is None)
    # but who it is it stays, or it would take itself for a copy when the door opens again
    w.until(lambda: sorted(other.list(D[:-1])) == ['birth', 'origin'], what='an empty door')
    waits = w.ckpt_guest(8, 'hooks', 'run')      # an agent may come before the door
    w.set_conf(ALLOW + RATE)
    w.daemon.send_signal(signal.SIGHUP)
    other.wait(D + 'feature-quiesce', lambda v: v == '1')
    assert other.read(D + 'birth') == birth
    waits.terminate()
    assert waits.wait(LIMIT) == 0
    # taken away while there is no daemon, or no door: the next one closes it
    assert w.stop() == 0
    w.set_conf('')
    w.start()
    w.until(lambda: sorted(other.list(D[:-1])) == ['birth', 'origin'], what='an empty door')
    assert other.read('control/feature-ckpt') is None
    w.set_conf(ALLOW + RATE)
    w.daemon.send_signal(signal.SIGHUP)
    other.wait('control/feature-ckpt', lambda v: v == '1')
    # a configuration that is wrong changes nothing
    w.set_conf('nonsense\n')
    w.daemon.send_signal(signal.SIGHUP)
    w.until(lambda: 'stays as it was' in w.read('log'))
    # also for roles that are started anew
    front, door = w.role('ckptd-front'), w.role('ckptd-door')
    os.kill(front, signal.SIGKILL)
    os.kill(door, signal.SIGKILL)
    w.until(lambda: w.role('ckptd-front') != front and w.role('ckptd-door') != door)
    w.client = Client(w.path('sock'))
    assert w.call('policy.show', domain='8')['policy']['guest_requests'] != []
    assert out(w.ckpt_guest(8, 'checkpoint')).startswith('taken')
    assert w.stop() == 0
print('done')
EOF
