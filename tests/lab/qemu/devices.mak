# SPDX-License-Identifier: LGPL-2.1-only
# The devices of the lab's emulator; with none by default, what these need comes along.
CONFIG_I440FX=y
CONFIG_PCI_DEVICES=n
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_SERIAL=y
CONFIG_VIRTIO_9P=y
CONFIG_FSDEV_9P=y
CONFIG_SERIAL_ISA=y
CONFIG_MICROVM=n
