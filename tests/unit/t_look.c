/* SPDX-License-Identifier: LGPL-2.1-only */
#include "look.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "fake/scratch.h"

static char pages[PAGE_BATCH][PAGE_SIZE_BYTES];
static struct page_batch b;

/* @nr pages: content, none, zeros, of a type without content. */
static void make_batch(unsigned nr, uint64_t seed)
{
    b.nr = nr;
    for (unsigned i = 0; i < nr; i++) {
        b.type[i] = i % 11 == 3 ? PAGE_TYPE_ALLOC : PAGE_TYPE_NORMAL;
        scratch_page(pages[i], i % 5 == 2 ? 0 : seed + i);
        b.data[i] = i % 7 == 4 ? NULL : pages[i];
    }
}

static void assert_seen(struct looks *l)
{
    for (unsigned i = 0; i < b.nr; i++) {
        const struct look *look = &look_part(l, i / LOOK_PAGES)[i % LOOK_PAGES];
        const int is_zero = i % 11 == 3 || i % 5 == 2 || i % 7 == 4;

        assert_int_equal(look->is_zero, is_zero);
        if (!is_zero)
            assert_true(look->sum ==
                        sum_of(l->kind, pages[i], PAGE_SIZE_BYTES, 0));
    }
}

/* Alone and with a thread, batches of all lengths one after the other. */
static void every_page_is_seen_as_it_is(void **state)
{
    static const unsigned lengths[] = {0,  1,  15,  16,         17,
                                       33, 64, 500, PAGE_BATCH, 3};
    struct looks *l = calloc(1, sizeof(*l));

    (void)state;
    assert_non_null(l);
    for (int is_shared = 0; is_shared < 2; is_shared++) {
        look_init(l, SUM_XXH3, is_shared);
        for (unsigned round = 0; round < 200; round++) {
            make_batch(lengths[round % 10], round * 10000 + 1);
            look_begin(l, &b);
            assert_seen(l);
            look_end(l);
        }
        look_fini(l);
        look_fini(l); /* harmless */
    }
    free(l);
}

/* The caller may have its pages back after _end, whatever was asked for. */
static void nobody_looks_after_the_end(void **state)
{
    struct looks *l = calloc(1, sizeof(*l));

    (void)state;
    assert_non_null(l);
    look_init(l, SUM_XXH3, true);
    for (unsigned round = 0; round < 300; round++) {
        struct page_batch *own = malloc(sizeof(*own));
        char *page = malloc(PAGE_SIZE_BYTES);

        assert_true(own && page);
        memset(page, 1, PAGE_SIZE_BYTES);
        own->nr = PAGE_BATCH;
        for (unsigned i = 0; i < PAGE_BATCH; i++) {
            own->type[i] = PAGE_TYPE_NORMAL;
            own->data[i] = page;
        }
        look_begin(l, own);
        if (round % 3)
            look_part(l, round % 3 - 1);
        look_end(l);
        free(page); /* a sanitizer sees who is late */
        free(own);
    }
    look_fini(l);
    free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_is_seen_as_it_is),
        cmocka_unit_test(nobody_looks_after_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
