#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-only
"""extract-vmlinux.py VMLINUZ VMLINUX: unpack the ELF kernel out of a bzImage.

Xen and libxl unpack a bzImage by themselves, but under an emulator that costs
them seconds at each boot of dom0 and at each start of a guest.
"""

import lzma
import struct
import sys

with open(sys.argv[1], "rb") as f:
    image = f.read()
if image[0x202:0x206] != b"HdrS":
    sys.exit("%s is no bzImage" % sys.argv[1])
setup_sects = image[0x1f1] or 4
offset, length = struct.unpack_from("<II", image, 0x248)
start = (setup_sects + 1) * 512 + offset
payload = image[start:start + length]
if payload[:6] != b"\xfd7zXZ\0":
    sys.exit("%s is not packed with xz" % sys.argv[1])
# The payload ends in the unpacked size, which is no part of the xz stream.
kernel = lzma.LZMADecompressor().decompress(payload)
if kernel[:4] != b"\x7fELF":
    sys.exit("%s holds no ELF" % sys.argv[1])
with open(sys.argv[2], "wb") as f:
    f.write(kernel)
