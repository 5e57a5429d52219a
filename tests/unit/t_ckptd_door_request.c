/* SPDX-License-Identifier: LGPL-2.1-only */
/* What a guest may write and what not, to the byte. */
#include "unit.h"

#include "door_request.h"
#include "policy.h"

#include <errno.h>
#include <string.h>

static struct door_request r;

static int parse(const char *text)
{
    return door_request_parse(text, strlen(text), &r);
}

static void the_three_requests_are_taken(void **state)
{
    (void)state;
    assert_int_equal(parse("a checkpoint"), 0);
    assert_int_equal(r.request, GUEST_CHECKPOINT);
    assert_string_equal(r.id, "a");
    assert_int_equal(parse("0123456789abcdef rollback"), 0);
    assert_int_equal(r.request, GUEST_ROLLBACK);
    assert_int_equal(parse("x-1 fork"), 0);
    assert_int_equal(r.count, 1);
    assert_int_equal(parse("x-1 fork 256"), 0);
    assert_int_equal(r.request, GUEST_FORK);
    assert_int_equal(r.count, 256);
}

static void all_else_is_refused(void **state)
{
    static const char *const wrong[] = {
        " ",
        "a",
        "a ",
        " checkpoint",
        "a  fork",
        "a fork ",
        "a fork 0",
        "a fork 257",
        "a fork -1",
        "a fork 1 ",
        "a fork 99999999999",
        "a fork+1",
        "a forks",
        "a checkpoints",
        "a check",
        "a checkpoint ",
        "a Checkpoint",
        "../x checkpoint",
        "a/b checkpoint",
        "0123456789abcdefg checkpoint",
        "a\tcheckpoint",
        "a quiesce",
        "a\nrollback",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (parse(wrong[i]) != -EINVAL) {
            print_error("\"%s\" was taken\n", wrong[i]);
            assert_true(false);
        }
    assert_int_equal(door_request_parse("", 0, &r), -ENODATA);
    assert_int_equal(door_request_parse("a checkpoint\0", 13, &r), -EINVAL);
    assert_int_equal(door_request_parse("\xff fork", 6, &r), -EINVAL);
}

static void length_is_looked_at_first(void **state)
{
    char text[DOOR_TEXT_MAX + 1];

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_int_equal(door_request_parse(text, sizeof(text), &r), -E2BIG);
    assert_int_equal(door_request_parse(text, DOOR_TEXT_MAX, &r), -EINVAL);
}

static void an_acknowledgement_is_of_its_own_freeze(void **state)
{
    bool is_frozen;

    (void)state;
    assert_true(door_ack_parse("7 frozen", 8, 7, &is_frozen));
    assert_true(is_frozen);
    assert_true(door_ack_parse("7 failed", 8, 7, &is_frozen));
    assert_false(is_frozen);
    assert_false(door_ack_parse("6 frozen", 8, 7, &is_frozen));
    assert_false(door_ack_parse("77 frozen", 9, 7, &is_frozen));
    assert_false(door_ack_parse("7 frozen ", 9, 7, &is_frozen));
    assert_false(door_ack_parse("7 ", 2, 7, &is_frozen));
    assert_false(door_ack_parse("", 0, 7, &is_frozen));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_requests_are_taken),
        cmocka_unit_test(all_else_is_refused),
        cmocka_unit_test(length_is_looked_at_first),
        cmocka_unit_test(an_acknowledgement_is_of_its_own_freeze),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
