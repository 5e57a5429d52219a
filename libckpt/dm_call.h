/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DM_CALL_H
#define CKPT_DM_CALL_H
/* For dm*.c: the frame of an ioctl of device-mapper. */
#include <linux/dm-ioctl.h>
#include <stdint.h>
#include <string.h>
#include <sys/sysmacros.h>

/* @io stands before what goes with it or comes back; @size_bytes is of both. */
static inline void dm_call_prepare(struct dm_ioctl *io, size_t size_bytes,
                                   size_t data_at, unsigned flags)
{
    memset(io, 0, size_bytes);
    io->version[0] = DM_VERSION_MAJOR;
    io->data_size = (uint32_t)size_bytes;
    io->data_start = (uint32_t)data_at;
    io->flags = flags;
}

/* The kernel's huge_encode_dev(), and back. */
static inline uint64_t dm_call_encode(dev_t dev)
{
    return (minor(dev) & 0xffu) | ((uint64_t)major(dev) << 8) |
           ((uint64_t)(minor(dev) & ~0xffu) << 12);
}

static inline dev_t dm_call_decode(uint64_t dev)
{
    return makedev((unsigned)((dev & 0xfff00) >> 8),
                   (unsigned)((dev & 0xff) | ((dev >> 12) & 0xfff00)));
}

#endif
