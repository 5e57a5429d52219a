/* SPDX-License-Identifier: LGPL-2.1-only */
/* Between the library and io_uring: what is begun is done at once, writes with
 * the faults of any other, and what came of it is told when it is waited for. */
#include "faults_private.h"

#include <errno.h>
#include <stdint.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "ring.h"

#define ENDED_MAX 256u /* more than anybody begins at a time */

int __real_fstatfs(int fd, struct statfs *out);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t off);

int __wrap_fstatfs(int fd, struct statfs *out);
int __wrap_ring_write(struct ring *r, int fd, const void *data,
                      unsigned len_bytes, uint64_t offset, unsigned tag);
int __wrap_ring_readv(struct ring *r, int fd, const struct iovec *iov,
                      unsigned nr, uint64_t offset, unsigned tag);
int __wrap_ring_wait(struct ring *r, unsigned *tag_out, int *done_out);

static struct {
    unsigned tag;
    int done;
} ended[ENDED_MAX];
static unsigned nr_begun, nr_told;
static int is_disk;

void faults_on_disk(void)
{
    is_disk = 1;
}

int __wrap_fstatfs(int fd, struct statfs *out)
{
    const int rc = __real_fstatfs(fd, out);

    if (!rc && is_disk && out->f_type == TMPFS_MAGIC)
        out->f_type = EXT4_SUPER_MAGIC;
    return rc;
}

static void end(unsigned tag, ssize_t n)
{
    ended[nr_begun % ENDED_MAX].tag = tag;
    ended[nr_begun++ % ENDED_MAX].done = n < 0 ? -errno : (int)n;
}

int __wrap_ring_write(struct ring *r, int fd, const void *data,
                      unsigned len_bytes, uint64_t offset, unsigned tag)
{
    const ssize_t n = __wrap_pwrite(fd, data, len_bytes, (off_t)offset);

    (void)r;
    end(tag, n);
    return 0;
}

int __wrap_ring_readv(struct ring *r, int fd, const struct iovec *iov,
                      unsigned nr, uint64_t offset, unsigned tag)
{
    const ssize_t n = preadv(fd, iov, (int)nr, (off_t)offset);

    (void)r;
    end(tag, n);
    return 0;
}

int __wrap_ring_wait(struct ring *r, unsigned *tag_out, int *done_out)
{
    (void)r;
    if (nr_begun == nr_told)
        return -EDEADLK;
    *tag_out = ended[nr_told % ENDED_MAX].tag;
    *done_out = ended[nr_told++ % ENDED_MAX].done;
    return 0;
}
