/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The file is mapped in pieces, as it grows:
 *
 *     fallocate -> map -> copy past the caches -> drain -> harden
 *
 * On persistent memory libpmem2 maps it so that a page, once it can be written
 * to, is in the file for good (MAP_SYNC): after the drain the content lasts,
 * and hardening only has the kernel log the file's length, for which one page
 * is enough.  On any other file hardening is one fdatasync(), which knows what
 * was written through a mapping.
 */
#include "mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <libpmem2.h>
#include <linux/magic.h>

/* Whoever writes to a page a second time must not need another block for it. */
static int check_filesystem(int fd)
{
    struct statfs sf;

    if (fstatfs(fd, &sf) < 0)
        return -errno;
    return sf.f_type == EXT4_SUPER_MAGIC || sf.f_type == XFS_SUPER_MAGIC ||
                   sf.f_type == TMPFS_MAGIC
               ? 0
               : -EOPNOTSUPP;
}

/* libpmem2 has numbers of its own, for what it takes no file for. */
static int errno_of(int rc)
{
    return rc <= PMEM2_E_UNKNOWN ? -ENODEV : rc;
}

static int map_piece(int fd, uint64_t offset, struct pmem2_map **map_out)
{
    struct pmem2_config *cfg = NULL;
    struct pmem2_source *src = NULL;
    int rc;

    rc = -posix_fallocate(fd, (off_t)offset, MAPPED_PIECE_BYTES);
    if (!rc)
        rc = errno_of(pmem2_config_new(&cfg));
    if (!rc)
        rc = errno_of(pmem2_config_set_required_store_granularity(
            cfg, PMEM2_GRANULARITY_PAGE));
    if (!rc)
        rc = errno_of(pmem2_config_set_offset(cfg, offset));
    if (!rc)
        rc = errno_of(pmem2_config_set_length(cfg, MAPPED_PIECE_BYTES));
    if (!rc)
        rc = errno_of(pmem2_source_from_fd(&src, fd));
    if (!rc)
        rc = errno_of(pmem2_map_new(map_out, cfg, src));
    pmem2_source_delete(&src);
    pmem2_config_delete(&cfg);
    return rc;
}

/* A table with room for @nr pieces. */
static int grow(struct mapped *m, size_t nr)
{
    struct pmem2_map **more;
    size_t room = 16;

    if (nr <= m->nr_pieces)
        return 0;
    while (room < nr)
        room *= 2;
    more = realloc(m->piece, room * sizeof(*more));
    if (!more)
        return -ENOMEM;
    memset(more + m->nr_pieces, 0, (room - m->nr_pieces) * sizeof(*more));
    m->piece = more;
    m->nr_pieces = room;
    return 0;
}

int mapped_init(struct mapped *m, int fd)
{
    char *first;
    int rc;

    memset(m, 0, sizeof(*m));
    m->fd = fd;
    rc = check_filesystem(fd);
    if (!rc)
        rc = mapped_at(m, 0, &first);
    if (rc)
        return rc;
    m->is_memory =
        pmem2_map_get_store_granularity(m->piece[0]) != PMEM2_GRANULARITY_PAGE;
    m->copy = pmem2_get_memcpy_fn(m->piece[0]);
    m->drain = pmem2_get_drain_fn(m->piece[0]);
    return 0;
}

void mapped_fini(struct mapped *m)
{
    for (size_t i = 0; i < m->nr_pieces; i++) {
        if (m->piece[i])
            pmem2_map_delete(&m->piece[i]);
    }
    free(m->piece);
    memset(m, 0, sizeof(*m));
}

int mapped_at(struct mapped *m, uint64_t offset, char **at_out)
{
    const size_t n = offset / MAPPED_PIECE_BYTES;
    int rc;

    rc = grow(m, n + 1);
    if (!rc && !m->piece[n])
        rc = map_piece(m->fd, (uint64_t)n * MAPPED_PIECE_BYTES, &m->piece[n]);
    if (!rc)
        *at_out = (char *)pmem2_map_get_address(m->piece[n]) +
                  offset % MAPPED_PIECE_BYTES;
    return rc;
}

/* HOT PATH.  On an ordinary file libpmem2's copy would sync each time. */
void mapped_copy(const struct mapped *m, char *to, const void *from,
                 size_t len_bytes)
{
    if (m->is_memory)
        m->copy(to, from, len_bytes,
                PMEM2_F_MEM_NODRAIN | PMEM2_F_MEM_NONTEMPORAL);
    else
        memcpy(to, from, len_bytes);
}

void mapped_drain(const struct mapped *m)
{
    if (m->is_memory)
        m->drain();
}

int mapped_write(struct mapped *m, const void *data, size_t len_bytes,
                 uint64_t offset)
{
    int rc = 0;

    while (!rc && len_bytes) {
        size_t n = MAPPED_PIECE_BYTES - offset % MAPPED_PIECE_BYTES;
        char *to = NULL;

        if (n > len_bytes)
            n = len_bytes;
        rc = mapped_at(m, offset, &to);
        if (!rc)
            mapped_copy(m, to, data, n);
        data = (const char *)data + n;
        len_bytes -= n;
        offset += n;
    }
    mapped_drain(m);
    return rc;
}

int mapped_harden(struct mapped *m)
{
    int r;

    r = m->is_memory ? msync(pmem2_map_get_address(m->piece[0]),
                             (size_t)sysconf(_SC_PAGESIZE), MS_SYNC)
                     : fdatasync(m->fd);
    return r < 0 ? -errno : 0;
}
