#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# Several domains at one instant through the socket: one job, of which all that
# holds for a take holds for each domain; nobody else works on any of them meanwhile.
export PYTHONPATH=tests/fake/ckptd
exec python3 - <<'EOF'
import json, os, signal, subprocess, time
from world import *

CONF = '''guest_requests = checkpoint, quiesce
quiesce_timeout = 2
[domain db*]
guest_requests = checkpoint, quiesce
ring = 40M
when_full = give-up
'''
D = 'control/ckpt/'
DB = '99999999-2222-2222-2222-222222222222'
BOTH = SCRIPT + 'name=%s\ngroup=pair\ncheckpoint=0123456789abcdee\ndomain_name=db\nname=%s\ngroup=pair\n'

with World(CONF, SCRIPT + 'domain:9=db\ndomain:5=web\n') as w:
    w.start()
    web, db = w.guest(), w.guest(9, 'db', DB)
    for g in (web, db):
        g.wait('control/feature-ckpt', lambda v: v)

    def group(**params):
        return w.call('checkpoint.group', group='pair', domains=['web', 'db'], **params)

    def state(job):
        return w.call('job.show', job=job)['job']['state']

    def new_script(text):
        w.set_script(text)
        w.call('checkpoint.list')        # the spare processes have read the old one
        w.call('checkpoint.list')

    def restart(change=lambda state: state):
        w.daemon.kill()
        w.daemon.wait()
        w.write('state/state', change(w.read('state/state')))
        w.start()

    # one job with all that belongs to it; each domain with its own policy
    sub = Client(w.path('sock'))
    sub.call('event.subscribe')
    got = group(wait=True, name='n1', no_track=True)
    assert [(c['domain_name'], c['group']) for c in got['checkpoints']] == [('web', 'pair'), ('db', 'pair')], got
    ids = [c['id'] for c in got['checkpoints']]
    takes = [l for l in w.read('calls').splitlines() if l.startswith('take domain=')]
    assert takes == ['take domain=web name=n1 description=(none) exclude= flags=8 timeout_ms=0',
                     'take domain=db name=n1 description=(none) exclude= flags=8 timeout_ms=0 ring_mib=40 give-up'], takes
    assert w.read('calls').count('group name=pair count=2') == 1
    job = w.call('job.list')['jobs'][-1]
    assert (job['operation'], job['domain'], job['group'], job['domains']) == ('take', '', 'pair', ['web', 'db']), job
    assert (job['checkpoint'], job['checkpoints']) == ('', ids), job
    assert (job['stored_bytes'], job['pause_us']) == (8192, 1500), job
    seen = [sub.line()['params']['job'] for _ in range(5)]
    assert [j['state'] for j in seen] == ['queued', 'pre-hooks', 'running', 'post-hooks', 'done'], seen
    assert all(j['group'] == 'pair' and j['domains'] == ['web', 'db'] for j in seen), seen
    lines = [json.loads(l) for l in w.read('audit').splitlines()]
    assert [l['event'] for l in lines] == ['accepted', 'ended'], lines
    assert (lines[1]['group'], lines[1]['domains'], lines[1]['checkpoint'], lines[1]['rc']) == \
        ('pair', ['web', 'db'], ','.join(ids), 0), lines
    # asked for by number, and asked for what the policy does not say
    w.write('calls', '')
    w.call('checkpoint.group', group='pair', domains=['9', '5'], ring_mib=64, when_full='wait', wait=True)
    assert w.read('calls').count(' ring_mib=64') == 2 and 'give-up' not in w.read('calls')
    # a take of one domain names it as before, and in the list too
    w.call('checkpoint.take', domain='web', wait=True)
    job = w.call('job.list')['jobs'][-1]
    assert (job['domain'], job['group'], job['domains']) == ('web', '', ['web']), job
    assert job['checkpoints'] == [job['checkpoint']] != [''], job

    # what is no group
    for params in ({}, {'group': 'a'}, {'domains': ['web']}, {'group': 'a', 'domains': []},
                   {'group': 'a', 'domains': 'web'}, {'group': 'a', 'domains': [5]},
                   {'group': 'a', 'domains': ['']}, {'group': 'a', 'domains': ['a\tb']},
                   {'group': 'a', 'domains': ['x' * 128]}, {'group': 'a', 'domains': ['x'] * 33},
                   {'group': 'a', 'domains': ['x' * 64] * 20}, {'group': 'g' * 72, 'domains': ['web']},
                   {'group': '', 'domains': ['web']}, {'group': 'a', 'domain': 'web', 'domains': ['web']}):
        fails('usage', w.call, 'checkpoint.group', **params)
    fails('usage', w.call, 'checkpoint.take', domain='web', group='a')
    # as many as there may be, with names as long as there is room for
    w.call('checkpoint.group', group='many', domains=['m%030d' % i for i in range(32)], wait=True)
    assert len(w.call('job.list')['jobs'][-1]['checkpoints']) == 32
    # one that cannot be taken: none is
    new_script('take:db=-95 No snapshot of xvdc.\n' + SCRIPT)
    f = fails('not-supported', group, wait=True)
    assert str(f) == 'No snapshot of xvdc.', f

    # nobody else on any of them, however they are called, and in the order of asking
    def hold():
        w.write('held', '')
        new_script('held_by=%s\n' % w.path('held') + SCRIPT)
    def running(job):
        return w.until(lambda: w.call('job.show', job=job)['job']['progress']['phase'] == 'memory copied')
    hold()
    one = w.call('checkpoint.take', domain='9')['job']['id']
    running(one)
    pair = group()['job']['id']
    later = w.call('checkpoint.take', domain='web')['job']['id']
    other = w.call('checkpoint.take', domain='other')['job']['id']
    running(other)
    assert (state(pair), state(later)) == ('queued', 'queued')
    w.call('job.cancel', job=one)
    running(pair)
    assert state(later) == 'queued'
    # cancelled while it runs: the group is, and the next one's turn has come
    got = w.call('job.cancel', job=pair)['job']
    assert got['state'] == 'cancelled' and got['error']['code'] == 'cancelled' and got['checkpoints'] == [], got
    running(later)
    for job in (later, other):
        w.call('job.cancel', job=job)
    os.unlink(w.path('held'))

    # hooks are asked for each domain; who vetoes one vetoes all
    new_script(SCRIPT)
    def hook(name, body):
        w.write('hooks/' + name, '#!/bin/sh\n' + body)
        os.chmod(w.path('hooks/' + name), 0o755)
    hook('10-note', 'echo "$(cat)" >>%s/$1-in\n' % w.dir)
    group(wait=True)
    for phase in ('pre', 'post'):
        told = [json.loads(l) for l in w.read(phase + '-in').splitlines()]
        assert [(t['domain'], t['operation'], t['group']) for t in told] == \
            [('web', 'take', 'pair'), ('db', 'take', 'pair')], told
        assert all(t['domains'] == ['web', 'db'] for t in told)
        assert [t['checkpoint'] for t in told] == (ids if phase == 'post' else ['', '']), told
    n = w.read('calls').count('group name=')
    hook('20-veto', 'grep -q \'"domain":"db"\' || exit 0\necho not on Sundays\nexit 1\n')
    f = fails('not-permitted', group, wait=True)
    assert str(f) == '"db": Hook 20-veto refused: not on Sundays', f
    w.call('checkpoint.take', domain='web', wait=True)
    assert w.read('calls').count('group name=') == n
    os.unlink(w.path('hooks/20-veto'))
    # cancelled while the second is asked
    hook('20-hang', 'grep -q \'"domain":"db"\' || exit 0\nexec sleep 99 # lint: sleep ok: hangs\n')
    job = group()['job']['id']
    w.until(lambda: w.read('pre-in').count('"job":%d,' % job) == 2)
    assert w.call('job.cancel', job=job)['job']['state'] == 'cancelled'
    for name in ('10-note', '20-hang'):
        os.unlink(w.path('hooks/' + name))

    # a key is one job, also after a restart, and means no other
    job = group(key='k1')['job']['id']
    assert group(key='k1')['job']['id'] == job
    fails('usage', w.call, 'checkpoint.take', domain='web', key='k1')
    w.call('job.wait', job=job)
    restart()
    again = group(key='k1')['job']
    assert (again['state'], again['group'], again['domains'], again['checkpoints']) == \
        ('done', 'pair', ['web', 'db'], ids), again
    fails('usage', w.call, 'checkpoint.take', domain='web', key='k1')
    # cut off: the repeat is as it is asked for, and finds all or takes all
    hold()
    group(key='k2', disk_only=True)
    w.until(lambda: 'name=key-k2 ' in w.read('calls'))
    w.daemon.kill()
    w.daemon.wait()
    w.until(lambda: 'take is cancelled' in w.read('calls').split('key-k2')[1])
    os.unlink(w.path('held'))
    w.set_script('take=-17 taken\n' + BOTH % ('key-k2', 'other'))
    w.start()
    fails('name-taken', group, key='k2', disk_only=True, wait=True)      # one is not all
    assert w.read('calls').count('name=key-k2 description=(none) exclude= flags=1 ') == 2, w.read('calls')
    w.set_script('take=-17 taken\n' + BOTH % ('key-k2', 'key-k2'))
    restart(lambda text: '\n'.join(l.replace(' 5 -17 ', ' 5 -103 ') for l in text.splitlines()) + '\n')
    got = group(key='k2', disk_only=True, wait=True)
    assert got['existed'] is True and [c['domain_name'] for c in got['checkpoints']] == ['web', 'db'], got

    # frozen, all before the first is taken; thawed come what may
    os.mkdir(w.path('guest.d'))
    w.write('guest.d/10-a', '#!/bin/sh\n')
    os.chmod(w.path('guest.d/10-a'), 0o755)
    def ack(g, word):
        def is_it(v):
            number, order = g.read(D + 'quiesce').split()[:2]
            return v == number + ' ' + word and (word != 'frozen' or order == 'freeze')
        g.wait(D + 'quiesce-ack', is_it)
    new_script(SCRIPT)
    freeze = {'quiesce': True, 'disk_only': True, 'quiesce_timeout_ms': 600000}
    def levels():
        return [c['consistency'] for c in group(wait=True, **freeze)['checkpoints']]
    agents = [w.ckpt_guest(5, '-d', w.path('guest.d'), 'hooks', 'run')]
    web.wait(D + 'feature-quiesce', lambda v: v == '1')
    assert levels() == ['fs-frozen', 'crash']           # nobody answers in db
    agents.append(w.ckpt_guest(9, '-d', w.path('guest.d'), 'hooks', 'run'))
    db.wait(D + 'feature-quiesce', lambda v: v == '1')
    assert levels() == ['fs-frozen', 'fs-frozen']
    for victim in ('cancel', 'job', 'door', 'ckptd'):
        hold()
        job = group(**freeze)['job']['id']
        running(job)
        ack(web, 'frozen')
        ack(db, 'frozen')
        if victim == 'cancel':
            w.call('job.cancel', job=job)
        elif victim == 'job':
            os.kill(w.busy_job(), signal.SIGKILL)
        elif victim == 'door':
            os.kill(w.role('ckptd-door'), signal.SIGKILL)
        else:
            restart()
        for g in (web, db):
            ack(g, 'thawed')
        os.unlink(w.path('held'))
        if victim == 'door':
            w.call('job.cancel', job=job)
    for agent in agents:
        agent.terminate()
        assert agent.wait(LIMIT) == 0
    assert w.stop() == 0

# a checkpoint that stands by makes way for the group
with World('guest_requests = checkpoint\nguest_standby = yes\n[domain db]\nguest_standby = no\n') as w:
    w.start()
    w.guest()
    w.guest(9, 'db', DB)
    def standing():
        return w.read('log').count('web: a checkpoint stands by')
    w.until(lambda: standing() == 1)
    w.call('checkpoint.group', group='pair', domains=['db', 'web'], wait=True)
    assert w.read('calls').count('stood by: web -125') == 1
    w.until(lambda: standing() == 2)
    assert w.stop() == 0

# a schedule of a group: all that are here, when it is time for one; each keeps what
# its own policy says
OLD = ''.join('checkpoint=a00000000000000%d\nname=auto-%d\ndomain_name=web\ndomain_uuid=%s\n' % (i, i, UUID)
              for i in range(3))
SHOP = """schedule = 0
[domain web*]
schedule = 1h
schedule_quiesce = yes
guest_requests = quiesce
group = shop
keep_count = 1
[domain db*]
schedule = 1s
group = shop
keep_count = 2
[domain alone]
schedule = 1s
"""
with World(SHOP, SCRIPT + OLD) as w:
    w.start()
    def calls(start):
        return [l for l in w.read('calls').splitlines() if l.startswith(start)]
    w.guest()
    w.guest(8, 'alone', '88888888-2222-2222-2222-222222222222')
    w.guest(9, 'db', DB)
    w.until(lambda: len(calls('delete checkpoint=a000000000000001')) >= 2)
    assert set(calls('group')) == {'group name=shop count=2'}, calls('group')
    takes = [l.split()[1:3] for l in calls('take domain=')]
    of = {d: {name for domain, name in takes if domain == 'domain=' + d} for d in ('web', 'db', 'alone')}
    assert of['web'] == of['db'] and len(of['web']) >= 2 and of['alone'] - of['web'], of
    assert all(name.startswith('name=auto-2') for names in of.values() for name in names), of
    assert set(calls('freeze of')) == {'freeze of web'}, calls('freeze of')
    nr = len(calls('delete checkpoint=a000000000000001'))       # web keeps one, db two
    assert len(calls('delete checkpoint=a000000000000000')) in (2 * nr - 1, 2 * nr, 2 * nr + 1), w.read('calls')
    assert not calls('delete checkpoint=a000000000000002') and not calls('delete checkpoint=0')
    assert w.call('policy.show', domain='db')['policy']['group'] == 'shop'
    job = [j for j in w.call('job.list')['jobs'] if j['group']][-1]
    assert (job['origin'], job['group'], job['domains']) == ('schedule', 'shop', ['web', 'db']), job
    # one that goes is not waited for; one that is slower than the schedule is not overtaken
    w.xs('destroy', 5)
    w.until(lambda: 'group name=shop count=1' in w.read('calls'))
    w.set_script(SCRIPT.replace('phase=', 'delay_ms=2500\nphase='))
    w.until(lambda: 'db: no scheduled checkpoint: the last one is still under way' in w.read('log'))
    w.set_script(SCRIPT)
    # more than there may be: none is taken, and it is said
    for i in range(32):
        w.guest(20 + i, 'db%d' % i, '77777777-2222-2222-2222-0000000000%02d' % i)
    w.until(lambda: 'more than 32 domains' in w.read('log'))
    assert w.stop() == 0
    # one that was due while nobody was there waits until the others are met
    w.write('calls', '')
    w.write('state/state', ''.join(' '.join(l.split()[:5] + ['1\n']) if l.startswith('guest') else l + '\n'
                                   for l in w.read('state/state').splitlines()))
    for i in range(32):
        w.xs('destroy', 20 + i)
    begin = time.monotonic()
    w.start()
    w.guest(60, 'db60', '66666666-2222-2222-2222-222222222222')
    w.until(lambda: 'domain 60 "db60" is here' in w.read('log'))
    took = time.monotonic() - begin
    w.until(lambda: calls('group'))
    assert calls('group')[0] == 'group name=shop count=2' or took > 1.9, calls('group')
    assert w.stop() == 0
print('done')
EOF
