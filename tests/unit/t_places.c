/* SPDX-License-Identifier: LGPL-2.1-only */
/* What places.h promises, with and without a hint, and large.h beneath it. */
#include "../unit.h"

#include <string.h>

#include "large.h"
#include "places.h"

#define NR 300000u /* more than a hint is heeded for */

static uint64_t sum_at(uint32_t i)
{
    return (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void memory_is_zero_and_may_be_small(void **state)
{
    const size_t sizes[] = {1, 4096, (1u << 20) - 1, 1u << 20, (2u << 20) + 1};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *p = large_alloc(sizes[i]);

        assert_non_null(p);
        assert_int_equal(p[0] | p[sizes[i] / 2] | p[sizes[i] - 1], 0);
        memset(p, 0xff, sizes[i]);
        large_free(p, sizes[i]);
    }
    assert_null(large_alloc(SIZE_MAX));
    assert_null(large_alloc(SIZE_MAX - (3u << 20)));
    large_free(NULL, 1);
    large_free(NULL, 4u << 20);
}

static void fill(struct places *p, uint64_t hint)
{
    memset(p, 0, sizeof(*p));
    places_hint(p, hint);
    for (uint32_t i = 0; i < NR; i++)
        assert_int_equal(places_take(p, sum_at(i)), i + 1);
    assert_int_equal(p->nr_used, NR);
}

static void each_is_found(void **state)
{
    const uint64_t hints[] = {0, 10, NR / 4, UINT64_MAX};

    (void)state;
    for (size_t h = 0; h < sizeof(hints) / sizeof(hints[0]); h++) {
        struct places p;

        fill(&p, hints[h]);
        for (uint32_t i = 0; i < NR; i++) {
            uint32_t cursor = 0;

            assert_int_equal(places_find(&p, sum_at(i), &cursor), i + 1);
            assert_int_equal(places_find(&p, sum_at(i), &cursor), 0);
            cursor = 0;
            assert_int_equal(places_find(&p, sum_at(i) + 1, &cursor), 0);
        }
        places_fini(&p);
    }
}

/* The first freed is used first, and not found by what it had. */
static void the_freed_are_used_again(void **state)
{
    struct places p = {0};
    uint32_t cursor = 0;

    (void)state;
    for (uint32_t i = 0; i < 5000; i++)
        assert_int_equal(places_take(&p, sum_at(i)), i + 1);
    places_use(&p, 7);
    assert_int_equal(places_release(&p, 7), 0);
    assert_int_equal(places_release(&p, 7), 0);
    assert_int_equal(places_release(&p, 3), 0);
    assert_int_equal(places_find(&p, sum_at(6), &cursor), 0);
    assert_int_equal(places_take(&p, sum_at(6000)), 7);
    assert_int_equal(places_take(&p, sum_at(6000)), 3);
    assert_int_equal(places_take(&p, sum_at(6001)), 5001);
    cursor = 0;
    assert_int_equal(places_find(&p, sum_at(6), &cursor), 0);
    cursor = 0;
    assert_int_equal(places_find(&p, sum_at(6000), &cursor), 7);
    assert_int_equal(places_find(&p, sum_at(6000), &cursor), 3);
    assert_int_equal(places_find(&p, sum_at(6000), &cursor), 0);
    places_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zero_and_may_be_small),
        cmocka_unit_test(each_is_found),
        cmocka_unit_test(the_freed_are_used_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
