/* SPDX-License-Identifier: LGPL-2.1-only */
/* What mapped.h promises, and stores that are written so; how pages get there
 * is in t_pack.c. */
#include "mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#include "ctx.h"
#include "fake/scratch.h"
#include "store.h"

#define ID "00000000000000aa"
#define NR 3000u /* frames: more than a piece */

static void a_file_that_moves_when_written_is_refused(void **state)
{
    const int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    struct mapped m;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(mapped_init(&m, fd), -EOPNOTSUPP);
    mapped_fini(&m);
    close(fd);
}

/* And not met as a SIGBUS. */
static void room_that_is_not_there_is_told(void **state)
{
    const struct rlimit limit = {6 << 20, RLIM_INFINITY},
                        none = {RLIM_INFINITY, RLIM_INFINITY};
    const int fd = memfd_create("mapped", MFD_CLOEXEC);
    struct mapped m;
    char *at;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(mapped_init(&m, fd), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(mapped_at(&m, 0, &at), 0);
    assert_int_equal(mapped_at(&m, MAPPED_PIECE_BYTES, &at), -EFBIG);
    assert_int_equal(mapped_write(&m, "x", 1, MAPPED_PIECE_BYTES), -EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_int_equal(mapped_write(&m, "x", 1, MAPPED_PIECE_BYTES), 0);
    mapped_fini(&m);
    close(fd);
}

/* --- a store ------------------------------------------------------------- */

static char *pack_of(const char *dir, const char *scheme, const char *name,
                     size_t *len_out)
{
    char url[600], path[600];
    struct ckpt *c;
    struct stat sb;
    char *bytes;
    int fd;

    snprintf(url, sizeof(url), "%s:%s/%s", scheme, dir, name);
    assert_int_equal(ckpt_open(url, NULL, &c), 0);
    scratch_image_sparse(c, ID, NR);
    ckpt_close(c);
    snprintf(path, sizeof(path), "%s/%s/checkpoints/" ID ".00000001", dir,
             name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && !fstat(fd, &sb));
    bytes = malloc((size_t)sb.st_size);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, (size_t)sb.st_size), sb.st_size);
    close(fd);
    *len_out = (size_t)sb.st_size;
    return bytes;
}

/* So what is golden of one is golden of the other. */
static void either_kind_of_store_has_the_same_bytes(void **state)
{
    static const char *const granularities[] = {"PAGE", "CACHE_LINE"};
    char *dir = scratch_dir(), *want, *got;
    size_t len_want, len_got;

    (void)state;
    want = pack_of(dir, "dir", "dir", &len_want);
    for (unsigned i = 0; i < 2; i++) {
        setenv("PMEM2_FORCE_GRANULARITY", granularities[i], 1);
        got = pack_of(dir, "pmem", granularities[i], &len_got);
        assert_int_equal(len_got, len_want);
        assert_memory_equal(got, want, len_got);
        free(got);
    }
    free(want);
    scratch_remove(dir);
}

/* All of them are in one mapping, so as far apart as in the file, where they
 * lie the other way round. */
static void pages_in_memory_are_read_where_they_lie(void **state)
{
    struct scratch_world *w = *state;
    static struct page_batch b;
    uint64_t cursor = 0;
    struct image *img;

    if (strncmp(w->dir, "/dev/shm/", 9))
        skip();
    assert_int_equal(image_create(w->c->store, ID, &img), 0);
    for (unsigned gfn = 400; gfn-- > 0;)
        assert_int_equal(scratch_put(img, gfn, gfn + 1), 0);
    assert_int_equal(image_commit(img, "{}"), 0);
    assert_int_equal(image_open(w->c->store, ID, &img), 0);
    assert_int_equal(image_next(img, &cursor, &b), 0);
    assert_int_equal(b.nr, 400);
    for (unsigned i = 0; i < b.nr; i++) {
        struct image_home home;
        int64_t first;

        assert_int_equal(image_home(img, 0, &home), 0);
        first = (int64_t)home.offset;
        assert_int_equal(image_home(img, i, &home), 0);
        assert_int_equal((const char *)b.data[i] - (const char *)b.data[0],
                         (int64_t)home.offset - first);
    }
    image_close(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_moves_when_written_is_refused),
        cmocka_unit_test(room_that_is_not_there_is_told),
        cmocka_unit_test(either_kind_of_store_has_the_same_bytes),
        cmocka_unit_test_setup_teardown(pages_in_memory_are_read_where_they_lie,
                                        scratch_setup, scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
