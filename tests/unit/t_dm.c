/* SPDX-License-Identifier: LGPL-2.1-only */
/* The names of device-mapper and LVM, which no device is needed for. */
#include "dm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "lvm.h"

#include <cmocka.h>

static void names_are_split_at_the_single_dash(void **state)
{
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX];

    (void)state;
    assert_true(dm_split_name("vg0-web", vg, lv));
    assert_string_equal(vg, "vg0");
    assert_string_equal(lv, "web");
    assert_true(dm_split_name("my--vg-web--1--x", vg, lv));
    assert_string_equal(vg, "my-vg");
    assert_string_equal(lv, "web-1-x");
    assert_true(dm_split_name("vg-a----b", vg, lv));
    assert_string_equal(lv, "a--b");
}

static void what_is_not_lvms_is_not_split(void **state)
{
    static const char *const names[] = {
        "",     "cryptroot",      "vg0-web-real", "-web",
        "vg0-", "vg0-pool-tpool", "vg--0",        "--",
    };
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX], longest[2 * DM_NAME_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (dm_split_name(names[i], vg, lv))
            fail_msg("\"%s\" was split", names[i]);
    memset(longest, 'x', sizeof(longest));
    longest[3] = '-';
    longest[DM_NAME_MAX] = '\0';
    assert_false(dm_split_name(longest, vg, lv));
    longest[DM_NAME_MAX - 1] = '\0';
    assert_true(dm_split_name(longest, vg, lv));
}

static void joining_is_the_reverse(void **state)
{
    char name[DM_NAME_MAX], vg[DM_NAME_MAX], lv[DM_NAME_MAX];

    (void)state;
    assert_true(dm_join_name("my-vg", "web-1", name));
    assert_string_equal(name, "my--vg-web--1");
    assert_true(dm_split_name(name, vg, lv));
    assert_string_equal(vg, "my-vg");
    assert_string_equal(lv, "web-1");
}

static void a_name_too_long_for_device_mapper_is_not_joined(void **state)
{
    char name[DM_NAME_MAX], lv[DM_NAME_MAX];

    (void)state;
    memset(lv, 'x', sizeof(lv));
    lv[DM_NAME_MAX - 1 - 4] = '\0'; /* "vg0-" and this: 127 */
    assert_true(dm_join_name("vg0", lv, name));
    assert_int_equal(strlen(name), DM_NAME_MAX - 1);
    lv[0] = '-'; /* doubled */
    assert_false(dm_join_name("vg0", lv, name));
    lv[0] = 'x';
    lv[DM_NAME_MAX - 1 - 4] = 'x';
    lv[DM_NAME_MAX - 4] = '\0';
    assert_false(dm_join_name("vg0", lv, name));
}

static void device_numbers_are_read_from_tables(void **state)
{
    dev_t dev;

    (void)state;
    assert_true(dm_parse_dev("253:2 1", &dev));
    assert_int_equal(dev, makedev(253, 2));
    assert_true(dm_parse_dev("253:1234567", &dev));
    assert_int_equal(dev, makedev(253, 1234567));
    assert_false(dm_parse_dev("253", &dev));
    assert_false(dm_parse_dev("253:2x", &dev));
    assert_false(dm_parse_dev("/dev/sda", &dev));
}

static void a_volumes_uuid_is_read_from_its_device(void **state)
{
    char uuid[LVM_UUID_LEN + 1];

    (void)state;
    lvm_uuid("LVM-87hzmNk2sqDW0on415fcgHfBPkMguGmt"
             "ZH0YeiJKPCCobfc1Cx65VnRifhTAKKYY",
             uuid);
    assert_string_equal(uuid, "ZH0Yei-JKPC-Cobf-c1Cx-65Vn-Rifh-TAKKYY");
    lvm_uuid("LVM-short", uuid);
    assert_string_equal(uuid, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_split_at_the_single_dash),
        cmocka_unit_test(what_is_not_lvms_is_not_split),
        cmocka_unit_test(joining_is_the_reverse),
        cmocka_unit_test(a_name_too_long_for_device_mapper_is_not_joined),
        cmocka_unit_test(device_numbers_are_read_from_tables),
        cmocka_unit_test(a_volumes_uuid_is_read_from_its_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
