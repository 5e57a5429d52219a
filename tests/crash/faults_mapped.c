/* SPDX-License-Identifier: LGPL-2.1-only */
/* Between the library and libpmem2: what is copied into a mapping is lost in a
 * power cut until it is drained, and a file's room and length until a sync. */
#include "faults_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libpmem2.h>

#define COPIES_A_POINT 16u /* each would be one too many */

int __real_posix_fallocate(int fd, off_t off, off_t len);
int __real_ftruncate(int fd, off_t len);
int __real_msync(void *at, size_t len, int flags);
pmem2_memcpy_fn __real_pmem2_get_memcpy_fn(struct pmem2_map *map);
pmem2_drain_fn __real_pmem2_get_drain_fn(struct pmem2_map *map);

int __wrap_posix_fallocate(int fd, off_t off, off_t len);
int __wrap_ftruncate(int fd, off_t len);
int __wrap_msync(void *at, size_t len, int flags);
pmem2_memcpy_fn __wrap_pmem2_get_memcpy_fn(struct pmem2_map *map);
pmem2_drain_fn __wrap_pmem2_get_drain_fn(struct pmem2_map *map);

static pthread_mutex_t copying = PTHREAD_MUTEX_INITIALIZER;
static pmem2_memcpy_fn real_copy;
static pmem2_drain_fn real_drain;
static unsigned nr_copies, nr_undrained;
static _Thread_local unsigned my_undrained;
static ino_t mapped_ino; /* of the file that is mapped to be written to */

void look_for_copies(void)
{
    if (nr_undrained && !unsound[0])
        snprintf(unsound, sizeof(unsound), "copies are not drained");
}

/* A copy cannot fail; what is to fail here, does not. */
static void *lossy_copy(void *to, const void *from, size_t len, unsigned flags)
{
    struct loss *l;
    int is_point;

    pthread_mutex_lock(&copying);
    is_point = nr_copies++ % COPIES_A_POINT == 0;
    if (is_armed && is_point && armed == FAULT_KILL_TORN &&
        passed + 1 == target) {
        real_copy(to, from, len / 2, flags);
        die();
    }
    if (is_point)
        (void)before();
    l = new_loss(mapped_ino, -1);
    if (l) {
        l->mem = to;
        l->len = len;
        l->thread = pthread_self();
    }
    nr_undrained++;
    my_undrained++;
    real_copy(to, from, len, flags);
    if (is_point)
        after();
    pthread_mutex_unlock(&copying);
    return to;
}

static void lossy_drain(void)
{
    unsigned kept = 0;

    pthread_mutex_lock(&copying);
    real_drain();
    for (unsigned i = 0; i < nr_losses; i++) {
        if (!losses[i].mem || !pthread_equal(losses[i].thread, pthread_self()))
            losses[kept++] = losses[i];
    }
    nr_losses = kept;
    nr_undrained -= my_undrained;
    my_undrained = 0;
    pthread_mutex_unlock(&copying);
}

pmem2_memcpy_fn __wrap_pmem2_get_memcpy_fn(struct pmem2_map *map)
{
    real_copy = __real_pmem2_get_memcpy_fn(map);
    return lossy_copy;
}

pmem2_drain_fn __wrap_pmem2_get_drain_fn(struct pmem2_map *map)
{
    real_drain = __real_pmem2_get_drain_fn(map);
    return lossy_drain;
}

int __wrap_posix_fallocate(int fd, off_t off, off_t len)
{
    int r;

    if (before())
        return errno;
    r = __real_posix_fallocate(fd, off, len);
    mapped_ino = ino_of(fd);
    mark(mapped_ino);
    after();
    return r;
}

int __wrap_ftruncate(int fd, off_t len)
{
    int r;

    if (before())
        return -1;
    r = __real_ftruncate(fd, len);
    mark(ino_of(fd));
    after();
    return r;
}

int __wrap_msync(void *at, size_t len, int flags)
{
    int r;

    if (before())
        return -1;
    nr_syncs++;
    r = __real_msync(at, len, flags);
    forget(mapped_ino);
    after();
    return r;
}
