/* SPDX-License-Identifier: LGPL-2.1-only */
/* Retention: only what ckptd named itself, newest kept, never the last one. */
#include "unit.h"

#include "retain.h"

#include <stdio.h>
#include <string.h>

#define DAY_US 86400000000ll
#define NR 6

static struct ckpt_info list[NR];
static char names[NR][32];
static bool is_old[NR];

/* Oldest first, a day apart, the last one made just now. */
static void fill(const char *const which[NR], const char *uuids)
{
    for (int i = 0; i < NR; i++) {
        memset(&list[i], 0, sizeof(list[i]));
        snprintf(names[i], sizeof(names[i]), "%s", which[i]);
        list[i].name = names[i];
        list[i].created_unix_us = 100 * DAY_US - (NR - 1 - i) * DAY_US;
        list[i].stored_bytes = 1u << i;
        snprintf(list[i].domain_uuid, sizeof(list[i].domain_uuid), "%c",
                 uuids[i]);
    }
}

static const char *const mixed[NR] = {"auto-2026", "mine",      "auto-2027",
                                      "auto-x",    "auto-2028", "auto-2029"};

static void people_s_own_are_never_chosen(void **state)
{
    const struct retain r = {
        .prefix = "auto-", .keep_count = 1, .now_us = 100 * DAY_US};

    (void)state;
    fill(mixed, "aaaaaa");
    assert_int_equal(retain_choose(&r, list, NR, is_old), 3);
    assert_memory_equal(is_old,
                        ((bool[NR]){true, false, true, false, true, false}),
                        sizeof(is_old));
    assert_int_equal(retain_bytes(&r, list, NR), 1 + 4 + 16 + 32);
}

static void each_domain_is_counted_by_itself(void **state)
{
    struct retain r = {
        .prefix = "auto-", .keep_count = 1, .now_us = 100 * DAY_US};

    (void)state;
    fill(mixed, "aaabbb");
    assert_int_equal(retain_choose(&r, list, NR, is_old), 2);
    assert_true(is_old[0] && !is_old[2] && is_old[4] && !is_old[5]);
    r.domain_uuid = "a";
    assert_int_equal(retain_choose(&r, list, NR, is_old), 1);
    assert_int_equal(retain_bytes(&r, list, NR), 1 + 4);
}

static void the_newest_stays_however_old(void **state)
{
    const struct retain r = {
        .prefix = "auto-", .keep_age_s = 1, .now_us = 1000 * DAY_US};

    (void)state;
    fill(mixed, "aaaaaa");
    assert_int_equal(retain_choose(&r, list, NR, is_old), 3);
    assert_false(is_old[5]);
}

static void without_a_rule_nothing_goes(void **state)
{
    struct retain r = {.prefix = "auto-", .now_us = 1000 * DAY_US};

    (void)state;
    fill(mixed, "aaaaaa");
    assert_int_equal(retain_choose(&r, list, NR, is_old), 0);
    r.prefix = "";
    r.keep_count = 1;
    assert_int_equal(retain_choose(&r, list, NR, is_old), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_s_own_are_never_chosen),
        cmocka_unit_test(each_domain_is_counted_by_itself),
        cmocka_unit_test(the_newest_stays_however_old),
        cmocka_unit_test(without_a_rule_nothing_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
