#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# What the policy says of a domain's takes holds for all of them, whoever asks
# and however the domain is named, unless the request says it.
export PYTHONPATH=tests/fake/ckptd
exec python3 - <<'EOF'
import os, signal
from world import *

CONF = '''guest_requests = checkpoint
[domain db*]
guest_requests = checkpoint
ring = 40M
when_full = give-up
'''

with World(CONF) as w:
    w.set_script(SCRIPT + 'domain:9=db1\ndomain:7=db2\ndomain:8=web\n')
    w.start()
    w.guest(9, 'db1', '99999999-2222-2222-2222-222222222222')
    w.guest()

    def taken(**params):
        w.write('calls', '')
        w.call('checkpoint.take', wait=True, **params)
        line = [l for l in w.read('calls').splitlines() if l.startswith('take domain=')][0]
        return line[line.index('timeout_ms=0') + 12:]

    assert taken(domain='web') == ''
    assert taken(domain='web', ring_mib=64, when_full='give-up') == ' ring_mib=64 give-up'
    assert taken(domain='db1') == ' ring_mib=40 give-up'
    assert taken(domain='9') == ' ring_mib=40 give-up'
    # those that the daemon has not met: the number alone says nothing
    assert taken(domain='7') == ' ring_mib=40 give-up'
    assert taken(domain='8') == ''
    assert taken(domain='db1', ring_mib=64) == ' ring_mib=64 give-up'
    assert taken(domain='db1', when_full='wait') == ' ring_mib=40'
    p = w.call('policy.show', domain='db1')['policy']
    assert (p['ring_mib'], p['when_full']) == (40, 'give-up'), p
    p = w.call('policy.show', domain='web')['policy']
    assert (p['ring_mib'], p['when_full']) == (0, 'wait'), p
    # by number too, of those that are here
    assert w.call('policy.show', domain='9')['policy']['ring_mib'] == 40
    assert w.call('policy.show', domain='5')['policy']['ring_mib'] == 0
    fails('not-found', w.call, 'policy.show', domain='7')
    # a renamed domain is of the policy of its new name
    w.xs.dom0().write('/local/domain/5/name', 'db5')
    w.until(lambda: w.call('policy.show', domain='5')['policy']['ring_mib'] == 40)
    w.xs.dom0().write('/local/domain/5/name', 'web')
    w.until(lambda: w.call('policy.show', domain='5')['policy']['ring_mib'] == 0)

    # nor by a name that no line could hold: it keeps its last one
    w.xs.dom0().write('/local/domain/5/name', 'db\n5')
    w.until(lambda: 'domain 5: its identity' in w.read('log'))
    assert w.call('policy.show', domain='5')['policy']['ring_mib'] == 0
    w.xs.dom0().write('/local/domain/5/name', 'web')

    # who goes while the door is down is gone, who stays is still here
    door = w.role('ckptd-door')
    w.daemon.send_signal(signal.SIGSTOP)
    os.kill(door, signal.SIGKILL)
    w.xs('destroy', 5)
    w.daemon.send_signal(signal.SIGCONT)
    w.until(lambda: w.role('ckptd-door') != door, what='another door')
    w.until(lambda: 'domain 5 "web" went' in w.read('log'), what='the end of web')
    fails('not-found', w.call, 'policy.show', domain='5')
    assert w.call('policy.show', domain='9')['policy']['ring_mib'] == 40

    # one that the guest asks for
    w.write('calls', '')
    p = w.ckpt_guest(9, 'checkpoint')
    assert p.wait(LIMIT) == 0, p.stderr.read()
    assert ' ring_mib=40 give-up' in w.read('calls')
    assert w.stop() == 0
print('done')
EOF
