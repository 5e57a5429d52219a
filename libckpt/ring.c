/* SPDX-License-Identifier: LGPL-2.1-only */
#include "ring.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <liburing.h>

struct ring {
    struct io_uring uring;
    bool has_room;     /* the kernel knows where it lies */
    bool is_broken;    /* it took something half: nothing more is begun */
    unsigned nr_begun; /* and not ended */
};

struct ring *ring_open(unsigned depth, void *room, size_t room_bytes)
{
    const struct iovec iov = {.iov_base = room, .iov_len = room_bytes};
    struct ring *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    if (io_uring_queue_init(depth, &r->uring, 0)) {
        free(r);
        return NULL;
    }
    /* It may be more than we may lock: then each write looks it up. */
    r->has_room = room && !io_uring_register_buffers(&r->uring, &iov, 1);
    return r;
}

void ring_close(struct ring *r)
{
    if (!r)
        return;
    io_uring_queue_exit(&r->uring);
    free(r);
}

/* What could not be begun must not be begun later, either: its room has other
 * content by then. */
static int submit(struct ring *r, unsigned nr_wait)
{
    int rc;

    do
        rc = io_uring_submit_and_wait(&r->uring, nr_wait);
    while (rc == -EINTR || rc == -EAGAIN);
    r->is_broken = rc < 0;
    if (rc < 0)
        return rc;
    r->nr_begun += (unsigned)rc;
    return 0;
}

static struct io_uring_sqe *begin(struct ring *r)
{
    return r->is_broken ? NULL : io_uring_get_sqe(&r->uring);
}

int ring_write(struct ring *r, int fd, const void *data, unsigned len_bytes,
               uint64_t offset, unsigned tag)
{
    struct io_uring_sqe *sqe = begin(r);

    if (!sqe)
        return -EAGAIN;
    if (r->has_room)
        io_uring_prep_write_fixed(sqe, fd, data, len_bytes, offset, 0);
    else
        io_uring_prep_write(sqe, fd, data, len_bytes, offset);
    io_uring_sqe_set_data64(sqe, tag);
    return submit(r, 0);
}

int ring_readv(struct ring *r, int fd, const struct iovec *iov, unsigned nr,
               uint64_t offset, unsigned tag)
{
    struct io_uring_sqe *sqe = begin(r);

    if (!sqe)
        return -EAGAIN;
    io_uring_prep_readv(sqe, fd, iov, nr, offset);
    io_uring_sqe_set_data64(sqe, tag);
    return 0;
}

int ring_wait(struct ring *r, unsigned *tag_out, int *done_out)
{
    struct io_uring_cqe *cqe;
    int rc = io_uring_peek_cqe(&r->uring, &cqe);

    if (rc && !r->is_broken)
        submit(r, 1);
    if (rc && !r->nr_begun)
        return -EIO;
    while (rc == -EAGAIN || rc == -EINTR)
        rc = io_uring_wait_cqe(&r->uring, &cqe);
    if (rc)
        return rc;
    *tag_out = (unsigned)io_uring_cqe_get_data64(cqe);
    *done_out = cqe->res;
    io_uring_cqe_seen(&r->uring, cqe);
    r->nr_begun--;
    return 0;
}
