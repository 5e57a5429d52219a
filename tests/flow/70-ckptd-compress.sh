#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# The store is compressed when it is due and when it is asked for, and no take
# waits for that, however few jobs may run at a time.
export PYTHONPATH=tests/fake/ckptd
exec python3 - <<'EOF'
import os
from world import *

def state(w, job):
    return w.call('job.show', job=job)['job']['state']

with World('jobs_max = 1\n', xenstore=False) as w:
    held = w.path('held')
    w.write('held', '')
    w.set_script(SCRIPT + 'held_by=%s\nphase=x|1|2|3\npruned=|4096|0\n' % held)
    w.start()
    first = w.call('store.prune', compress=True)['job']['id']
    w.until(lambda: state(w, first) == 'running', what='the compression')
    take = w.call('checkpoint.take', domain='web')['job']['id']
    w.until(lambda: state(w, take) == 'running', what='a take beside it')
    # those have their limits, each for itself
    other = w.call('checkpoint.take', domain='db')['job']['id']
    second = w.call('store.prune', compress=True, keep_count=3)['job']['id']
    assert state(w, other) == 'queued' and state(w, second) == 'queued'
    assert state(w, first) == 'running' and state(w, take) == 'running'
    os.unlink(held)
    for job in first, take, other, second:
        w.call('job.wait', job=job)
        assert state(w, job) == 'done', w.call('job.show', job=job)
    result = w.call('job.show', job=first)['result']
    assert result == {'deleted': [], 'freed_bytes': 4096, 'busy': False}, result
    assert w.read('calls').count('flags=2') == 2
    fails('usage', w.call, 'store.prune')
    fails('usage', w.call, 'store.prune', compress=True, dry_run=True)

    # what a removal keeps from it is no failure
    w.set_script(SCRIPT + 'prune=-16 busy\n')
    result = w.call('store.prune', compress=True, wait=True)
    assert result == {'deleted': [], 'freed_bytes': 0, 'busy': True}, result
    w.set_script(SCRIPT + 'prune=-5 broken\n')
    fails('failed', w.call, 'store.prune', compress=True, wait=True)
    assert not [j for j in w.call('job.list')['jobs'] if j['origin'] == 'schedule']
    assert w.stop() == 0

# on a schedule
with World('compress = 1s\n', xenstore=False) as w:
    w.start()
    def scheduled():
        return [j for j in w.call('job.list')['jobs']
                if j['origin'] == 'schedule' and j['operation'] == 'prune' and j['state'] == 'done']
    w.until(scheduled, what='a compression that is due')
    w.until(lambda: len(scheduled()) > 1, what='and the next')
    assert 'flags=2' in w.read('calls')
    assert w.stop() == 0
print('done')
EOF
