#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-only
"""The machine of the "ept" lane: Bochs with a Haswell CPU, Intel VMX and EPT.

Bochs has no folder of the host and no virtio, so everything goes by disks:
  ata0 master  dom0's root, never written to (Bochs keeps the changes aside)
  ata0 slave   empty, becomes vg0
  ata1 master  a CD made by GRUB with Xen, the kernel and the initramfs
  ata1 slave   a tar with the run's files at its start; dom0 writes a tar of its
               logs and of /mnt/share at OUT_AT when the command has ended
The first serial port, Xen's console, is a terminal of ours, so that Xen can be
asked by debug keys. The command's output comes over the second, after a line
"lab-up"; a line "lab-exit STATUS" ends it. Output and errors are one stream.
"""

import argparse
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tty

sys.dont_write_bytecode = True
from report import (EX_EMULATOR, EX_TIMEOUT, Gone, deadly_words,  # noqa: E402
                    die_with_parent, explain, say, write_all)

OUT_AT = 256 << 20          # dom0/job knows it too
EXCHANGE_SIZE = 1 << 30
VG_SIZE = 4 << 30

# As in the npt lane (machine.py), which says why; and apicv=0: Bochs 2.7 delivers a
# virtual interrupt to a guest that has them disabled if a real one comes just then.
XEN_ARGS = ("dom0_mem={dom0}M,max:{dom0}M bootscrub=0 pcid=1 spec-ctrl=no apicv=0 "
            "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all")
DOM0_ARGS = "console=hvc0 root=/dev/sda rw panic=-1 quiet norandmaps mitigations=off lab.lane=ept"

GRUB = """set timeout=0
serial --unit=0 --speed=115200
terminal_output serial
multiboot2 /xen.bin {xen_args}
module2 /vmlinux {dom0_args}
module2 /initrd.dom0
boot
"""

# 100 million instructions a second, so that Xen's and Linux's time-outs fit what
# Bochs can do; sync=none lets idle time pass at once.
SOUND = "sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy\n"
BOCHSRC = """display_library: {display}
config_interface: textconfig
cpu: model={cpu}, count=1, ips=100000000, reset_on_triple_fault=0
memory: guest={mem}, host={mem}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
vga: extension=none, update_freq=1
{sound}speaker: enabled=0
clock: sync=none, time0=utc
boot: cdrom
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
ata0-master: type=disk, path={image}, mode=volatile, journal={tmp}/root.changes
ata0-slave: type=disk, path={tmp}/vg.img, mode=flat
ata1-master: type=cdrom, path={tmp}/boot.iso, status=inserted
ata1-slave: type=disk, path={tmp}/exchange.img, mode=flat
com1: enabled=1, mode=term, dev={console}
com2: enabled=1, mode=file, dev={tmp}/out
log: {logs}/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
mouse: enabled=0
"""


def make_boot_cd(args, tmp):
    cd = os.path.join(tmp, "cd")
    os.makedirs(os.path.join(cd, "boot", "grub"))
    for src, name in ((args.xen, "xen.bin"), (args.kernel, "vmlinux"),
                      (args.initrd, "initrd.dom0")):
        shutil.copyfile(src, os.path.join(cd, name))
    with open(os.path.join(cd, "boot", "grub", "grub.cfg"), "w") as f:
        f.write(GRUB.format(
            xen_args=XEN_ARGS.format(dom0=args.dom0_mem) + " " + args.xen_args,
            dom0_args=DOM0_ARGS))
    with open(os.path.join(args.logs, "grub-mkrescue.log"), "wb") as log:
        subprocess.run(["grub-mkrescue", "-o", os.path.join(tmp, "boot.iso"), cd],
                       check=True, stdout=log, stderr=log)
    shutil.rmtree(cd)


def make_disks(args, tmp):
    with open(os.path.join(tmp, "vg.img"), "wb") as f:
        f.truncate(VG_SIZE)
    exchange = os.path.join(tmp, "exchange.img")
    with open(os.path.join(args.dir_run, "order"), "w") as f:
        # Time stands still while the machine boots: dom0's clock is only near.
        f.write("go %.3f %s run 24 80\n" % (time.time(), os.urandom(32).hex()))
    lay_out = os.path.join(tmp, "in")
    os.makedirs(os.path.join(lay_out, "build"))
    for src, name in ((args.dir_run, "run"), (args.dir_tests, "tests"), (args.dir_share, "share"),
                      (os.path.join(args.dir_build, "tests"), "build/tests")):
        if src and os.path.isdir(src):
            os.symlink(os.path.abspath(src), os.path.join(lay_out, name))
    tar = ["tar", "-cf", exchange, "--dereference", "--exclude=*.o", "--exclude=*.d",
           "-C", lay_out, "."]
    subprocess.run(tar, check=True)
    if os.path.getsize(exchange) > OUT_AT:
        raise Gone(EX_EMULATOR, "tests and programs are too large for the exchange disk")
    os.truncate(exchange, EXCHANGE_SIZE)


class Bochs:
    def __init__(self, args, tmp):
        self.args = args
        self.tmp = tmp
        self.console = os.path.join(args.logs, "console.log")
        self.keys = None    # what is written here, Xen's console gets
        self.heard = time.monotonic()
        self.proc = None

    def start(self):
        a = self.args
        rc = os.path.join(self.tmp, "bochsrc")
        self.keys, console = pty.openpty()
        tty.setraw(console)
        # One that was built without it, and with no screen, is several times faster.
        debugger = b"-rc " in subprocess.run(
            [a.bochs, "--help"], check=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
        with open(rc, "w") as f:
            f.write(BOCHSRC.format(
                display="term" if debugger else "nogui", sound=SOUND if debugger else "",
                cpu=a.cpu, mem=a.mem, image=a.image, tmp=self.tmp,
                console=os.ttyname(console), logs=a.logs))
        with open(os.path.join(self.tmp, "continue"), "w") as f:
            f.write("c\n")      # Debian's Bochs starts in its debugger
        line = [a.bochs, "-q", "-f", rc]
        if debugger:
            line += ["-rc", os.path.join(self.tmp, "continue")]
        # With the debugger in it, Bochs opens a terminal of its own for its screen
        # and says which. Nobody looks at it, but it blocks unless it is read.
        ours, theirs = pty.openpty()
        env = dict(os.environ, TERM="linux", LINES="30", COLUMNS="100")
        self.proc = subprocess.Popen(
            line, stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=self.tmp,
            start_new_session=True, preexec_fn=die_with_parent)
        os.close(theirs)
        log = open(os.path.join(a.logs, "bochs-debugger.log"), "wb")
        threading.Thread(target=self.drain, args=(ours, log), daemon=True).start()
        # Held open on both sides, so that reading does not end before Bochs opens it.
        threading.Thread(target=self.record, args=(console,), daemon=True).start()

    def drain(self, fd, log):
        said = b""
        opened = False
        try:
            while True:
                data = os.read(fd, 65536)
                if not data:
                    return
                if log.tell() < 1 << 20:
                    log.write(data)
                    log.flush()
                said = (said + data)[-4096:]
                m = re.search(rb'connected to screen "(/dev/pts/\d+)"', said)
                if m and not opened:
                    opened = True
                    screen = os.open(m.group(1), os.O_RDWR | os.O_NOCTTY)
                    tty.setraw(screen)
                    threading.Thread(target=self.swallow, args=(screen,), daemon=True).start()
        except OSError:
            pass

    def record(self, _held):
        with open(self.console, "wb", buffering=0) as log:
            while True:
                log.write(os.read(self.keys, 65536))
                self.heard = time.monotonic()

    def ask_xen(self, keys, patience=120):
        """Press debug keys on Xen's console, and give it time to answer."""
        end = time.monotonic() + patience
        os.write(self.keys, b"\x01\x01\x01" + keys)
        self.heard = time.monotonic() + 20
        while time.monotonic() < min(end, self.heard + 5):
            time.sleep(0.2)

    @staticmethod
    def swallow(fd):
        try:
            while os.read(fd, 65536):
                pass
        except OSError:
            pass

    def kill(self):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()


def follow(machine, deadline):
    """Pass the output on until it says how the command ended."""
    out = os.path.join(machine.tmp, "out")
    at, text, up, dying = 0, b"", False, None
    while True:
        try:
            with open(out, "rb") as f:
                f.seek(at)
                data = f.read()
        except OSError:
            data = b""
        at += len(data)
        text += data.replace(b"\r\n", b"\n")
        if not up and b"lab-up\n" in text:
            up = True
            text = text.split(b"lab-up\n", 1)[1]
            say("dom0 is up")
        if up:
            m = re.search(rb"\n?lab-exit (\d+)\n", text)
            # A line that may be the last one is kept back until it is whole.
            keep = m.start() if m else max(text.rfind(b"\n"), 0)
            write_all(1, text[:keep])
            text = text[keep:]
            if m:
                return int(m.group(1))
        words = deadly_words(machine.console)
        if words and not dying:
            dying = time.monotonic() + 5
        if machine.proc.poll() is not None:
            gone = words or (EX_EMULATOR, "Bochs ended")
        elif dying and time.monotonic() > dying:
            gone = words
        elif deadline and time.monotonic() > deadline:
            machine.ask_xen(b"0dq")     # dom0 state, registers, domains
            gone = EX_TIMEOUT, "timeout"
        else:
            gone = None
        if gone:
            write_all(1, text if up else b"")
            raise Gone(*gone)
        time.sleep(0.2)


def fetch(args, tmp):
    """Take the logs, and what the command left in /mnt/share."""
    for name, where in (("xen", args.logs), ("share", args.dir_share)):
        if where:
            with open(os.path.join(tmp, "exchange.img"), "rb") as f:
                f.seek(OUT_AT)
                subprocess.run(["tar", "-C", where, "--strip-components=1", "-xf", "-", name],
                               stdin=f, check=False, stderr=subprocess.DEVNULL)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bochs", default="bochs")
    p.add_argument("--cpu", default="corei7_haswell_4770")
    p.add_argument("--mem", type=int, required=True)
    p.add_argument("--dom0-mem", type=int, required=True)
    p.add_argument("--xen", required=True)
    p.add_argument("--xen-args", default="")
    p.add_argument("--kernel", required=True)
    p.add_argument("--initrd", required=True)
    p.add_argument("--image", required=True)
    p.add_argument("--logs", required=True)
    p.add_argument("--timeout", type=float, default=0)
    for tag in ("run", "share", "tests", "build"):
        p.add_argument("--dir-" + tag)
    args = p.parse_args()
    for s in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, lambda n, _: sys.exit(128 + n))
    tmp = tempfile.mkdtemp(prefix="lab.")
    machine = Bochs(args, tmp)
    try:
        start = time.monotonic()
        make_boot_cd(args, tmp)
        make_disks(args, tmp)
        machine.start()
        status = follow(machine, start + args.timeout if args.timeout else None)
        time.sleep(1)
        fetch(args, tmp)
        return status
    except Gone as e:
        status = explain(e, machine.console, os.path.join(args.logs, "bochs.log"))
        say("all logs are in " + args.logs)
        return status
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        machine.kill()
        shutil.rmtree(tmp, ignore_errors=True)
        shutil.rmtree(args.dir_run, ignore_errors=True)


sys.exit(main())
