#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# hooks.d: told before and after, a veto is a veto, time runs out, and what
# others could have written is not run.  Schedules: in time, with retention,
# never two at once, in step after a restart.
export PYTHONPATH=tests/fake/ckptd
exec python3 - <<'EOF'
import json, os, signal, time
from world import *

with World(xenstore=False) as w:
    def hook(name, body, mode=0o755):
        w.write('hooks/' + name, '#!/bin/sh\n' + body)
        os.chmod(w.path('hooks/' + name), mode)
    note = 'cat >>%s/$1-in; echo %%s $* >>%s/said\n' % (w.dir, w.dir)
    hook('20-b', note % 'b')
    hook('10-a', note % 'a')
    hook('30-not-executable', note % 'no', 0o644)
    hook('40-others', note % 'others', 0o777)
    hook('50-backup~', note % 'backup')
    w.start()
    w.call('checkpoint.take', domain='web', wait=True)
    assert w.read('said').split('\n') == ['a pre take', 'b pre take', 'a post take', 'b post take', ''], w.read('said')
    first = json.JSONDecoder().raw_decode(w.read('post-in'))[0]
    assert first['operation'] == 'take' and first['domain'] == 'web' and first['rc'] == 0, first
    assert 'others than root could change it' in w.read('log')
    w.call('checkpoint.list')
    assert w.read('said').count('\n') == 4          # queries ask nobody

    hook('15-veto', '[ $1 = post ] && exit 0\necho one\necho not on Sundays >&2\nexit 3\n')
    n = w.read('calls').count('take domain')
    f = fails('not-permitted', w.call, 'checkpoint.take', domain='web', wait=True)
    assert str(f) == 'Hook 15-veto refused: not on Sundays', f
    assert w.read('calls').count('take domain') == n
    def configure(conf):
        w.set_conf(conf)
        n = w.read('log').count('is read')
        w.daemon.send_signal(signal.SIGHUP)
        w.until(lambda: w.read('log').count('is read') > n, what='the configuration')
    # one that hangs, with a child that ignores everything
    configure('hook_timeout = 1\n')
    hook('15-veto', 'trap "" TERM; sh -c "sleep 99; :" & wait # lint: sleep ok: hangs\n')
    f = fails('not-permitted', w.call, 'checkpoint.take', domain='web', wait=True)
    assert 'did not end within 1 s' in str(f), f
    configure('')
    # a post that fails changes nothing any more
    hook('15-veto', '[ $1 = pre ]\n')
    assert w.call('checkpoint.take', domain='web', wait=True)['checkpoint']
    # cancelled while hooks are asked
    hook('15-veto', 'exec sleep 99 # lint: sleep ok: hangs\n')
    job = w.call('checkpoint.take', domain='web')['job']['id']
    assert w.call('job.cancel', job=job)['job']['state'] == 'cancelled'
    # one that reads nothing and writes a megabyte
    hook('15-veto', 'exec head -c 1000000 /dev/zero\n')
    assert w.call('checkpoint.take', domain='web', wait=True)['checkpoint']
    assert w.stop() == 0

with World('schedule = 1s\nkeep_count = 2\n[domain never]\nschedule = 0\n') as w:
    w.start()
    w.guest()
    w.guest(6, 'never', '66666666-2222-2222-2222-222222222222')
    takes = lambda: [l for l in w.read('calls').splitlines() if l.startswith('take domain=')]
    w.until(lambda: len(takes()) >= 3)
    seen = takes()
    assert all(l.startswith('take domain=web name=auto-2') for l in seen), seen
    assert len(set(seen)) == len(seen), seen
    assert [l for l in w.read('calls').splitlines() if l.startswith('list domain=2222')]
    # slower than the schedule: one at a time
    w.set_script(SCRIPT.replace('phase=', 'delay_ms=2500\nphase='))
    w.until(lambda: 'still under way' in w.read('log'))
    w.set_script(SCRIPT)
    assert w.stop() == 0
    # a restart neither forgets nor hurries: the plan is in the state
    when = int([l for l in w.read('state/state').splitlines() if '2222-2222' in l][0].split()[5])
    assert abs(when / 1e6 - time.time()) < 10
print('done')
EOF
