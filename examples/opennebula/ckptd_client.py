# SPDX-License-Identifier: LGPL-2.1-only
"""One request to ckptd, docs/specs/socket.md; for the scripts beside it."""
import json
import os
import re
import socket
import sys


def call(method, **params):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(os.environ.get('CKPTD_SOCKET', '/run/ckptd.sock'))
    request = {'jsonrpc': '2.0', 'id': 1, 'method': method, 'params': params}
    try:
        sock.sendall((json.dumps(request) + '\n').encode())
    except BrokenPipeError:
        pass  # refused already; the reason is there to be read
    line = sock.makefile(encoding='utf-8').readline()
    if not line:
        raise RuntimeError('ckptd closed the connection')
    reply = json.loads(line)
    if 'error' in reply:
        raise RuntimeError(reply['error']['message'])
    return reply['result']


def key(*words):
    """Of one operation of the cloud, the same whenever it is repeated."""
    return re.sub(r'[^A-Za-z0-9._-]', '_', '.'.join(('one',) + words))[:63]


def main(run, nr_args):
    if len(sys.argv) - 1 < nr_args:
        sys.exit('usage: %s needs %d arguments' % (sys.argv[0], nr_args))
    try:
        run(*sys.argv[1:nr_args + 1])
    except (OSError, RuntimeError) as e:
        sys.exit('%s: %s' % (os.path.basename(sys.argv[0]), e))
