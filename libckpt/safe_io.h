/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_SAFE_IO_H
#define CKPT_SAFE_IO_H
/*
 * Writing files so that a reader sees the old or the new one whole, whatever
 * dies when; and reading and writing all of a length.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct ckpt;

/* All of @len_bytes, restarted on EINTR and short counts; 0 or -errno.
 * read_all of a file that ends early is -EPIPE. */
int safe_write_all(int fd, const void *data, size_t len_bytes);
int safe_writev_all(int fd, struct iovec *iov, int nr); /* iov is consumed */
int safe_pwritev_all(int fd, struct iovec *iov, int nr, off_t off);
int safe_preadv_all(int fd, struct iovec *iov, int nr, off_t off);
int safe_pwrite_all(int fd, const void *data, size_t len_bytes, off_t off);
int safe_read_all(int fd, void *data, size_t len_bytes);
int safe_pread_all(int fd, void *data, size_t len_bytes, off_t off);

/* @name in folder @dirfd := @data: temporary name, write, fsync, close,
 * rename, fsync of the folder.  Mode 0600. */
int safe_replace(struct ckpt *c, int dirfd, const char *name, const void *data,
                 size_t len_bytes);
/* The same with the temporary file in @temp_dirfd, on the same filesystem. */
int safe_replace_via(struct ckpt *c, int temp_dirfd, int dirfd,
                     const char *name, const void *data, size_t len_bytes);
/* Temporary files end so; their writers hold a flock on them.  A sweep
 * removes one whose writer is dead. */
#define SAFE_TEMP_SUFFIX ".tmp~"
int safe_is_temp(const char *name);
void safe_sweep_temp(int dirfd, const char *name);

/* The whole file, NUL-terminated, owned by the caller; -EFBIG above
 * @max_bytes, checked before anything is allocated. */
int safe_slurp(struct ckpt *c, int dirfd, const char *name, size_t max_bytes,
               char **data_out, size_t *len_bytes_out);
/* Publishes: fsync of @from's content is the caller's; rename without
 * replacing (-EEXIST), fsync of both folders. */
int safe_publish(struct ckpt *c, int from_dirfd, const char *from, int to_dirfd,
                 const char *to);
/* Removes a tree below @dirfd without following links.  One that is not
 * there is removed already. */
int safe_remove_tree(struct ckpt *c, int dirfd, const char *name);

/* fail() with "FOLDER/NAME: VERB", for those who hold the folder open; the
 * full stop counts as in fail(). */
int safe_fail(struct ckpt *c, int rc, const char *verb, int dirfd,
              const char *name);

/* One more page behind @nr of them: as one with the last, where it is adjacent.
 * How many there are then. */
static inline int safe_iov_add(struct iovec *iov, int nr, const void *page,
                               size_t len_bytes)
{
    if (nr && (const char *)iov[nr - 1].iov_base + iov[nr - 1].iov_len == page) {
        iov[nr - 1].iov_len += len_bytes;
        return nr;
    }
    iov[nr].iov_base = (void *)(uintptr_t)page; /* no const there */
    iov[nr].iov_len = len_bytes;
    return nr + 1;
}

#endif
