/* SPDX-License-Identifier: LGPL-2.1-only */
#include "pack.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit.h"

#include "fake/scratch.h"

static char pages[3 * PAGE_BATCH][PAGE_SIZE_BYTES];

static void any_one_bit_makes_a_page_not_zero(void **state)
{
    char page[PAGE_SIZE_BYTES + 1];

    (void)state;
    memset(page, 0, sizeof(page));
    assert_true(pack_is_zero(page));
    for (unsigned i = 0; i < PAGE_SIZE_BYTES; i++) {
        page[i] = (char)(1 << i % 8);
        assert_false(pack_is_zero(page));
        page[i] = 0;
    }
    page[PAGE_SIZE_BYTES] = 1; /* beyond */
    assert_true(pack_is_zero(page));
    assert_true(pack_is_zero(page + 1) == false);
}

/* The value stands in files: it must never change. */
static void the_checksum_is_xxh64(void **state)
{
    (void)state;
    assert_int_equal(pack_sum("", 0, 0), 0xef46db3751d8e999u);
    assert_int_equal(pack_sum("abc", 3, 0), 0x44bc2cf5ad770999u);
    assert_int_not_equal(pack_sum("abc", 3, 1), pack_sum("abc", 3, 0));
}

static void assert_slot(int fd, uint64_t slot, const void *want)
{
    char page[PAGE_SIZE_BYTES];

    assert_int_equal(pread(fd, page, sizeof(page), (off_t)(slot * 4096)),
                     sizeof(page));
    assert_memory_equal(page, want, sizeof(page));
}

static void every_page_lands_in_its_slot(void **state)
{
    static struct pack p;
    uint64_t slot;
    int fd = memfd_create("pack", MFD_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    pack_init(&p, fd);
    for (unsigned i = 0; i < 3 * PAGE_BATCH; i++)
        scratch_page(pages[i], i + 1);
    /* More than a run holds, some neighbours in memory, some not. */
    for (unsigned i = 0; i < 3 * PAGE_BATCH; i++) {
        assert_int_equal(pack_add(&p, pages[i ^ (i / 100 % 2)], &slot), 0);
        assert_int_equal(slot, i + 1);
    }
    assert_int_equal(pack_flush(&p), 0);
    for (unsigned i = 0; i < 3 * PAGE_BATCH; i++)
        assert_slot(fd, i + 1, pages[i ^ (i / 100 % 2)]);
    close(fd);
}

static void a_replacement_wins_over_what_is_on_its_way(void **state)
{
    static struct pack p;
    uint64_t slot;
    int fd = memfd_create("pack", MFD_CLOEXEC);

    (void)state;
    pack_init(&p, fd);
    for (unsigned i = 0; i < 10; i++) {
        scratch_page(pages[i], i + 1);
        assert_int_equal(pack_add(&p, pages[i], &slot), 0);
    }
    for (unsigned i = 10; i < 20; i++)
        scratch_page(pages[i], i + 1);
    assert_int_equal(pack_replace(&p, pages[10], 7), 0);
    assert_int_equal(pack_replace(&p, pages[11], 8), 0);
    assert_int_equal(pack_replace(&p, pages[12], 2), 0);
    assert_int_equal(pack_replace(&p, pages[13], 7), 0);
    assert_int_equal(pack_add(&p, pages[14], &slot), 0);
    assert_int_equal(pack_replace(&p, pages[15], slot), 0);
    assert_int_equal(pack_flush(&p), 0);
    assert_slot(fd, 1, pages[0]);
    assert_slot(fd, 2, pages[12]);
    assert_slot(fd, 7, pages[13]);
    assert_slot(fd, 8, pages[11]);
    assert_slot(fd, 10, pages[9]);
    assert_slot(fd, 11, pages[15]);
    close(fd);
}

static void a_failed_write_is_told(void **state)
{
    static struct pack p;
    uint64_t slot;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    if (fd < 0)
        skip();
    pack_init(&p, fd);
    assert_int_equal(pack_add(&p, pages[0], &slot), 0);
    assert_true(pack_flush(&p) < 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_one_bit_makes_a_page_not_zero),
        cmocka_unit_test(the_checksum_is_xxh64),
        cmocka_unit_test(every_page_lands_in_its_slot),
        cmocka_unit_test(a_replacement_wins_over_what_is_on_its_way),
        cmocka_unit_test(a_failed_write_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
