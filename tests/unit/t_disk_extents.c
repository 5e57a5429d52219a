/* SPDX-License-Identifier: LGPL-2.1-only */
/* disk_extents.h's promises, and the reports of others that become extents. */
#include "disk_extents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ctx.h"
#include "disk_qcow2.h"
#include "thin.h"

/* After ctx.h: it has a macro fail(). */
#include <cmocka.h>
#undef fail

static struct ckpt c;
static char text[512];

static int print(void *arg, const struct disk_extent *e)
{
    const size_t len = strlen(text);

    snprintf(text + len, sizeof(text) - len, "%llu+%llu ",
             (unsigned long long)e->offset_bytes,
             (unsigned long long)e->len_bytes);
    return arg ? *(int *)arg : 0;
}

static const char *either(struct disk_extents *a, struct disk_extents *b)
{
    text[0] = '\0';
    assert_int_equal(disk_extents_either(a, b, print, NULL), 0);
    return text;
}

static void those_that_touch_are_one(void **state)
{
    struct disk_extents a = {.nr = 0}, none = {.nr = 0};

    (void)state;
    assert_string_equal(either(&a, &none), "");
    assert_int_equal(disk_extents_add(&a, 0, 10), 0);
    assert_int_equal(disk_extents_add(&a, 10, 5), 0);
    assert_int_equal(disk_extents_add(&a, 15, 0), 0);
    assert_int_equal(disk_extents_add(&a, 20, 5), 0);
    assert_string_equal(either(&a, &none), "0+15 20+5 ");
    disk_extents_fini(&a);
}

static void backwards_and_beyond_the_end_are_refused(void **state)
{
    struct disk_extents a = {.nr = 0};

    (void)state;
    assert_int_equal(disk_extents_add(&a, 100, 10), 0);
    assert_int_equal(disk_extents_add(&a, 105, 10), -EUCLEAN);
    assert_int_equal(disk_extents_add(&a, 0, 10), -EUCLEAN);
    assert_int_equal(disk_extents_add(&a, UINT64_MAX, 2), -EUCLEAN);
    disk_extents_fini(&a);
}

static void either_is_the_union_in_order(void **state)
{
    struct disk_extents a = {.nr = 0}, b = {.nr = 0};
    int stop = -EINTR;

    (void)state;
    disk_extents_add(&a, 0, 10);
    disk_extents_add(&a, 50, 10);
    disk_extents_add(&a, 100, 100);
    disk_extents_add(&b, 5, 10);
    disk_extents_add(&b, 60, 5);
    disk_extents_add(&b, 120, 10);
    disk_extents_add(&b, 300, 1);
    assert_string_equal(either(&a, &b), "0+15 50+15 100+100 300+1 ");
    assert_string_equal(either(&b, &a), "0+15 50+15 100+100 300+1 ");
    text[0] = '\0';
    assert_int_equal(disk_extents_either(&a, &b, print, &stop), -EINTR);
    assert_string_equal(text, "0+15 ");
    disk_extents_fini(&a);
    disk_extents_fini(&b);
}

static void thin_delta_is_understood(void **state)
{
    static const char *const lines[] = {
        "<superblock uuid=\"\" time=\"1\" data_block_size=\"128\">\n",
        "  <diff left=\"1\" right=\"2\">\n",
        "    <same begin=\"0\" length=\"2\"/>\n",
        "    <different begin=\"2\" length=\"1\"/>\n",
        "    <left_only begin=\"3\" length=\"1\"/>\n",
        "    <right_only begin=\"9\" length=\"2\"/>\n",
        "  </diff>\n",
    };
    struct disk_extents a = {.nr = 0}, none = {.nr = 0};
    uint64_t block = 0;

    (void)state;
    assert_int_equal(
        thin_read_delta("<different begin=\"1\" length=\"1\"/>", &block, &a),
        -EUCLEAN); /* of which size? */
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(thin_read_delta(lines[i], &block, &a), 0);
    assert_int_equal(block, 65536);
    assert_string_equal(either(&a, &none), "131072+131072 589824+131072 ");
    assert_int_equal(
        thin_read_delta("<different begin=\"x\" length=\"1\"/>", &block, &a),
        -EUCLEAN);
    assert_int_equal(thin_read_delta("<different begin=\"99999999999999\" "
                                     "length=\"99999999999999999\"/>",
                                     &block, &a),
                     -EUCLEAN);
    disk_extents_fini(&a);
}

static void thin_dump_is_understood(void **state)
{
    static const char *const lines[] = {
        "<superblock uuid=\"\" time=\"1\" transaction=\"2\" flags=\"0\" "
        "version=\"2\" data_block_size=\"128\" nr_data_blocks=\"0\">\n",
        "  <device dev_id=\"1\" mapped_blocks=\"4\" transaction=\"0\">\n",
        "    <single_mapping origin_block=\"1\" data_block=\"7\" time=\"0\"/>\n",
        "    <range_mapping origin_begin=\"4\" data_begin=\"2\" length=\"3\" "
        "time=\"0\"/>\n",
        "  </device>\n",
        "</superblock>\n",
    };
    struct disk_extents a = {.nr = 0}, none = {.nr = 0};
    uint64_t block = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(thin_read_delta(lines[i], &block, &a), 0);
    assert_string_equal(either(&a, &none), "65536+65536 262144+196608 ");
    assert_int_equal(
        thin_read_delta("<single_mapping data_block=\"1\"/>", &block, &a),
        -EUCLEAN);
    disk_extents_fini(&a);
}

static void the_map_of_a_chain_is_understood(void **state)
{
    static const char map[] =
        "[{\"start\":0,\"length\":10,\"depth\":0,\"present\":true},"
        "{\"start\":10,\"length\":10,\"depth\":1,\"present\":true},"
        "{\"start\":20,\"length\":10,\"depth\":2,\"present\":true},"
        "{\"start\":30,\"length\":10,\"depth\":0,\"present\":false},"
        "{\"start\":40,\"length\":10,\"depth\":1}]";
    struct disk_extents a = {.nr = 0}, none = {.nr = 0};

    (void)state;
    assert_int_equal(qcow2_read_map(&c, map, 2, &a), 0);
    assert_string_equal(either(&a, &none), "0+20 40+10 ");
    assert_int_equal(qcow2_read_map(&c, "{}", 2, &a), -EUCLEAN);
    assert_int_equal(qcow2_read_map(&c, "[{\"start\":-1}]", 2, &a), -EUCLEAN);
    disk_extents_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_touch_are_one),
        cmocka_unit_test(backwards_and_beyond_the_end_are_refused),
        cmocka_unit_test(either_is_the_union_in_order),
        cmocka_unit_test(thin_delta_is_understood),
        cmocka_unit_test(thin_dump_is_understood),
        cmocka_unit_test(the_map_of_a_chain_is_understood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
