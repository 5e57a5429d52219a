#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The socket of ckptd: requests, jobs, keys, events, rights, limits; nothing a
# client sends disturbs another one.
export PYTHONPATH=tests/fake/ckptd
exec python3 - <<'EOF'
import json, os, signal, socket, subprocess, sys
from world import *

with World(xenstore=False) as w:
    def hold():
        w.write('held', '')
        w.set_script('held_by=%s\n' % w.path('held') + SCRIPT)
    def let_go():
        w.set_script(SCRIPT)
        os.unlink(w.path('held'))
    w.start()
    info = w.call('daemon.info')
    assert info['right'] == 'admin' and info['protocol'] == 1, info

    # the result at once, or a job to wait for
    got = w.call('checkpoint.take', domain='web', wait=True)
    assert got['checkpoint']['id'] == '0123456789abcdef', got
    job = w.call('checkpoint.take', domain='web', name='n1', exclude_disks=['xvdb'])['job']
    assert job['state'] in ('queued', 'pre-hooks', 'running', 'done'), job
    end = w.call('job.wait', job=job['id'])
    assert end['job']['state'] == 'done', end
    assert end['result']['checkpoint']['name'] == 'one'
    assert 'take domain=web name=n1 description=(none) exclude=xvdb, flags=0 timeout_ms=0' \
        in w.read('calls').splitlines()
    assert w.call('checkpoint.list')['total'] == 1
    assert w.call('checkpoint.show', checkpoint='one')['checkpoint']['id'][0] == '0'
    assert w.call('policy.show', domain='web')['policy']['guest_requests'] == []
    assert [j['operation'] for j in w.call('job.list')['jobs']] == ['take', 'take']

    # what fails, fails with the library's words and xl's codes
    fails('not-found', w.call, 'checkpoint.show', checkpoint='nope')
    w.set_script('take=-28 The store is full.\nverify=-117 bad page\nverified=7|1|4\n'
                 'delete:gone=-2 nothing\n' + SCRIPT)
    f = fails('no-space', w.call, 'checkpoint.take', domain='web', wait=True)
    assert f.error == {'code': -32000, 'message': 'The store is full.',
                       'data': {'code': 'no-space', 'exit': 6}}, f.error
    fails('damaged', w.call, 'checkpoint.verify', checkpoint='one', wait=True)
    assert w.call('checkpoint.delete', checkpoint='gone', wait=True) == {'existed': False}
    w.set_script(SCRIPT)

    # bad requests: an answer each, and the connection lives
    c = Client(w.path('sock'))
    for text, code in [('{', -32700), ('[]', -32600), ('{"jsonrpc":"2.0"}', -32600),
                       ('{"jsonrpc":"1.0","method":"daemon.info","id":1}', -32600),
                       ('{"jsonrpc":"2.0","method":"daemon.info","id":{}}', -32600),
                       ('{"jsonrpc":"2.0","method":"x","id":1}', -32601),
                       ('{"jsonrpc":"2.0","method":"daemon.info","id":1,"params":[]}', -32602),
                       ('{"jsonrpc":"2.0","method":"daemon.info","id":1,"params":{"a":1}}', -32602),
                       ('{"jsonrpc":"2.0","id":1,"id":2,"method":"daemon.info"}', -32700),
                       ('[' * 100, -32700), ('"\\u0000"', -32700), ('\x01\x02', -32700)]:
        c.send(text + '\n')
        got = c.line()
        assert got['error']['code'] == code, (text, got)
    for params in [{}, {'domain': 5}, {'domain': ''}, {'domain': 'x' * 200}, {'domain': 'a\nb'},
                   {'domain': 'a', 'timeout_ms': -1}, {'domain': 'a', 'paused': 1},
                   {'domain': 'a', 'exclude_disks': 'x'}, {'domain': 'a', 'exclude_disks': [1]},
                   {'domain': 'a', 'exclude_disks': ['x'] * 17}, {'domain': 'a', 'key': 'a b'},
                   {'domain': 'a', 'ring_mib': 1025}, {'domain': 'a', 'ring_mib': '64'},
                   {'domain': 'a', 'when_full': 'never'}, {'domain': 'a', 'when_full': True},
                   {'domain': 'a', 'key': 'k' * 64}, {'domain': 'a', 'flags': 1}]:
        fails('usage', c.call, 'checkpoint.take', **params)
    c.send('{"jsonrpc":"2.0","method":"daemon.info"}\n')      # nobody wants that reply
    c.send('{"jsonrpc":"2.0","id":"s\\"x","method":"daemon.info"}\r\n')
    assert c.line()['id'] == 's"x'
    # two in one packet, one in two
    c.send('{"jsonrpc":"2.0","id":8,"method":"daemon.info"}\n{"jsonrpc":"2.0",')
    assert c.line()['id'] == 8
    c.send('"id":9,"method":"daemon.info"}\n')
    assert c.line()['id'] == 9
    # a line that is too long is the end of that client alone
    try:
        c.send(b'x' * 70000)
        assert c.line()['error']['code'] == -32600
        c.line()
        raise AssertionError('not closed')
    except (ConnectionError, BrokenPipeError):
        pass
    assert w.call('daemon.info')['uid'] == os.getuid()

    # 200 that connect and say nothing, or half a line; 32 replies owed
    idle = []
    for i in range(200):
        s = socket.socket(socket.AF_UNIX)
        s.connect(w.path('sock'))
        try:
            s.send(b'{"json')
        except BrokenPipeError:
            pass                       # one too many: refused
        idle.append(s)
    assert w.call('daemon.info')
    for s in idle:
        s.close()
    hold()
    w.until(lambda: w.call('daemon.info'))
    c = w.until(lambda: Client(w.path('sock')))
    job = w.call('checkpoint.take', domain='slow')['job']['id']
    for i in range(32):
        c.ask('job.wait', job=job)
    fails('busy', c.call, 'job.wait', job=job)
    let_go()
    for i in range(1, 33):
        assert c.reply(i)['job']['state'] == 'done'

    # 160 queries that wait: some of them are too many, what is work is not
    w.call('checkpoint.list')           # the spare process has the old script
    w.daemon.send_signal(signal.SIGSTOP)
    many = [Client(w.path('sock')) for _ in range(5)]
    for m in many:
        for i in range(32):
            m.ask('checkpoint.list')
        m.call('daemon.info')           # the front has passed them on
    ask = w.client.ask('checkpoint.take', domain='web')
    w.daemon.send_signal(signal.SIGCONT)
    assert w.client.reply(ask)['job']
    good = 0
    for m in many:
        for i in range(32):
            got = m.line()
            good += 'result' in got
            assert 'result' in got or got['error']['message'] == 'Too many queries are waiting.', got
        m.sock.close()
    assert 63 <= good <= 160, good      # the daemon may have one of its own

    # a client that does not read is cut off; memory stays where it is
    def rss():
        with open('/proc/%d/status' % w.role('ckptd-front'), encoding='ascii') as f:
            return int([l.split()[1] for l in f if l.startswith('VmRSS')][0])
    w.set_script(SCRIPT)
    before = rss()
    deaf = Client(w.path('sock'))
    deaf.sock.settimeout(5)
    line = b'{"jsonrpc":"2.0","id":1,"method":"job.list"}\n'
    try:
        for i in range(20000):
            deaf.send(line * 10)
    except (OSError, socket.timeout):
        pass
    assert w.call('daemon.info')
    if not B.endswith('-san'):      # a sanitizer has its own idea of memory
        assert rss() - before < 6000, (before, rss())
    deaf.sock.close()

    # cancel: waiting, and running
    hold()
    a = w.call('checkpoint.take', domain='slow')['job']['id']
    b = w.call('checkpoint.take', domain='slow')['job']['id']
    w.until(lambda: w.call('job.show', job=a)['job']['progress']['phase'] == 'memory copied')
    assert w.call('job.show', job=b)['job']['state'] == 'queued'
    assert w.call('job.cancel', job=b)['job']['state'] == 'cancelled'
    got = w.call('job.cancel', job=a)['job']
    assert got['state'] == 'cancelled' and got['error']['code'] == 'cancelled', got
    assert 'take is cancelled' in w.read('calls')
    assert w.call('job.cancel', job=a)['job']['state'] == 'cancelled'
    fails('not-found', w.call, 'job.cancel', job=1)
    let_go()

    # events, with and without progress
    w.set_script(SCRIPT.replace('phase=', 'delay_ms=50\nphase=memory stored|1|2|3\nphase='))
    sub, quiet = Client(w.path('sock')), Client(w.path('sock'))
    assert sub.call('event.subscribe', progress=True) == {'subscribed': True}
    assert quiet.call('event.subscribe') == {'subscribed': True}
    w.call('checkpoint.take', domain='web', wait=True)
    def states(client):
        seen = []
        while not seen or seen[-1][0] != 'done':
            job = client.line()['params']['job']
            seen.append((job['state'], job['progress']['phase']))
        return seen
    seen = states(sub)
    assert ('running', 'memory stored') in seen and ('running', 'memory copied') in seen, seen
    assert [s for s, _ in states(quiet)] == ['queued', 'pre-hooks', 'running', 'post-hooks', 'done']

    # a key is one job, also after a restart
    w.set_script(SCRIPT)
    one = w.call('checkpoint.take', domain='web', key='k1')['job']['id']
    assert w.call('checkpoint.take', domain='web', key='k1')['job']['id'] == one
    fails('usage', w.call, 'checkpoint.rollback', domain='web', key='k1')
    f = fails('usage', w.call, 'checkpoint.take', domain='db', key='k1', wait=True)
    assert 'The key "k1" was used for another request (take web)' in str(f), f
    fails('usage', w.call, 'checkpoint.group', group='web', domains=['web'], key='k1')
    w.call('checkpoint.verify', checkpoint='one', key='v1', wait=True)
    w.call('job.wait', job=one)
    n = w.read('calls').count('name=key-k1 ')
    assert n == 1, n
    assert w.stop() == 0
    assert not os.path.exists(w.path('sock'))
    w.start()
    again = w.call('checkpoint.take', domain='web', key='k1')['job']
    assert again['state'] == 'done' and again['checkpoint'] == '0123456789abcdef', again
    assert w.read('calls').count('name=key-k1 ') == 1
    # and stays that of what it was used for
    n = w.read('calls').count('verify')
    fails('usage', w.call, 'checkpoint.take', domain='db', key='k1')
    fails('usage', w.call, 'checkpoint.verify', checkpoint='two', key='v1')
    assert w.call('checkpoint.verify', checkpoint='one', key='v1')['job']['state'] == 'done'
    assert w.read('calls').count('verify') == n
    # of one that was cut off, the repeat finds what the first had made
    hold()
    w.call('checkpoint.take', domain='web', key='k2')
    w.until(lambda: 'name=key-k2 ' in w.read('calls'))
    w.daemon.kill()
    w.daemon.wait()
    w.until(lambda: 'take is cancelled' in w.read('calls').split('key-k2')[1])
    let_go()
    w.set_script('take=-17 taken\n' + SCRIPT.replace('name=one', 'name=key-k2'))
    w.start()
    got = w.call('checkpoint.take', domain='web', key='k2', wait=True)
    assert got['existed'] is True and got['checkpoint']['name'] == 'key-k2', got
    w.set_script(SCRIPT)

    # however many have looked at the store since
    again = w.call('checkpoint.take', domain='web', key='k1')['job']
    for i in range(330):
        w.call('checkpoint.list')
    assert w.call('checkpoint.take', domain='web', key='k1')['job']['id'] == again['id']
    assert w.read('calls').count('name=key-k1 ') == 1

    # the metrics say it too; other paths and methods are refused
    def get(path, *more):
        return subprocess.run(['curl', '-s', '-i', '--max-time', '5', '--unix-socket',
                               w.path('metrics'), 'http://x' + path, *more],
                              capture_output=True, text=True, check=True).stdout
    text = get('/metrics')
    assert '200 OK' in text and 'ckptd_jobs_total{operation="take",origin="socket",outcome="done"} 1' in text
    assert '404' in get('/').splitlines()[0] and '405' in get('/metrics', '-d', 'x').splitlines()[0]

    # the audit log has who, what, when and the outcome
    lines = [json.loads(l) for l in w.read('audit').splitlines()]
    last = [l for l in lines if l['key'] == 'k2'][-1]
    assert last['event'] == 'ended' and last['uid'] == os.getuid() and last['state'] == 'done'
    assert os.stat(w.path('audit')).st_mode & 0o777 == 0o600
    assert w.stop() == 0
print('done')
EOF
