/* SPDX-License-Identifier: LGPL-2.1-only */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "unit.h"

#include "ctx.h"
#include "disk_dmthin.h"

/* No device-mapper is asked: what is refused here is refused before that. */
#define NO_FD (-1)

static void a_snapshot_is_pool_id_and_sectors(void **state)
{
    static const char *const bad[] = {
        "",
        "pool",
        "pool/8388608",
        "pool/8388608/",
        "pool/8388608/0",
        "pool/8388608/8x",
        "pool/8388608/8/",
        "pool/x/8",
        "pool//8",
        "/8388608/8",
        "a b/8388608/8",
        "../8388608/8",
        "pool/8388608/36028797018963968",
    };
    struct dmthin_snapshot s;
    struct ckpt c = {.log = NULL};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(dmthin_find(&c, NO_FD, bad[i], &s), -EINVAL);
}

static void a_volume_that_is_not_ours_is_left_alone(void **state)
{
    static const char *const bad[] = {"pool/0/8", "pool/1/8", "pool/8388607/8",
                                      "pool/16777216/8", "pool/4294967295/8"};
    struct dmthin_snapshot s;
    struct ckpt c = {.log = NULL};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(dmthin_find(&c, NO_FD, bad[i], &s), -EPERM);
    assert_non_null(strstr(c.error, "left alone"));
}

static void names_fit_for_a_table(void **state)
{
    char longest[DM_NAME_MAX + 1];

    (void)state;
    assert_true(dm_is_plain_name("vm-web_1.disk"));
    assert_false(dm_is_plain_name(""));
    assert_false(dm_is_plain_name("-web"));
    assert_false(dm_is_plain_name(".."));
    assert_false(dm_is_plain_name("a b"));
    assert_false(dm_is_plain_name("a/b"));
    assert_false(dm_is_plain_name("a\\x20"));
    memset(longest, 'a', sizeof(longest));
    longest[DM_NAME_MAX] = '\0';
    assert_false(dm_is_plain_name(longest));
    longest[DM_NAME_MAX - 1] = '\0';
    assert_true(dm_is_plain_name(longest));
}

static void a_thin_table_names_pool_and_id(void **state)
{
    uint32_t id = 0;
    dev_t pool = 0;

    (void)state;
    assert_true(thin_parse("254:3 17", &pool, &id));
    assert_int_equal(major(pool), 254);
    assert_int_equal(minor(pool), 3);
    assert_int_equal(id, 17);
    assert_true(thin_parse("254:3 17 254:9", &pool, &id));
    assert_true(thin_has_origin("254:3 17 254:9"));
    assert_false(thin_has_origin("254:3 17"));
    assert_false(thin_parse("254:3", &pool, &id));
    assert_false(thin_parse("254:3 x", &pool, &id));
    assert_false(thin_parse("254:3 17x", &pool, &id));
    assert_false(thin_parse("/dev/x 17", &pool, &id));
}

static void a_pools_table_says_whether_it_zeroes(void **state)
{
    (void)state;
    assert_true(thin_is_zeroing("254:0 254:1 128 100"));
    assert_true(thin_is_zeroing("254:0 254:1 128 0 1 no_discard_passdown"));
    assert_false(thin_is_zeroing("254:0 254:1 128 0 1 skip_block_zeroing"));
    assert_true(thin_block_bytes("254:0 254:1 128 0 1 skip_block_zeroing") ==
                65536);
    assert_true(thin_block_bytes("254:0") == 0);
    assert_false(thin_is_zeroing(
        "254:0 254:1 128 0 2 ignore_discard skip_block_zeroing"));
}

static void one_without_a_uuid_is_known_by_its_name(void **state)
{
    struct dm_device dev = {.name = "web"};
    char arg[DM_UUID_MAX + DM_NAME_MAX];

    (void)state;
    dm_suspend_arg(&dev, arg);
    assert_string_equal(arg, "- web");
    strcpy(dev.uuid, "mine");
    dm_suspend_arg(&dev, arg);
    assert_string_equal(arg, "mine web");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_pool_id_and_sectors),
        cmocka_unit_test(a_volume_that_is_not_ours_is_left_alone),
        cmocka_unit_test(names_fit_for_a_table),
        cmocka_unit_test(a_thin_table_names_pool_and_id),
        cmocka_unit_test(a_pools_table_says_whether_it_zeroes),
        cmocka_unit_test(one_without_a_uuid_is_known_by_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
