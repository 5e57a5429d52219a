/* SPDX-License-Identifier: LGPL-2.1-only */
/* conf.h's promises: every mistake has its file and line, none is guessed. */
#include "unit.h"

#include "conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct conf conf;
static char error[CONF_ERROR_LEN];

static int parse(const char *text)
{
    conf_fini(&conf);
    conf_init(&conf);
    return conf_parse(&conf, "f", text, strlen(text), error);
}

static int close_conf(void **state)
{
    (void)state;
    conf_fini(&conf);
    return 0;
}

static void an_empty_file_is_the_defaults(void **state)
{
    (void)state;
    assert_int_equal(parse(""), 0);
    assert_string_equal(conf.socket, "/run/ckptd.sock");
    assert_int_equal(conf_policy(&conf, "any")->guest_requests, 0);
    assert_int_equal(parse("# a comment\n\n \t\n"), 0);
}

static void values_have_units_and_quotes(void **state)
{
    (void)state;
    assert_int_equal(parse("store = \"dir:/a # b\" # comment\n"
                           "user='x'\n"
                           "guest_bytes = 3G\r\n"
                           "schedule = 15m\n"
                           "keep_age = 2w\n"
                           "quiesce_timeout = 5s\n"
                           "guest_rate = 7/hour\n"
                           "ring = 1G\n"
                           "when_full = give-up\n"
                           "group = shop.1\n"
                           "guest_requests = fork,  quiesce"),
                     0);
    assert_string_equal(conf.store, "dir:/a # b");
    assert_string_equal(conf.user, "x");
    assert_int_equal(conf.policy.guest_bytes, 3ull << 30);
    assert_int_equal(conf.policy.schedule_s, 900);
    assert_int_equal(conf.policy.keep_age_s, 14 * 86400);
    assert_int_equal(conf.policy.quiesce_ms, 5000);
    assert_int_equal(conf.policy.guest_rate_hour, 7);
    assert_int_equal(conf.policy.ring_mib, 1024);
    assert_int_equal(conf.policy.give_up, 1);
    assert_string_equal(conf.policy.group, "shop.1");
    assert_int_equal(conf.policy.guest_requests, GUEST_FORK | GUEST_QUIESCE);
}

static void the_first_section_that_matches_counts(void **state)
{
    (void)state;
    assert_int_equal(parse("keep_count = 5\n"
                           "[domain web-1]\nkeep_count = 1\n"
                           "[domain web*] # rest\nkeep_count = 2\n"
                           "[domain *]\nfork_max = 9\n"),
                     0);
    assert_int_equal(conf_policy(&conf, "web-1")->keep_count, 1);
    assert_int_equal(conf_policy(&conf, "web-2")->keep_count, 2);
    assert_int_equal(conf_policy(&conf, "db")->keep_count, 5);
    assert_int_equal(conf_policy(&conf, "db")->fork_max, 9);
    assert_int_equal(conf_policy(&conf, "web-2")->fork_max, 1);
}

static void each_mistake_is_told_with_its_line(void **state)
{
    static const struct {
        const char *text, *words;
    } wrong[] = {
        {"x = 1", "f:1: unknown key \"x\""},
        {"\n\nsocket", "f:3: neither `key = value' nor a section"},
        {"socket = relative", "f:1: socket = relative: the value is not an "
                              "absolute path"},
        {"user = a\nuser = b", "f:2: user is set twice"},
        {"guest_keep = -1", "is not a number"},
        {"guest_keep = 1x", "has an unknown unit"},
        {"guest_bytes = 99999999999999999999", "is too large"},
        {"guest_bytes = 9999999999T", "is too large"},
        {"schedule = 400d", "is too large"},
        {"guest_rate = 5/day", "is not written N/hour"},
        {"fork_network = maybe", "is neither yes nor no"},
        {"guest_requests = checkpoint, dance", "names a request that does not"},
        {"ring = 64", "is not in whole MiB"},
        {"ring = 1025M", "is too large"},
        {"ring = big", "is not a number"},
        {"when_full = yes", "is neither wait nor give-up"},
        {"group = my shop", "is not up to 64 letters"},
        {"group = g23456789012345678901234567890123456789012345678901234567890"
         "12345",
         "is not up to 64 letters"},
        {"guest_requests =", "is empty; write none"},
        {"store = \"a", "a quote is not closed"},
        {"store = \"a\" b", "something follows the value"},
        {"[domain", "is not closed"},
        {"[domain x] y", "something follows the section"},
        {"[host x]", "unknown section"},
        {"[domain ]", "unknown section"},
        {"[domain a]\n[domain a]",
         "f:2: [domain a] is there already, in line 1"},
        {"[domain a]\nsocket = /x", "f:2: socket is for the whole daemon"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(parse(wrong[i].text), -EINVAL);
        if (!strstr(error, wrong[i].words)) {
            print_error("\"%s\" is not in \"%s\"\n", wrong[i].words, error);
            assert_true(false);
        }
    }
}

static void a_file_that_is_no_text_is_refused(void **state)
{
    char *big = malloc(CONF_MAX_BYTES + 2);

    (void)state;
    conf_fini(&conf);
    conf_init(&conf);
    assert_int_equal(conf_parse(&conf, "f", "a\0b", 3, error), -EINVAL);
    memset(big, '#', CONF_MAX_BYTES + 1);
    assert_int_equal(conf_parse(&conf, "f", big, CONF_MAX_BYTES + 1, error),
                     -EINVAL);
    free(big);
    assert_int_equal(conf_load(&conf, "/nonexistent/x", error), -ENOENT);
    assert_non_null(strstr(error, "/nonexistent/x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_empty_file_is_the_defaults, close_conf),
        cmocka_unit_test_teardown(values_have_units_and_quotes, close_conf),
        cmocka_unit_test_teardown(the_first_section_that_matches_counts,
                                  close_conf),
        cmocka_unit_test_teardown(each_mistake_is_told_with_its_line,
                                  close_conf),
        cmocka_unit_test_teardown(a_file_that_is_no_text_is_refused,
                                  close_conf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
