#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-only
"""A xenstored for tests on a machine without Xen.

    xenstored.py DIR

DIR/socket speaks xenstore's wire protocol as dom0; DIR/guest-N, made when
domain N is created, speaks it as domain N: relative paths begin at its home,
and permissions count.  DIR/control takes lines:

    create N NAME UUID [KEY VALUE]...   a home as libxl makes it; introduce
    destroy N                           the home and the domain go
    count                               how many requests dom0 has made
    watches N                           how many watches domain N has now
    drop                                close all connections of dom0

Nodes, permissions, watches, the special watches, directories and quotas of
size are as in docs/misc/xenstore.txt; transactions are numbers without
isolation, which nobody here needs.
"""
import os
import selectors
import socket
import struct
import sys

(CONTROL, DIRECTORY, READ, GET_PERMS, WATCH, UNWATCH, TX_START, TX_END,
 INTRODUCE, RELEASE, GET_DOMAIN_PATH, WRITE, MKDIR, RM, SET_PERMS, EVENT,
 ERROR, IS_INTRODUCED, RESUME, SET_TARGET) = range(20)
HEAD = struct.Struct('<IIII')
PAYLOAD_MAX = 4096
VALUE_MAX = 2048


class Fault(Exception):
    pass


class Node:
    def __init__(self, perms):
        self.value = b''
        self.perms = list(perms)
        self.children = {}


class Conn:
    def __init__(self, sock, domid):
        self.sock = sock
        self.domid = domid
        self.data = b''
        self.out = b''
        self.watches = []

    def absolute(self, path):
        if path.startswith(('/', '@')):
            return path
        return '/local/domain/%d/%s' % (self.domid, path)


class Store:
    def __init__(self):
        self.root = Node(['n0'])
        self.conns = []
        self.requests = 0

    def walk(self, path):
        node = self.root
        for part in [p for p in path.split('/') if p]:
            node = node.children.get(part)
            if node is None:
                raise Fault('ENOENT')
        return node

    def allowed(self, conn, node, letters):
        if conn.domid == 0 or node.perms[0] == '%s%d' % (node.perms[0][0], conn.domid):
            return True
        letter = node.perms[0][0]
        for perm in node.perms[1:]:
            if perm[1:] == str(conn.domid):
                letter = perm[0]
        return letter in letters

    def get(self, conn, path, letters='rb'):
        node = self.walk(path)
        if not self.allowed(conn, node, letters):
            raise Fault('EACCES')
        return node

    def make(self, conn, path):
        """The node, and all above it that are missing."""
        parts = [p for p in path.split('/') if p]
        node = self.root
        for i, part in enumerate(parts):
            child = node.children.get(part)
            if child is None:
                if not self.allowed(conn, node, 'wb'):
                    raise Fault('EACCES')
                perms = list(node.perms)
                if conn.domid:
                    perms[0] = perms[0][0] + str(conn.domid)
                child = node.children[part] = Node(perms)
            elif i == len(parts) - 1 and not self.allowed(conn, child, 'wb'):
                raise Fault('EACCES')
            node = child
        return node

    def fire(self, path, below=False):
        for conn in self.conns:
            for watched, token in conn.watches:
                full = conn.absolute(watched)
                if path == full or path.startswith(full + '/') or \
                        (below and full.startswith(path + '/')):
                    shown = path
                    if full != path and below and full.startswith(path + '/'):
                        shown = full
                    if not watched.startswith(('/', '@')):
                        shown = shown[len(conn.absolute('')):]
                    self.send(conn, EVENT, 0, 0,
                              shown.encode() + b'\0' + token.encode() + b'\0')

    def send(self, conn, kind, req, tx, payload):
        conn.out += HEAD.pack(kind, req, tx, len(payload)) + payload

    def remove(self, conn, path):
        parent, _, name = path.rpartition('/')
        if not name:
            raise Fault('EINVAL')
        up = self.walk(parent)
        if name not in up.children:
            raise Fault('ENOENT')
        if not self.allowed(conn, up.children[name], 'wb'):
            raise Fault('EACCES')
        del up.children[name]
        self.fire(path, below=True)

    def request(self, conn, kind, payload):
        if conn.domid == 0:
            self.requests += 1
        first = payload.split(b'\0', 1)[0].decode('latin-1')
        rest = payload.split(b'\0', 1)[1] if b'\0' in payload else b''
        path = conn.absolute(first)
        if kind in (READ, WRITE, MKDIR, RM, DIRECTORY, GET_PERMS, SET_PERMS) and \
                (len(path) > 3072 or '//' in path or (path != '/' and path.endswith('/'))):
            raise Fault('EINVAL')
        if kind == DIRECTORY:
            return b''.join(n.encode('latin-1') + b'\0'
                            for n in self.get(conn, path).children)
        if kind == READ:
            return self.get(conn, path).value
        if kind == WRITE:
            if conn.domid and len(rest) > VALUE_MAX:
                raise Fault('ENOSPC')
            self.make(conn, path).value = rest
            self.fire(path)
        elif kind == MKDIR:
            self.make(conn, path)
            self.fire(path)
        elif kind == RM:
            self.remove(conn, path)
        elif kind == GET_PERMS:
            return b''.join(p.encode() + b'\0' for p in self.get(conn, path).perms)
        elif kind == SET_PERMS:
            node = self.walk(path)
            if conn.domid and node.perms[0][1:] != str(conn.domid):
                raise Fault('EACCES')
            node.perms = [p.decode() for p in rest.split(b'\0') if p]
            self.fire(path)
        elif kind == WATCH:
            token = rest.rstrip(b'\0').decode('latin-1')
            if (first, token) in conn.watches:
                raise Fault('EEXIST')
            conn.watches.append((first, token))
            self.send_after = (conn, first.encode() + b'\0' + token.encode() + b'\0')
        elif kind == UNWATCH:
            token = rest.rstrip(b'\0').decode('latin-1')
            if (first, token) not in conn.watches:
                raise Fault('ENOENT')
            conn.watches.remove((first, token))
        elif kind == TX_START:
            return b'1\0'
        elif kind in (TX_END, CONTROL, RESUME):
            pass
        elif kind == GET_DOMAIN_PATH:
            return b'/local/domain/%d\0' % int(first)
        else:
            raise Fault('ENOSYS')
        return b'OK\0'

    def feed(self, conn, data):
        conn.data += data
        while len(conn.data) >= HEAD.size:
            kind, req, tx, length = HEAD.unpack_from(conn.data)
            if length > PAYLOAD_MAX:
                return False
            if len(conn.data) < HEAD.size + length:
                break
            payload = conn.data[HEAD.size:HEAD.size + length]
            conn.data = conn.data[HEAD.size + length:]
            self.send_after = None
            try:
                answer = self.request(conn, kind, payload)
            except Fault as fault:
                kind, answer = ERROR, str(fault).encode() + b'\0'
            self.send(conn, kind, req, tx, answer)
            if self.send_after:
                self.send(self.send_after[0], EVENT, 0, 0, self.send_after[1])
        return True


class Server:
    def __init__(self, folder):
        self.folder = folder
        self.store = Store()
        self.sel = selectors.DefaultSelector()
        self.dom0 = Conn(None, 0)
        self.listen('socket', 0)
        self.listen('control', None)

    def listen(self, name, domid):
        path = os.path.join(self.folder, name)
        if os.path.exists(path):
            os.unlink(path)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        sock.listen(64)
        self.sel.register(sock, selectors.EVENT_READ, ('listen', domid))

    def write(self, path, value, perms):
        node = self.store.make(self.dom0, path)
        node.value = value.encode()
        node.perms = perms
        self.store.fire(path)

    def create(self, domid, name, uuid, *more):
        home = '/local/domain/%d' % domid
        ro = ['n0', 'r%d' % domid]
        self.write('/vm/%s/uuid' % uuid, uuid, ['n0'])
        self.write(home, '', ro)
        self.write(home + '/vm', '/vm/' + uuid, ro)
        self.write(home + '/name', name, ro)
        self.write(home + '/domid', str(domid), ro)
        self.write(home + '/control', '', ro)
        for key, value in zip(more[::2], more[1::2]):
            self.write(home + '/' + key, value, ro)
        self.listen('guest-%d' % domid, domid)
        self.store.fire('@introduceDomain')

    def control(self, line):
        words = line.split()
        if words[0] == 'create':
            self.create(int(words[1]), *words[2:])
        elif words[0] == 'destroy':
            self.store.remove(self.dom0, '/local/domain/' + words[1])
            for conn in [c for c in self.store.conns if c.domid == int(words[1])]:
                self.close(conn)
            self.store.fire('@releaseDomain')
        elif words[0] == 'count':
            return str(self.store.requests)
        elif words[0] == 'watches':
            return str(sum(len(c.watches) for c in self.store.conns
                           if c.domid == int(words[1])))
        elif words[0] == 'drop':
            for conn in [c for c in self.store.conns if c.domid == 0]:
                self.close(conn)
        else:
            return 'what?'
        return 'ok'

    def close(self, conn):
        self.sel.unregister(conn.sock)
        conn.sock.close()
        self.store.conns.remove(conn)

    def accept(self, sock, domid):
        new, _ = sock.accept()
        if domid is None:
            self.sel.register(new, selectors.EVENT_READ, ('control', None))
            return
        conn = Conn(new, domid)
        self.store.conns.append(conn)
        self.sel.register(new, selectors.EVENT_READ, ('conn', conn))

    def flush(self):
        for conn in list(self.store.conns):
            if not conn.out:
                continue
            try:
                sent = conn.sock.send(conn.out, socket.MSG_DONTWAIT)
                conn.out = conn.out[sent:]
            except BlockingIOError:
                pass
            except OSError:
                self.close(conn)
                continue
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if conn.out else 0)
            self.sel.modify(conn.sock, events, ('conn', conn))

    def turn(self):
        for key, events in self.sel.select():
            kind, arg = key.data
            if kind == 'listen':
                self.accept(key.fileobj, arg)
            elif kind == 'control':
                line = key.fileobj.recv(4096)
                if line:
                    key.fileobj.sendall((self.control(line.decode()) + '\n').encode())
                else:
                    self.sel.unregister(key.fileobj)
                    key.fileobj.close()
            elif arg in self.store.conns and events & selectors.EVENT_READ:
                try:
                    data = arg.sock.recv(65536)
                except OSError:
                    data = b''
                if not data or not self.store.feed(arg, data):
                    self.close(arg)
        self.flush()


def main():
    server = Server(sys.argv[1])
    print('ready', flush=True)
    while True:
        server.turn()


if __name__ == '__main__':
    main()
