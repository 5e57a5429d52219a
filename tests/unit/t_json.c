/* SPDX-License-Identifier: LGPL-2.1-only */
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "ctx.h"

static struct ckpt c;

static void what_is_written_reads_back(void **state)
{
    struct json j;
    char *text, *s;
    yajl_val tree, array;
    uint64_t u;
    int64_t i;
    bool b;

    (void)state;
    json_begin(&j);
    json_put_string(&j, "s", "quote \" and \n and é");
    json_put_u64(&j, "u", INT64_MAX);
    json_put_i64(&j, "i", -5);
    json_put_bool(&j, "b", true);
    json_open_array(&j, "a");
    json_open_object(&j, NULL);
    json_put_string(&j, "in", "");
    json_close_object(&j);
    json_put_i64(&j, NULL, 7);
    json_close_array(&j);
    assert_int_equal(json_end(&c, &j, "doc", &text), 0);
    assert_int_equal(json_parse(&c, "doc", text, 1000, &tree), 0);
    assert_int_equal(json_get_string(&c, "doc", tree, "s", 99, &s), 0);
    assert_string_equal(s, "quote \" and \n and é");
    free(s);
    assert_int_equal(json_get_u64(&c, "doc", tree, "u", INT64_MAX, &u), 0);
    assert_int_equal(u, INT64_MAX);
    assert_int_equal(json_get_i64(&c, "doc", tree, "i", &i), 0);
    assert_int_equal(i, -5);
    assert_int_equal(json_get_bool(&c, "doc", tree, "b", &b), 0);
    assert_true(b);
    assert_int_equal(json_get_array(&c, "doc", tree, "a", 2, &array), 0);
    assert_int_equal(array->u.array.len, 2);
    assert_non_null(json_member(array->u.array.values[0], "in"));
    assert_null(json_member(array->u.array.values[1], "in"));
    yajl_tree_free(tree);
    free(text);
}

static void what_cannot_be_written_is_named(void **state)
{
    struct json j;
    char *text;

    (void)state;
    json_begin(&j);
    json_put_string(&j, "good", "x");
    json_put_string(&j, "path", "\xff\xfe");
    json_put_string(&j, "later", "x");
    assert_int_equal(json_end(&c, &j, "doc", &text), -EINVAL);
    assert_string_equal(c.error, "doc: \"path\" is not UTF-8.");
    json_begin(&j);
    json_put_u64(&j, "big", UINT64_MAX);
    assert_int_equal(json_end(&c, &j, "doc", &text), -EINVAL);
    assert_non_null(strstr(c.error, "\"big\""));
}

static void a_member_has_one_type_only(void **state)
{
    yajl_val tree, array;
    char *s = NULL;
    uint64_t u;
    int64_t i;
    bool b;

    (void)state;
    assert_int_equal(json_parse(&c, "doc",
                                "{\"s\":\"abc\",\"n\":5,\"m\":-5,\"f\":1.5,"
                                "\"z\":null,\"a\":[1,2],\"h\":1e400,"
                                "\"g\":99999999999999999999}",
                                1000, &tree),
                     0);
    assert_int_equal(json_get_string(&c, "doc", tree, "n", 9, &s), -EUCLEAN);
    assert_int_equal(json_get_string(&c, "doc", tree, "none", 9, &s), -EUCLEAN);
    assert_int_equal(json_get_string(&c, "doc", tree, "z", 9, &s), -EUCLEAN);
    assert_int_equal(json_get_string(&c, "doc", tree, "s", 2, &s), -EUCLEAN);
    assert_null(s);
    assert_int_equal(json_get_u64(&c, "doc", tree, "s", 99, &u), -EUCLEAN);
    assert_int_equal(json_get_u64(&c, "doc", tree, "m", 99, &u), -EUCLEAN);
    assert_int_equal(json_get_u64(&c, "doc", tree, "n", 4, &u), -EUCLEAN);
    assert_int_equal(json_get_u64(&c, "doc", tree, "n", 5, &u), 0);
    assert_int_equal(json_get_i64(&c, "doc", tree, "f", &i), -EUCLEAN);
    assert_int_equal(json_get_i64(&c, "doc", tree, "g", &i), -EUCLEAN);
    assert_int_equal(json_get_i64(&c, "doc", tree, "h", &i), -EUCLEAN);
    assert_int_equal(json_get_bool(&c, "doc", tree, "n", &b), -EUCLEAN);
    assert_int_equal(json_get_array(&c, "doc", tree, "s", 9, &array), -EUCLEAN);
    assert_int_equal(json_get_array(&c, "doc", tree, "a", 1, &array), -EUCLEAN);
    yajl_tree_free(tree);
}

static void what_is_more_than_we_take_is_refused(void **state)
{
    /* clang-format off */
    static const struct { const char *text, *words; } bad[] = {
        { "",                        "not JSON"          },
        { "{",                       "not JSON"          },
        { "{}x",                     "not JSON"          },
        { "{\"a\":1,\"a\":2}",       "a member twice"    },
        { "[{\"b\":{\"a\":1,\"a\":2}}]", "a member twice" },
        { "{\"a\":\"x\\u0000y\"}",   "NUL"               },
        { "[[[[[[[[[]]]]]]]]]",      "nested too deep"   },
        { "{\"a\":\"\xff\"}",        "not JSON"          },
    };
    /* clang-format on */
    yajl_val tree;

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(json_parse(&c, "doc", bad[i].text, 1000, &tree),
                         -EUCLEAN);
        assert_null(tree);
        assert_non_null(strstr(c.error, bad[i].words));
    }
    assert_int_equal(json_parse(&c, "doc", "[1,2,3]", 6, &tree), -EUCLEAN);
    assert_int_equal(json_parse(&c, "doc", "[1,2,3]", 7, &tree), 0);
    yajl_tree_free(tree);
    /* Brackets in a string are no depth. */
    assert_int_equal(
        json_parse(&c, "doc", "[\"[[[[[[[[[[[\\\"[[\"]", 99, &tree), 0);
    yajl_tree_free(tree);
}

static void a_flood_of_members_is_refused(void **state)
{
    char text[300 * 12] = "{", *at = text + 1;
    yajl_val tree;

    (void)state;
    for (unsigned i = 0; i < 300; i++)
        at += sprintf(at, "%s\"k%u\":0", i ? "," : "", i);
    strcpy(at, "}");
    assert_int_equal(json_parse(&c, "doc", text, sizeof(text), &tree),
                     -EUCLEAN);
    assert_non_null(strstr(c.error, "too many"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(what_cannot_be_written_is_named),
        cmocka_unit_test(a_member_has_one_type_only),
        cmocka_unit_test(what_is_more_than_we_take_is_refused),
        cmocka_unit_test(a_flood_of_members_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
