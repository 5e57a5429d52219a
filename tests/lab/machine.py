#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-only
"""The machine of the "npt" lane: QEMU without KVM, AMD SVM and nested paging.

A saved machine is four files: ram (guest memory, sparse), vmstate (everything
else), and the overlays of its two disks. A run maps ram privately (copy on
write) and puts overlays of its own on the disks, so starting costs little, runs
share the page cache, and no run changes the saved machine.

This file is part of a saved machine's key: what only concerns a run belongs
into boot-npt.py.
"""

import json
import os
import select
import socket
import subprocess
import time

from report import EX_EMULATOR, Gone, die_with_parent

# Why each -flag: see README.md, "Which emulator, and why".
CPU = "EPYC,+svm,+npt,+pcid,+invpcid,-monitor,-smap,-rdtscp,-xsave"
# Virtual time counts instructions (2^SHIFT ns each) instead of following the host's
# clock. On a busy host a guest would else spend all it gets on timer interrupts
# that come faster than it can serve them, and time-outs would strike at random.
TIME = ("-accel", "tcg,thread=single", "-icount", "shift=2,align=off")
# No mitigations: the emulated processor speculates about nothing, and each costs
# instructions at every entry into a kernel or into Xen.
XEN_ARGS = ("dom0_mem={dom0}M,max:{dom0}M dom0_max_vcpus=2 bootscrub=0 pcid=1 spec-ctrl=no "
            "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all")
# norandmaps: the emulator translates code once for each address it is seen at.
DOM0_ARGS = "console=hvc0 root=/dev/vda rw panic=-1 quiet norandmaps mitigations=off"
VG_SIZE = "16G"


class Machine:
    """One QEMU process and its sockets."""

    def __init__(self, args, tmp):
        self.args = args
        self.tmp = tmp
        self.proc = None
        self.qmp = None
        self.qmp_buf = b""
        self.ports = {}
        self.console = os.path.join(args.logs, "console.log")

    def command_line(self, incoming):
        a, tmp = self.args, self.tmp
        line = [
            a.qemu, *TIME, "-cpu", a.cpu,
            "-machine", "pc", "-m", str(a.mem), "-smp", "2", "-display", "none", "-vga", "none",
            "-nodefaults", "-no-user-config", "-no-reboot", "-S",
            "-kernel", a.xen,
            "-append", XEN_ARGS.format(dom0=a.dom0_mem) + " " + a.xen_args,
            "-initrd", "%s %s,%s" % (a.kernel, DOM0_ARGS, a.initrd),
            "-chardev", self.listen("qmp", ""),
            "-mon", "chardev=qmp,mode=control",
            "-chardev", self.listen("com1", ",logfile=" + self.console),
            "-serial", "chardev:com1",
            "-device", "virtio-serial-pci",
        ]
        for name in ("ctl", "out", "err"):
            line += ["-chardev", self.listen(name, ""),
                     "-device", "virtserialport,chardev=%s,name=lab.%s" % (name, name)]
        line += ["-chardev", self.listen("tty", ""), "-device", "virtconsole,chardev=tty"]
        for n in (0, 1):
            line += ["-drive", "file=%s,if=none,id=disk%d,format=qcow2,cache=unsafe"
                     % (self.disk(n), n),
                     "-device", "virtio-blk-pci,drive=disk%d" % n]
        for tag in ("run", "logs", "share", "tests", "build"):
            path = getattr(a, "dir_" + tag) or os.path.join(tmp, "empty")
            line += ["-fsdev", "local,id=%s,path=%s,security_model=none,multidevs=remap%s"
                     % (tag, path, ",readonly=on" if tag == "tests" else ""),
                     "-device", "virtio-9p-pci,fsdev=%s,mount_tag=%s" % (tag, tag)]
        if incoming:
            line += ["-incoming", "defer"]
        return line

    def listen(self, name, more):
        return "socket,id=%s,path=%s,server=on,wait=off%s" % (
            name, os.path.join(self.tmp, name), more)

    def disk(self, n):
        return os.path.join(self.args.save or self.tmp, "disk%d.qcow2" % n)

    def make_disks(self):
        for n in (0, 1):
            if self.args.from_:
                base = ["-b", os.path.join(self.args.from_, "disk%d.qcow2" % n), "-F", "qcow2"]
                size = []
            elif n == 0:
                base, size = ["-b", self.args.image, "-F", "raw"], []
            else:
                base, size = [], [VG_SIZE]
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *base,
                            self.disk(n), *size], check=True)

    def start(self):
        incoming = bool(self.args.from_)
        os.makedirs(os.path.join(self.tmp, "empty"), exist_ok=True)
        self.make_disks()
        log = open(os.path.join(self.args.logs, "qemu.log"), "ab")
        # Large pages for the emulator's own tables; for the machine's memory it asks
        # itself, if it is no file's. A sixth of the time goes without them.
        env = dict(os.environ, GLIBC_TUNABLES="glibc.malloc.hugetlb=1")
        if self.args.save or incoming:
            env["LAB_VMSTATE"] = os.path.join(self.args.save or self.args.from_, "vmstate")
        self.proc = subprocess.Popen(
            self.command_line(incoming), stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, env=env, preexec_fn=die_with_parent)
        log.close()
        for name in ("qmp", "com1", "ctl", "out", "err", "tty"):
            self.ports[name] = self.connect(name)
        self.qmp = self.ports.pop("qmp")
        self.qmp_read()
        self.command("qmp_capabilities")
        if incoming:
            self.command("migrate-incoming", uri='exec:cat "$LAB_VMSTATE"')
            self.wait_migrated()
        self.command("cont")

    def connect(self, name):
        path = os.path.join(self.tmp, name)
        while self.proc.poll() is None:
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(path)
                return s
            except OSError:
                s.close()
                time.sleep(0.02)
        raise Gone(EX_EMULATOR, "QEMU did not start")

    def qmp_read(self):
        while b"\n" not in self.qmp_buf:
            data = self.qmp.recv(65536)
            if not data:
                raise Gone(EX_EMULATOR, "QEMU ended")
            self.qmp_buf += data
        line, self.qmp_buf = self.qmp_buf.split(b"\n", 1)
        return json.loads(line)

    def command(self, name, **arguments):
        self.qmp.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = self.qmp_read()
            if "error" in answer:
                raise Gone(EX_EMULATOR, "%s: %s" % (name, answer["error"]["desc"]))
            if "return" in answer:
                return answer["return"]

    def wait_migrated(self):
        while True:
            state = self.command("query-migrate")
            if state.get("status") == "completed":
                return
            if state.get("status") in ("failed", "cancelled"):
                raise Gone(EX_EMULATOR, "migration: %s" % state.get("error-desc", "failed"))
            time.sleep(0.02)

    def save(self):
        self.command("stop")
        self.command("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        self.command("migrate", uri='exec:cat >"$LAB_VMSTATE"')
        self.wait_migrated()
        self.command("quit")
        self.proc.wait()

    def ask_xen(self, keys):
        """Press debug keys on Xen's console, and give it time to answer."""
        self.ports["com1"].sendall(b"\x01\x01\x01" + keys)
        end = time.monotonic() + 8
        while time.monotonic() < end:
            if select.select([self.ports["com1"]], [], [], 1)[0]:
                if not self.ports["com1"].recv(65536):
                    return
            else:
                return

    def kill(self):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
