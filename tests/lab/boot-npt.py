#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-only
"""Boot or start the machine of machine.py, and run one order in it.

  boot-npt.py --save DIR ...       boot dom0, save the ready machine into DIR
  boot-npt.py --from DIR ... MODE  run one order in a copy of that machine
  boot-npt.py ... MODE             the same, but boot first

All talk with dom0 goes over virtio serial ports: lab.ctl (orders, answers),
lab.out and lab.err (the command's output), and a virtio console for a shell.
"""

import argparse
import fcntl
import os
import select
import shutil
import signal
import struct
import sys
import tempfile
import termios
import time
import tty

sys.dont_write_bytecode = True
from machine import CPU, Machine  # noqa: E402
from report import (EX_EMULATOR, EX_TIMEOUT, Gone, deadly_words,  # noqa: E402
                    die_with_parent, explain, say, write_all)


class Session:
    """Carries bytes between the machine and ourselves until it is over."""

    def __init__(self, machine, deadline):
        self.m = machine
        self.deadline = deadline
        self.answers = b""
        self.tail = b""
        self.dying = None
        self.stdin = None

    def over(self, status, why):
        raise Gone(status, why)

    def wait_answer(self):
        """Move data until dom0 says a line on the control port; return it."""
        while b"\n" not in self.answers:
            self.step()
        line, self.answers = self.answers.split(b"\n", 1)
        return line.decode()

    def step(self):
        m = self.m
        now = time.monotonic()
        if self.dying and now > self.dying[0]:
            self.over(*self.dying[1])
        if self.deadline and now > self.deadline:
            m.ask_xen(b"0dq")  # dom0 state, registers, domains
            self.over(EX_TIMEOUT, "timeout")
        wait = 1.0
        if self.dying:
            wait = 0.2
        watch = list(m.ports.values()) + ([self.stdin] if self.stdin is not None else [])
        for s in select.select(watch, [], [], wait)[0]:
            if s == self.stdin:
                data = os.read(s, 4096)
                if b"\x1d" in data:
                    self.over(130, "left by Ctrl-]")
                m.ports["tty"].sendall(data or b"\x04")
                continue
            data = s.recv(65536)
            if not data:
                words = deadly_words(m.console)
                self.over(*(words or (EX_EMULATOR, "QEMU ended")))
            self.take(s, data)

    def take(self, s, data):
        ports = self.m.ports
        if s is ports["ctl"]:
            self.answers += data
        elif s is ports["out"] or s is ports["tty"]:
            write_all(1, data)
        elif s is ports["err"]:
            write_all(2, data)
        elif s is ports["com1"] and not self.dying:
            self.tail = (self.tail + data)[-4096:]
            if b"Panic" in self.tail or b"panic" in self.tail or b"Dom0" in self.tail:
                words = deadly_words(self.m.console)
                if words:
                    # Let it finish its last words.
                    self.dying = (time.monotonic() + 4, words)

    def drain(self):
        """The command has ended: take what is still under way."""
        while True:
            got = select.select(list(self.m.ports.values()), [], [], 0.05)[0]
            if not got:
                return
            for s in got:
                data = s.recv(65536)
                if not data:
                    return
                self.take(s, data)


def order(session, mode):
    rows, columns = 24, 80
    if mode == "shell" and os.isatty(0):
        rows, columns = struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))[:2]
        rows, columns = rows or 24, columns or 80
    seed = os.urandom(32).hex()
    text = "go %.3f %s %s %d %d\n" % (time.time(), seed, mode, rows, columns)
    session.m.ports["ctl"].sendall(text.encode())


def run(args, machine):
    start = time.monotonic()
    machine.start()
    session = Session(machine, start + args.timeout if args.timeout else None)
    if not args.from_:
        while session.wait_answer() != "ready":
            pass
    if args.save:
        machine.save()
        return 0
    order(session, args.mode)
    while session.wait_answer() != "up":
        pass
    if not args.quiet:
        say("dom0 is up after %.1f s" % (time.monotonic() - start))
    old = None
    if args.mode == "shell":
        session.deadline = None
        session.stdin = 0
        if os.isatty(0):
            say("Ctrl-] leaves at once")
            old = termios.tcgetattr(0)
            tty.setraw(0)
    try:
        while True:
            answer = session.wait_answer()
            if answer.startswith("exit "):
                session.drain()
                return int(answer.split()[1])
    finally:
        if old:
            termios.tcsetattr(0, termios.TCSADRAIN, old)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--qemu", required=True)
    p.add_argument("--cpu", default=CPU)
    p.add_argument("--mem", type=int, required=True)
    p.add_argument("--dom0-mem", type=int, required=True)
    p.add_argument("--xen", required=True)
    p.add_argument("--xen-args", default="")
    p.add_argument("--kernel", required=True)
    p.add_argument("--initrd", required=True)
    p.add_argument("--image", required=True)
    p.add_argument("--logs", required=True)
    p.add_argument("--save")
    p.add_argument("--from", dest="from_")
    p.add_argument("--timeout", type=float, default=0)
    p.add_argument("--quiet", action="store_true")
    for tag in ("run", "share", "tests", "build"):
        p.add_argument("--dir-" + tag)
    p.add_argument("mode", nargs="?", choices=["run", "shell"], default="run")
    args = p.parse_args()
    args.dir_logs = None if args.save else args.logs
    os.makedirs(args.logs, exist_ok=True)

    for s in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, lambda n, _: sys.exit(128 + n))
    if args.save:
        die_with_parent(signal.SIGTERM)
    tmp = tempfile.mkdtemp(prefix="lab.")
    machine = Machine(args, tmp)
    try:
        return run(args, machine)
    except Gone as e:
        if e.args[0] == 130:
            return 130
        status = explain(e, machine.console, os.path.join(args.logs, "qemu.log"))
        say("all logs are in " + args.logs)
        return status
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        machine.kill()
        shutil.rmtree(tmp, ignore_errors=True)
        if args.dir_run:
            shutil.rmtree(args.dir_run, ignore_errors=True)


sys.exit(main())
