#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# docs/specs/socket.md is what the daemon does: every method with its right
# and parameters, and every answer as the schema has it.
export PYTHONPATH=tests/fake/ckptd
exec python3 - <<'EOF'
import json, os, re, signal, subprocess, sys
from world import *

text = open('docs/specs/socket.md', encoding='utf-8').read()
schema = json.loads(re.search(r'```json\n(.*?)```', text, re.S).group(1))
rows = dict((m.group(1), (m.group(2), re.findall(r'`(\w+)`', m.group(3))))
            for m in re.finditer(r'^\| `([a-z.]+)` \| (\w+) \| ([^|]*)\|', text, re.M))
assert set(rows) == set(schema['results']), set(rows) ^ set(schema['results'])

# the table of the source
source = open('ckptd/methods.c', encoding='utf-8').read()
source = source[source.index('static const struct method methods[]'):]
found = {}
for m in re.finditer(r'\{\s*"([a-z.]+)",\s*RIGHT_(\w+),\s*\w+,\s*PARAMS\(([^)]*)\)', source):
    found[m.group(1)] = (m.group(2).lower(), re.findall(r'"(\w+)"', m.group(3)))
assert found == rows, [(k, found.get(k), rows.get(k)) for k in set(found) | set(rows)
                       if found.get(k) != rows.get(k)]

NAMES = {'object': dict, 'array': list, 'string': str, 'integer': int, 'boolean': bool,
         'null': type(None)}


def check(value, s, at):
    if '$ref' in s:
        return check(value, schema[s['$ref']], at)
    if 'enum' in s:
        assert value in s['enum'], (at, value)
    if 'type' in s:
        types = [s['type']] if isinstance(s['type'], str) else s['type']
        assert any(type(value) is NAMES[t] for t in types), (at, value, types)
    if isinstance(value, dict):
        for name in s.get('required', []):
            assert name in value, (at, name)
        for name, one in value.items():
            if name in s.get('properties', {}):
                check(one, s['properties'][name], at + '.' + name)
            else:
                assert s.get('additionalProperties', True), (at, name)
    if isinstance(value, list):
        for i, one in enumerate(value):
            check(one, s.get('items', {}), '%s[%d]' % (at, i))


# a checker that lets everything pass would be no check
for wrong in ({'id': 1}, {'jsonrpc': '2.0', 'id': 1.5}, {'jsonrpc': '2.0', 'id': 1, 'x': 1}):
    try:
        check(wrong, schema['reply'], 'wrong')
    except AssertionError:
        continue
    raise AssertionError(wrong)

SCRIPT2 = ('verified=7|1|4\nresult=web-2|%s|7|1234\nresult=web-3|%s|8|1234\n' % (UUID, UUID)) + SCRIPT
DONE = {
    'checkpoint.list': {'domain': 'web'}, 'checkpoint.show': {'checkpoint': 'one'},
    'checkpoint.take': {'domain': 'web'}, 'checkpoint.group': {'group': 'pair', 'domains': ['web', 'db']},
    'checkpoint.rollback': {'domain': 'web'},
    'checkpoint.fork': {'domain': 'web', 'count': 2}, 'checkpoint.verify': {'checkpoint': 'one'},
    'checkpoint.delete': {'checkpoint': 'one'}, 'store.prune': {'keep_count': 1, 'prefix': 'x', 'compress': True},
    'policy.show': {'domain': 'web'}, 'job.list': {}, 'event.subscribe': {}, 'daemon.info': {},
}
with World('guest_requests = checkpoint\n', SCRIPT2, xenstore=False) as w:
    # groups whose rights are told apart; nobody has its own
    w.set_conf('read_group = games\noperate_group = mail\nadmin_group = news\n')
    w.start()
    c = w.client
    def exchange(client, method, params):
        client.id += 1
        client.send(json.dumps({'jsonrpc': '2.0', 'id': client.id, 'method': method,
                                'params': params}) + '\n')
        while True:
            got = client.line()
            check(got, schema['event' if 'method' in got else 'reply'], method)
            if got.get('id') == client.id:
                return got
    for method, params in DONE.items():
        if 'wait' in rows[method][1]:
            got = exchange(c, method, params)
            if method not in ('checkpoint.list', 'checkpoint.show'):
                check(got['result'], {'properties': {'job': {'$ref': 'job'}},
                                      'required': ['job'], 'additionalProperties': False}, method)
                job = got['result']['job']['id']
            params = dict(params, wait=True)
        got = exchange(c, method, params)
        props = schema['results'][method]
        check(got['result'], {'type': 'object', 'properties': props, 'required': list(props),
                              'additionalProperties': False}, method)
    for method in ('job.show', 'job.wait', 'job.cancel'):
        got = exchange(c, method, {'job': job})
        check(got['result'], {'properties': dict(schema['results'][method], result={}),
                              'required': ['job'], 'additionalProperties': False}, method)
    for line in ('{', '{}', '{"jsonrpc":"2.0","id":1,"method":"no"}'):
        c.send(line + '\n')
        check(c.line(), schema['reply'], line)

    # rights: what each group may, by the table
    if os.getuid() == 0:
        prog = ('import sys; sys.path.insert(0, "tests/fake/ckptd"); from world import *\n'
                'c = Client(sys.argv[1])\n'
                'for m in sys.argv[2:]:\n'
                '    try:\n        c.call(m, **{"no such parameter": 1})\n'
                '    except Failure as f:\n        print(m, f.word)\n')
        order = ['read', 'operate', 'admin']
        # nobody in the one group as its first, and as a further one
        for level, group in enumerate(['games', 'mail', 'news']):
            for ids in (['--regid', group, '--clear-groups'], ['--regid', 'nogroup', '--groups', group]):
                out = subprocess.run(['setpriv', '--reuid', 'nobody', *ids, sys.executable, '-c', prog,
                                      w.path('sock'), *rows], capture_output=True, text=True, check=True).stdout
                said = dict(l.split() for l in out.splitlines())
                for method, (needs, _) in rows.items():
                    wanted = 'usage' if order.index(needs) <= level else 'not-permitted'
                    assert said[method] == wanted, (group, method, said[method])
        out = subprocess.run(['setpriv', '--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups',
                              sys.executable, '-c', 'import sys; sys.path.insert(0, "tests/fake/ckptd")\n'
                              'from world import *\nc = Client(sys.argv[1])\nprint(c.line())\n'
                              'try:\n    c.line()\nexcept ConnectionError:\n    print("closed")\n',
                              w.path('sock')], capture_output=True, text=True, check=True).stdout
        assert 'not-permitted' in out and out.endswith('closed\n'), out
        # a group that is not there gives no right, and takes none of the others along
        w.set_conf('read_group = games\noperate_group = nosuchgroup\nadmin_group = nogroup\n')
        w.daemon.send_signal(signal.SIGHUP)
        w.until(lambda: 'is read' in w.read('log'))
        assert 'no group "nosuchgroup"' in w.read('log')
        def right(*groups):
            out = subprocess.run(['setpriv', '--reuid', 'nobody', *groups, sys.executable, '-c', prog,
                                  w.path('sock'), 'checkpoint.delete', 'checkpoint.take', 'job.list'],
                                 capture_output=True, text=True, check=False).stdout
            return [l.split()[1] for l in out.splitlines()].count('usage')
        assert right('--regid', 'games', '--clear-groups') == 1
        assert right('--regid', 'mail', '--clear-groups') == 0
        assert right('--regid', 'news', '--clear-groups') == 0
        assert right('--regid', 'nogroup', '--clear-groups') == 3
        # two that take all connections they can get leave some to administrators
        greedy = [subprocess.Popen(['setpriv', '--reuid', str(uid), '--regid', 'games', '--clear-groups',
                                    sys.executable, '-c', 'import socket, sys\nall = []\n'
                                    'for i in range(40):\n    s = socket.socket(socket.AF_UNIX)\n'
                                    '    s.connect(sys.argv[1])\n    all.append(s)\n'
                                    'print(i, flush=True)\nsys.stdin.read()', w.path('sock')],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE) for uid in (30001, 30002)]
        for p in greedy:
            p.stdout.readline()
        for i in range(4):
            assert Client(w.path('sock')).call('daemon.info')['right'] == 'admin'
        for p in greedy:
            p.communicate()
    assert w.stop() == 0
print('done')
EOF
