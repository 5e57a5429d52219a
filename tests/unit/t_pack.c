/* SPDX-License-Identifier: LGPL-2.1-only */
#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "unit.h"

#include "fake/scratch.h"

#define NR (5 * PAGE_BATCH)

static char pages[NR][PAGE_SIZE_BYTES];

static void assert_place(int fd, uint32_t place, const void *want)
{
    char page[PAGE_SIZE_BYTES];

    assert_int_equal(pread(fd, page, sizeof(page), (off_t)place * 4096),
                     sizeof(page));
    assert_memory_equal(page, want, sizeof(page));
}

static void put(struct pack *p, const void *page, uint32_t place)
{
    assert_int_equal(pack_put(p, page, place), 0);
}

/* A memfd takes all ways; as persistent memory, too, when libpmem2 is told. */
static void for_all(void (*run)(struct pack *p, int fd))
{
    static const struct {
        enum pack_way way;
        const char *granularity;
    } ways[] = {{PACK_DIRECT, ""},
                {PACK_CACHED, ""},
                {PACK_MAPPED, "PAGE"},
                {PACK_MAPPED, "CACHE_LINE"},
                {PACK_MAPPED, "BYTE"}};

    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        int fd = memfd_create("pack", MFD_CLOEXEC);
        struct pack *p = malloc(sizeof(*p));

        assert_true(fd >= 0);
        assert_non_null(p);
        setenv("PMEM2_FORCE_GRANULARITY", ways[i].granularity, 1);
        assert_int_equal(
            pack_init(p, ways[i].way, fd, ways[i].way == PACK_DIRECT ? fd : -1),
            0);
        if (ways[i].way == PACK_MAPPED)
            assert_int_equal(mapped_is_memory(&p->mapped),
                             strcmp(ways[i].granularity, "PAGE") != 0);
        run(p, fd);
        pack_fini(p);
        free(p);
        close(fd);
    }
}

static void make_pages(void)
{
    for (unsigned i = 0; i < NR; i++)
        scratch_page(pages[i], i + 1);
}

static void run_fresh(struct pack *p, int fd)
{
    make_pages();
    for (unsigned i = 0; i < NR; i++) {
        put(p, pages[i], i + 1);
        if (i % 700 == 699) {
            assert_int_equal(pack_flush(p), 0);
            memset(pages[i], 0xee, sizeof(pages[i])); /* no longer borrowed */
        }
    }
    assert_int_equal(pack_drain(p), 0);
    make_pages();
    for (unsigned i = 0; i < NR; i++)
        assert_place(fd, i + 1, pages[i]);
}

static void every_page_lands_in_its_place(void **state)
{
    (void)state;
    for_all(run_fresh);
}

/* Places put again and again, in any order, have what came last. */
static void run_again(struct pack *p, int fd)
{
    static unsigned last[64];

    make_pages();
    srand(3);
    for (unsigned i = 0; i < NR; i++) {
        const unsigned place = (unsigned)rand() % 64;

        put(p, pages[i], place + 1);
        last[place] = i;
        if (i % 50 == 0)
            assert_int_equal(pack_flush(p), 0);
    }
    assert_int_equal(pack_drain(p), 0);
    for (unsigned i = 0; i < 64; i++)
        assert_place(fd, i + 1, pages[last[i]]);
}

static void the_last_page_of_a_place_stays(void **state)
{
    (void)state;
    for_all(run_again);
}

static void run_find(struct pack *p, int fd)
{
    const void *found;

    (void)fd;
    make_pages();
    for (unsigned i = 0; i < 10; i++)
        put(p, pages[i], i + 1);
    put(p, pages[20], 3);
    found = pack_find(p, 3);
    assert_non_null(found);
    assert_memory_equal(found, pages[20], PAGE_SIZE_BYTES);
    found = pack_find(p, 4);
    assert_non_null(found);
    assert_memory_equal(found, pages[3], PAGE_SIZE_BYTES);
    assert_null(pack_find(p, 11));
    assert_int_equal(pack_drain(p), 0);
}

static void a_page_on_its_way_is_found(void **state)
{
    (void)state;
    for_all(run_find);
}

static void run_full(struct pack *p, int fd)
{
    const struct rlimit limit = {3 << 20, RLIM_INFINITY},
                        none = {RLIM_INFINITY, RLIM_INFINITY};
    int rc = 0;

    (void)fd;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (unsigned i = 0; !rc && i < NR; i++)
        rc = pack_put(p, pages[i], i + 1);
    if (!rc)
        rc = pack_drain(p);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_int_equal(rc, -EFBIG);
    assert_int_equal(pack_drain(p), -EFBIG); /* and it stays so */
}

static void a_failed_write_is_told(void **state)
{
    (void)state;
    for_all(run_full);
}

/* Across pages, pieces and the end of what was put. */
static void run_write(struct pack *p, int fd)
{
    static char text[3 * MAPPED_PIECE_BYTES / 2], got[sizeof(text)];
    const off_t at = MAPPED_PIECE_BYTES - 1000;

    make_pages();
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7 >> 3);
    for (unsigned i = 0; i < 100; i++)
        put(p, pages[i], i + 1);
    assert_int_equal(pack_drain(p), 0);
    assert_int_equal(pack_write(p, text, sizeof(text), (uint64_t)at), 0);
    assert_int_equal(pack_write(p, "head", 5, 0), 0);
    assert_int_equal(ftruncate(fd, at + (off_t)sizeof(text)), 0);
    assert_int_equal(pack_harden(p), 0);
    assert_int_equal(pread(fd, got, sizeof(got), at), sizeof(got));
    assert_memory_equal(got, text, sizeof(got));
    assert_int_equal(pread(fd, got, 5, 0), 5);
    assert_string_equal(got, "head");
    assert_place(fd, 100, pages[99]);
}

static void what_is_no_page_lands_too(void **state)
{
    (void)state;
    for_all(run_write);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_lands_in_its_place),
        cmocka_unit_test(the_last_page_of_a_place_stays),
        cmocka_unit_test(a_page_on_its_way_is_found),
        cmocka_unit_test(a_failed_write_is_told),
        cmocka_unit_test(what_is_no_page_lands_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
