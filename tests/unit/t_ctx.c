/* SPDX-License-Identifier: LGPL-2.1-only */
#include "ctx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xentoollog.h>

#include "unit.h"

#include "fake/scratch.h"

static void a_failure_has_words_and_the_reason(void **state)
{
    struct ckpt c = {.log = NULL};

    (void)state;
    errno = EMFILE;
    assert_int_equal(fail(&c, -ENOSPC, "%s: write", "a/file"), -ENOSPC);
    assert_int_equal(errno, EMFILE);
    assert_string_equal(ckpt_error(&c),
                        "a/file: write: No space left on device");
}

static void a_whole_sentence_gets_no_reason(void **state)
{
    struct ckpt c = {.log = NULL};

    (void)state;
    fail(&c, -EINVAL, "That is not a name.");
    assert_string_equal(ckpt_error(&c), "That is not a name.");
}

static void a_prefix_goes_in_front(void **state)
{
    struct ckpt c = {.log = NULL};

    (void)state;
    fail(&c, -EIO, "disk");
    assert_int_equal(fail_prefix(&c, -EIO, "%s", "xvda"), -EIO);
    assert_string_equal(ckpt_error(&c), "xvda: disk: Input/output error");
}

static void words_may_quote_the_words_before(void **state)
{
    struct ckpt c = {.log = NULL};

    (void)state;
    fail(&c, -EIO, "first.");
    fail(&c, -EIO, "then, %s", c.error);
    assert_string_equal(ckpt_error(&c), "then, first.: Input/output error");
}

static void long_words_are_cut(void **state)
{
    struct ckpt c = {.log = NULL};
    char big[2000];

    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    fail(&c, -EIO, "%s", big);
    assert_int_equal(strlen(c.error), sizeof(c.error) - 1);
    fail_prefix(&c, -EIO, "%s", big);
    assert_int_equal(strlen(c.error), sizeof(c.error) - 1);
}

static void a_guest_cannot_write_to_the_terminal(void **state)
{
    struct ckpt c = {.log = NULL};

    (void)state;
    fail(&c, -EINVAL, "domain %s.", "a\033[2Jb\nc\x7f");
    assert_string_equal(ckpt_error(&c), "domain a?[2Jb?c?.");
}

static void a_new_operation_begins_clean(void **state)
{
    struct ckpt c = {.log = NULL};

    (void)state;
    fail(&c, -EIO, "x");
    ckpt_cancel(&c);
    ctx_begin(&c);
    assert_string_equal(ckpt_error(&c), "");
    assert_int_equal(check_cancel(&c), 0);
    assert_true(c.begin_us > 0);
}

static void cancelling_is_an_error_of_its_own(void **state)
{
    struct ckpt c = {.log = NULL};

    (void)state;
    assert_int_equal(check_cancel(&c), 0);
    ckpt_cancel(&c);
    assert_int_equal(check_cancel(&c), -ECANCELED);
    assert_true(*ckpt_error(&c));
}

static void count_reports(void *arg, const struct ckpt_progress *p)
{
    unsigned *reports = arg;

    assert_string_equal(p->phase, "memory copied");
    assert_int_equal(p->done_bytes, 7);
    assert_int_equal(p->total_bytes, 9);
    assert_true(p->elapsed_us >= 100000);
    ++*reports;
}

static void progress_comes_ten_times_a_second_at_most(void **state)
{
    struct ckpt c = {.log = NULL};
    unsigned reports = 0;

    (void)state;
    ctx_begin(&c);
    progress(&c, "memory copied", 7, 9); /* nobody asked */
    ckpt_set_progress(&c, count_reports, &reports);
    for (unsigned i = 0; i < 1000; i++)
        progress(&c, "memory copied", 7, 9);
    assert_int_equal(reports, 0);
    c.begin_us -= 200000;
    c.last_progress_us -= 200000;
    for (unsigned i = 0; i < 1000; i++)
        progress(&c, "memory copied", 7, 9);
    assert_int_equal(reports, 1);
}

struct log {
    xentoollog_logger vtable;
    xentoollog_level level;
    char text[128];
};

static void log_message(xentoollog_logger *logger, xentoollog_level level,
                        int errnoval, const char *context, const char *format,
                        va_list al)
{
    struct log *log = (struct log *)logger;

    assert_int_equal(errnoval, -1);
    assert_string_equal(context, "ckpt");
    log->level = level;
    vsnprintf(log->text, sizeof(log->text), format, al);
}

static void the_logger_hears_what_is_said(void **state)
{
    struct log log = {.vtable = {.vmessage = log_message}};
    struct ckpt c = {.log = &log.vtable};

    (void)state;
    say(&c, "step %d", 1);
    assert_int_equal(log.level, XTL_DETAIL);
    assert_string_equal(log.text, "step 1");
    warn(&c, "slow %s", "disk");
    assert_int_equal(log.level, XTL_WARN);
    assert_string_equal(log.text, "slow disk");
    c.log = NULL;
    say(&c, "nobody listens");
    warn(&c, "nobody listens");
}

static void a_handle_is_there_even_if_the_store_is_not(void **state)
{
    ckpt *c;

    (void)state;
    assert_int_equal(ckpt_open("/nowhere/at/all", NULL, &c), -ENOENT);
    assert_non_null(c);
    assert_non_null(strstr(ckpt_error(c), "/nowhere/at/all"));
    ckpt_close(c);
    assert_int_equal(ckpt_open("tape:/dev/st0", NULL, &c), -EINVAL);
    assert_non_null(strstr(ckpt_error(c), "tape"));
    ckpt_close(c);
    ckpt_close(NULL);
}

static void the_environment_names_the_store(void **state)
{
    char *dir = scratch_dir();
    ckpt *c;

    (void)state;
    setenv("CKPT_STORE", scratch_path(dir, "env"), 1);
    assert_int_equal(ckpt_open(NULL, NULL, &c), 0);
    assert_string_equal(c->url, scratch_path(dir, "env"));
    ckpt_close(c);
    assert_int_equal(ckpt_open(scratch_path(dir, "arg"), NULL, &c), 0);
    assert_string_equal(c->url, scratch_path(dir, "arg"));
    ckpt_close(c);
    unsetenv("CKPT_STORE");
    scratch_remove(dir);
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_string_equal(ckpt_consistency_name(CKPT_CONSISTENCY_CRASH), "crash");
    assert_string_equal(ckpt_consistency_name(CKPT_CONSISTENCY_FS_FROZEN),
                        "fs-frozen");
    assert_string_equal(ckpt_consistency_name((enum ckpt_consistency)77),
                        "unknown");
    assert_true(*ckpt_version());
}

static void what_is_filled_can_be_released_twice(void **state)
{
    struct ckpt_info *list = calloc(2, sizeof(*list));
    struct ckpt_domain d = {.name = strdup("x")};

    (void)state;
    scratch_info(&list[0], "00000000000000aa", "n", "d",
                 "00000000-0000-0000-0000-000000000000");
    list[0].disks = calloc(1, sizeof(*list[0].disks));
    list[0].nr_disks = 1;
    list[0].disks[0].vdev = strdup("xvda");
    ckpt_info_fini(&list[0]);
    ckpt_info_fini(&list[0]);
    assert_null(list[0].disks);
    ckpt_list_free(list, 2);
    ckpt_list_free(NULL, 0);
    ckpt_domain_fini(&d);
    ckpt_domain_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_has_words_and_the_reason),
        cmocka_unit_test(a_whole_sentence_gets_no_reason),
        cmocka_unit_test(a_prefix_goes_in_front),
        cmocka_unit_test(words_may_quote_the_words_before),
        cmocka_unit_test(long_words_are_cut),
        cmocka_unit_test(a_guest_cannot_write_to_the_terminal),
        cmocka_unit_test(a_new_operation_begins_clean),
        cmocka_unit_test(cancelling_is_an_error_of_its_own),
        cmocka_unit_test(progress_comes_ten_times_a_second_at_most),
        cmocka_unit_test(the_logger_hears_what_is_said),
        cmocka_unit_test(a_handle_is_there_even_if_the_store_is_not),
        cmocka_unit_test(the_environment_names_the_store),
        cmocka_unit_test(levels_have_names),
        cmocka_unit_test(what_is_filled_can_be_released_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
