/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef FUZZ_STREAM_H
#define FUZZ_STREAM_H
/*
 * For fuzzers of what comes in as a stream: a file for it, and a store of its
 * own that stays empty from one input to the next.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ckpt.h"
#include "fake/scratch.h"

static struct {
    struct ckpt *c;
    char *dir;
    int fd;
} stream;

static inline void stream_clean_up(void)
{
    close(stream.fd);
    ckpt_close(stream.c);
    scratch_remove(stream.dir);
}

/* The file is empty again. */
static inline void stream_begin(void)
{
    if (!stream.dir) {
        stream.dir = scratch_dir();
        stream.c = scratch_open(stream.dir);
        stream.fd = memfd_create("stream", MFD_CLOEXEC);
        atexit(stream_clean_up);
    }
    if (ftruncate(stream.fd, 0) || lseek(stream.fd, 0, SEEK_SET))
        exit(99);
}

static inline void stream_put(const void *data, size_t len_bytes)
{
    if (write(stream.fd, data, len_bytes) != (ssize_t)len_bytes)
        exit(99);
}

/* From its beginning it goes to @import: what that makes of it is dropped. */
static inline void stream_end(int (*import)(struct ckpt *c, int fd,
                                            struct ckpt_info *info_out))
{
    struct ckpt_info info;

    lseek(stream.fd, 0, SEEK_SET);
    if (import(stream.c, stream.fd, &info))
        return;
    scratch_drop(stream.c, info.id);
    ckpt_info_fini(&info);
}

#endif
