/* SPDX-License-Identifier: LGPL-2.1-only */
#include "pack_sum.h"

#include <string.h>

#include "unit.h"

#include "page.h"

static void any_one_bit_makes_a_page_not_zero(void **state)
{
    char page[PAGE_SIZE_BYTES + 1];

    (void)state;
    memset(page, 0, sizeof(page));
    assert_true(page_is_zero(page));
    for (unsigned i = 0; i < PAGE_SIZE_BYTES; i++) {
        page[i] = (char)(1 << i % 8);
        assert_false(page_is_zero(page));
        page[i] = 0;
    }
    page[PAGE_SIZE_BYTES] = 1; /* beyond */
    assert_true(page_is_zero(page));
    assert_false(page_is_zero(page + 1));
}

/* The values stand in files: they must never change. */
static void the_checksums_are_what_they_were(void **state)
{
    (void)state;
    assert_int_equal(sum_xxh64("", 0, 0), 0xef46db3751d8e999u);
    assert_int_equal(sum_xxh64("abc", 3, 0), 0x44bc2cf5ad770999u);
    assert_int_equal(sum_of(SUM_XXH64, "abc", 3, 0), 0x44bc2cf5ad770999u);
    assert_int_equal(sum_of(SUM_XXH3, "", 0, 0), 0x2d06800538d394c2u);
    assert_int_equal(sum_of(SUM_XXH3, "abc", 3, 0), 0x78af5f94892f3950u);
    assert_int_not_equal(sum_of(SUM_XXH3, "abc", 3, 1),
                         sum_of(SUM_XXH3, "abc", 3, 0));
}

static void the_kind_is_chosen_once(void **state)
{
    const enum sum_kind kind = sum_kind_here();

    (void)state;
    assert_true(kind == SUM_XXH64 || kind == SUM_XXH3);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(sum_kind_here(), kind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_one_bit_makes_a_page_not_zero),
        cmocka_unit_test(the_checksums_are_what_they_were),
        cmocka_unit_test(the_kind_is_chosen_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
