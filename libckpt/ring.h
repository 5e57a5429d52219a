/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_RING_H
#define CKPT_RING_H
/*
 * HOT PATH: reads and writes that go on while the caller does something else, and
 * many of them to a system call: the kernel's io_uring.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct ring;

/* For at most @depth at a time.  Where writes come from @room, if it is not NULL, is
 * looked up once and for all.  NULL: the kernel has none for us (it is too old,
 * forbids it, or has no memory). */
struct ring *ring_open(unsigned depth, void *room, size_t room_bytes);
/* NULL is fine.  What is still on its way is waited for, or called off. */
void ring_close(struct ring *r);

/* Begins a write from the room; its end is told by @tag.  0, or -errno: it was
 * not begun. */
int ring_write(struct ring *r, int fd, const void *data, unsigned len_bytes,
               uint64_t offset, unsigned tag);
/* A read that begins with the next ring_wait(); until then and to its end @fd stays
 * open and @iov where it is.  0, or -EAGAIN: wait for another one first. */
int ring_readv(struct ring *r, int fd, const struct iovec *iov, unsigned nr,
               uint64_t offset, unsigned tag);
/* Waits for one to end: how many bytes it came to, or -errno, into *done_out.
 * 0 or -errno. */
int ring_wait(struct ring *r, unsigned *tag_out, int *done_out);

#endif
