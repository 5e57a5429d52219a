# SPDX-License-Identifier: LGPL-2.1-only
"""A client of xenstore for tests: one request at a time, watches kept."""
import os
import select
import socket
import struct
import time

HEAD = struct.Struct('<IIII')
DIRECTORY, READ, WATCH, UNWATCH, WRITE, MKDIR, RM, SET_PERMS, EVENT, ERROR = \
    1, 2, 4, 5, 11, 12, 13, 14, 15, 16


class Xs:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.events = []

    def take(self):
        data = b''
        while len(data) < HEAD.size:
            data += self.some(HEAD.size - len(data))
        kind, _, _, length = HEAD.unpack(data)
        payload = b''
        while len(payload) < length:
            payload += self.some(length - len(payload))
        return kind, payload

    def some(self, n):
        data = self.sock.recv(n)
        if not data:
            raise ConnectionError('xenstored has closed')
        return data

    def call(self, kind, payload):
        self.sock.sendall(HEAD.pack(kind, 0, 0, len(payload)) + payload)
        while True:
            got, answer = self.take()
            if got == EVENT:
                self.events.append(answer.split(b'\0')[0].decode())
            elif got == ERROR:
                raise OSError(answer.rstrip(b'\0').decode())
            else:
                return answer

    def read(self, path):
        try:
            return self.call(READ, path.encode() + b'\0').decode('latin-1')
        except OSError as e:
            if str(e) == 'ENOENT':
                return None
            raise

    def write(self, path, value):
        if isinstance(value, str):
            value = value.encode()
        self.call(WRITE, path.encode() + b'\0' + value)

    def remove(self, path):
        self.call(RM, path.encode() + b'\0')

    def list(self, path):
        return [n.decode() for n in self.call(DIRECTORY, path.encode() + b'\0').split(b'\0') if n]

    def watch(self, path, token='t'):
        self.call(WATCH, path.encode() + b'\0' + token.encode() + b'\0')

    def wait(self, path, good, seconds=60):
        """Reads @path after each event until good(value); the value."""
        self.watch(path, 'wait')
        end = time.monotonic() + seconds
        try:
            while True:
                value = self.read(path)
                if good(value):
                    return value
                if not self.events:
                    left = end - time.monotonic()
                    if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                        raise TimeoutError('%s is still %r' % (path, value))
                    kind, payload = self.take()
                    assert kind == EVENT
                self.events.clear()
        finally:
            self.call(UNWATCH, path.encode() + b'\0wait\0')


class Control:
    """The fake's own door: create, destroy, count, watches, drop."""

    def __init__(self, folder):
        self.folder = folder
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.path.join(folder, 'control'))

    def __call__(self, *words):
        self.sock.sendall(' '.join(str(w) for w in words).encode() + b'\n')
        return self.sock.recv(4096).decode().strip()

    def guest(self, domid):
        return Xs(os.path.join(self.folder, 'guest-%d' % domid))

    def dom0(self):
        return Xs(os.path.join(self.folder, 'socket'))
