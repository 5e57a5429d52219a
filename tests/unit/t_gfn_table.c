/* SPDX-License-Identifier: LGPL-2.1-only */
#include "gfn_table.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static void a_slot_is_found_again_where_it_was(void **state)
{
    enum {
        NR = 300000
    };
    struct gfn_table t = {.nr_chunks = 0};
    struct gfn_slot *first;

    (void)state;
    first = gfn_table_at(&t, 5);
    assert_non_null(first);
    assert_int_equal(first->ref, 0);
    for (uint64_t i = 0; i < NR; i++) {
        struct gfn_slot *slot = gfn_table_at(&t, i * 3);

        assert_non_null(slot);
        assert_int_equal(slot->ref, 0);
        slot->ref = i + 1;
    }
    for (uint64_t i = NR; i-- > 0;)
        assert_int_equal(gfn_table_at(&t, i * 3)->ref, i + 1);
    assert_ptr_equal(gfn_table_at(&t, 5), first);
    gfn_table_fini(&t);
    gfn_table_fini(&t);
}

static void leaves_come_in_order_whatever_the_order_they_came(void **state)
{
    enum {
        NR = 5000
    };
    struct gfn_table t = {.nr_chunks = 0};

    (void)state;
    for (uint64_t i = 0; i < NR; i++) {
        uint64_t n = i * 3407 % NR;

        gfn_table_at(&t, n << 20)->ref = n + 1;
    }
    assert_int_equal(t.nr_leaves, NR);
    assert_int_equal(gfn_table_sort(&t), 0);
    for (uint32_t i = 0; i < NR; i++) {
        assert_int_equal(gfn_table_leaf(&t, i)->key, (uint64_t)i << 16);
        assert_int_equal(gfn_table_leaf(&t, i)->slots[0].ref, i + 1);
    }
    gfn_table_fini(&t);
}

/* 64 GiB of address space with a page in each 16 of them alone. */
static void memory_depends_on_how_many_not_on_where(void **state)
{
    enum {
        NR = 4096
    };
    struct gfn_table t = {.nr_chunks = 0};

    (void)state;
    for (uint64_t i = 0; i < NR; i++)
        gfn_table_at(&t, (i << 24) + i % 16)->ref = 1;
    assert_int_equal(t.nr_leaves, NR);
    assert_int_equal(t.nr_chunks, 1);
    gfn_table_fini(&t);
}

static void an_empty_table_can_be_sorted(void **state)
{
    struct gfn_table t = {.nr_chunks = 0};

    (void)state;
    assert_int_equal(gfn_table_sort(&t), 0);
    assert_int_equal(t.nr_leaves, 0);
    gfn_table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_is_found_again_where_it_was),
        cmocka_unit_test(leaves_come_in_order_whatever_the_order_they_came),
        cmocka_unit_test(memory_depends_on_how_many_not_on_where),
        cmocka_unit_test(an_empty_table_can_be_sorted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
