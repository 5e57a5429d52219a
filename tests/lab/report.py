# SPDX-License-Identifier: LGPL-2.1-only
"""What both lanes tell the user: why a machine died, and its last words."""

import ctypes
import os
import re
import signal
import sys

EX_XEN = 121        # the hypervisor crashed
EX_DOM0 = 122       # dom0's kernel crashed, or dom0 went down
EX_EMULATOR = 123   # the emulator itself ended or could not start
EX_TIMEOUT = 124    # as timeout(1)

XEN_DEATH = re.compile(rb"\(XEN\) (Panic on CPU|Xen BUG at .*$)", re.M)
DOM0_DEATH = re.compile(
    rb"^(\[[ .0-9]+\] )?Kernel panic - not syncing|Hardware Dom0 (crashed|shutdown|halted)",
    re.M)


class Gone(Exception):
    """The machine cannot go on; args are the exit status and why."""


def say(text):
    print("lab:", text, file=sys.stderr, flush=True)


def die_with_parent(sig=signal.SIGKILL):
    """No orphan may go on computing when the one who wanted it is gone."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, sig)


def deadly_words(console):
    """What a console log says about a death: (status, line), or None."""
    try:
        with open(console, "rb") as f:
            text = f.read()
    except OSError:
        return None
    for pattern, status in ((XEN_DEATH, EX_XEN), (DOM0_DEATH, EX_DOM0)):
        m = pattern.search(text)
        if m:
            # Xen's next lines say what it was.
            end = text.find(b"\n", m.start())
            more = text[end:end + 200].split(b"\n")[1:2]
            line = b" ".join([text[m.start():end], *more])
            return status, line.decode(errors="replace").replace("\r", "").strip()
    return None


def show_tail(path, count):
    try:
        with open(path, "rb") as f:
            lines = f.read().decode(errors="replace").split("\n")
    except OSError:
        return
    # QEMU warns at each start of what its CPU model lacks: known, and no news.
    lines = [x.rstrip() for x in lines if "TCG doesn't support" not in x]
    lines = [x for x in lines if x][-count:]
    if lines:
        say("the last lines of %s:" % path)
        for line in lines:
            print("  |", line, file=sys.stderr)


def explain(gone, *logs):
    """Say why it ended, and show the tails of these logs."""
    status, why = gone.args
    say({EX_XEN: "Xen crashed: ", EX_DOM0: "dom0 died: ", EX_TIMEOUT: "gave up: "}
        .get(status, "") + why)
    for path in logs:
        show_tail(path, 40)
    return status


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]
