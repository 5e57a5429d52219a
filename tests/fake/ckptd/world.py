# SPDX-License-Identifier: LGPL-2.1-only
"""ckptd with a xenstored and a libckpt that are played: for tests/flow.

    from world import World
    with World() as w:
        w.start()
        w.call('daemon.info')
"""
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.getcwd()
sys.path.insert(0, os.path.join(TOP, 'tests/fake/xenstored'))
from xs import Control  # noqa: E402

B = os.path.join(TOP, os.environ.get('B', 'build'))
SCRIPT = '''phase=memory copied|1000|2000|500
checkpoint=0123456789abcdef
name=one
domain_name=web
domain_uuid=22222222-2222-2222-2222-222222222222
stored_bytes=4096
pause_us=1500
created_unix_us=1700000000000000
'''
# Of every wait for an event: a busy machine is slow, and a test that is right
# never waits that long.
LIMIT = 60
UUID = '22222222-2222-2222-2222-222222222222'


class Failure(Exception):
    """The error object of a reply."""

    def __init__(self, error):
        super().__init__(error['message'])
        self.error = error
        self.code = error['code']
        self.word = error['data']['code']


class Client:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT)
        self.sock.connect(path)
        self.data = b''
        self.id = 0
        self.events = []

    def send(self, text):
        self.sock.sendall(text if isinstance(text, bytes) else text.encode())

    def line(self):
        while b'\n' not in self.data:
            more = self.sock.recv(65536)
            if not more:
                raise ConnectionError('closed')
            self.data += more
        line, self.data = self.data.split(b'\n', 1)
        return json.loads(line)

    def reply(self, wanted):
        while True:
            got = self.line()
            if 'method' in got:
                self.events.append(got['params'])
            elif got['id'] == wanted:
                if 'error' in got:
                    raise Failure(got['error'])
                return got['result']

    def ask(self, method, **params):
        self.id += 1
        self.send(json.dumps({'jsonrpc': '2.0', 'id': self.id, 'method': method,
                              'params': params}) + '\n')
        return self.id

    def call(self, method, **params):
        return self.reply(self.ask(method, **params))


class World:
    def __init__(self, conf='', script='', xenstore=True):
        self.dir = tempfile.mkdtemp(prefix='ckptd-test-')
        os.chmod(self.dir, 0o755)
        for name in ('hooks', 'xs'):
            os.mkdir(self.path(name))
        self.has_xenstore = xenstore
        self.processes = []
        self.daemon = None
        self.client = None
        self.set_conf(conf)
        self.set_script(script or SCRIPT)
        self.xenstored = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            print('--- log\n' + self.read('log'), file=sys.stderr)
        for p in self.processes:
            if p.poll() is None:
                p.kill()
            p.wait()
        # a job that is told to stop may still write its last words
        self.until(lambda: shutil.rmtree(self.dir, ignore_errors=True) or
                   not os.path.exists(self.dir), what='the end of all jobs')

    def path(self, name):
        return os.path.join(self.dir, name)

    def read(self, name):
        try:
            with open(self.path(name), encoding='utf-8', errors='replace') as f:
                return f.read()
        except FileNotFoundError:
            return ''

    def write(self, name, text):
        with open(self.path(name), 'w', encoding='utf-8') as f:
            f.write(text)

    def set_conf(self, more):
        self.write('conf', '''socket = {0}/sock
store = "{0}/store"
user = nobody
state_dir = {0}/state
run_dir = {0}/run
job_program = {1}/tests/ckptd-job-fake
hooks_dir = {0}/hooks
audit_log = {0}/audit
metrics_listen = unix:{0}/metrics
xenstore = {2}
'''.format(self.dir, B, 'yes' if self.has_xenstore else 'no') + more)

    def set_script(self, text):
        # at once: a job may be about to read it
        self.write('script.new', 'log=%s\n%s' % (self.path('calls'), text))
        os.replace(self.path('script.new'), self.path('script'))

    def environment(self):
        env = dict(os.environ, CKPT_FAKE=self.path('script'),
                   XENSTORED_PATH=self.path('xs/socket'))
        env.pop('CKPT_STORE', None)
        return env

    def start_xenstored(self):
        p = subprocess.Popen([sys.executable, 'tests/fake/xenstored/xenstored.py',
                              self.path('xs')], stdout=subprocess.PIPE)
        self.processes.append(p)
        p.stdout.readline()
        self.xs = Control(self.path('xs'))
        self.xenstored = p

    def start(self, *args):
        """Returns when it serves."""
        if self.has_xenstore and not self.xenstored:
            self.start_xenstored()
        log = open(self.path('log'), 'ab')
        read_fd, write_fd = os.pipe()
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = self.path('notify')
        if os.path.exists(path):
            os.unlink(path)
        notify.bind(path)
        os.close(read_fd)
        os.close(write_fd)
        env = dict(self.environment(), NOTIFY_SOCKET=path)
        self.daemon = subprocess.Popen([B + '/ckptd-bin', '-F', '-vv', '-c',
                                        self.path('conf'), *args],
                                       stderr=log, env=env)
        log.close()
        self.processes.append(self.daemon)
        notify.settimeout(0.2)
        for _ in range(LIMIT * 5):
            try:
                if b'READY=1' in notify.recv(4096):
                    break
            except socket.timeout:
                if self.daemon.poll() is not None:
                    raise RuntimeError('ckptd ended: ' + self.read('log'))
        else:
            raise RuntimeError('ckptd is not ready: ' + self.read('log'))
        self.notify = notify
        self.client = Client(self.path('sock'))

    def stop(self, sig=signal.SIGTERM, seconds=LIMIT):
        self.daemon.send_signal(sig)
        return self.daemon.wait(seconds)

    def call(self, method, **params):
        return self.client.call(method, **params)

    def role(self, name):
        """The process id of a role; waits until there is one."""
        def find():
            out = subprocess.run(['ps', '-o', 'pid=,comm=', '--ppid', str(self.daemon.pid)],
                                 capture_output=True, text=True, check=False).stdout
            for line in out.splitlines():
                pid, comm = line.split(None, 1)
                if comm.strip() == name:
                    return int(pid)
            return None
        return self.until(find)

    def busy_jobs(self):
        """The processes of jobs that have a task: the spare one has one thread."""
        out = subprocess.run(['ps', '-o', 'pid=,comm=,nlwp=', '--ppid', str(self.daemon.pid)],
                             capture_output=True, text=True, check=True).stdout
        return [int(pid) for pid, comm, threads in map(str.split, out.splitlines())
                if comm == 'ckptd-job' and int(threads) > 1]

    def busy_job(self):
        """The one that there is, once a query or one that has ended is gone."""
        def only():
            pids = self.busy_jobs()
            return pids[0] if len(pids) == 1 else None
        return self.until(only, what='one job alone')

    def guest(self, domid=5, name='web', uuid=UUID, *more):
        self.xs('create', domid, name, uuid, *more)
        g = self.xs.guest(domid)
        return g

    def ckpt_guest(self, domid, *args, **kwargs):
        p = subprocess.Popen([B + '/ckpt-guest', '-x', self.path('xs/guest-%d' % domid), *args],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
        self.processes.append(p)
        return p

    def until(self, good, seconds=LIMIT, what=''):
        end = time.monotonic() + seconds
        while True:
            value = good()
            if value:
                return value
            if time.monotonic() > end:
                raise TimeoutError('it did not come to be: %s' % what)
            select.select([], [], [], 0.02)  # the poll of a loop with a limit


def fails(word, function, *args, **kwargs):
    try:
        got = function(*args, **kwargs)
    except Failure as f:
        assert f.word == word, (f.word, word, f.error)
        return f
    raise AssertionError('did not fail: %r' % (got,))
