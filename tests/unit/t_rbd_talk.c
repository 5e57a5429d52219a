/* SPDX-License-Identifier: LGPL-2.1-only */
/* rbd_talk.h's promises, with a ckpt-rbd that misbehaves. */
#include "rbd_talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "fake/scratch.h"

/* After ctx.h: it has a macro fail(). */
#include <cmocka.h>

static struct ckpt c;
/* Not scratch_dir(): where that is, programs may not be allowed. */
static char dir[] = "/tmp/ckpt-test.XXXXXX";

/* It answers each line, the words of which are in $1 to $3, with @body. */
static int begin(const char *body, struct rbd_talk **out)
{
    const char *path = scratch_path(dir, "ckpt-rbd");
    struct rbd_name n = {.pool = "rbd", .image = "web"};
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fprintf(f,
            "#!/bin/bash\n"
            "( while read -r line; do set -- $line; if [ $1 = connect ]; then "
            "echo ok fsid; else\n%s\nfi; done <&3 >&3 ) &\n",
            body);
    fclose(f);
    chmod(path, 0755);
    setenv("CKPT_RBD", path, 1);
    return rbd_talk_begin(&c, &n, out);
}

static void an_answer_comes_with_its_words(void **state)
{
    struct rbd_talk *t = NULL;

    (void)state;
    assert_int_equal(begin("echo ok $2-$1", &t), 0);
    assert_string_equal(rbd_talk_fsid(t), "fsid");
    assert_int_equal(rbd_talk_ask(t, 10000, NULL, NULL, "look %s", "web"), 0);
    assert_string_equal(rbd_talk_answer(t), "web-look");
    rbd_talk_end(t);
}

static void a_refusal_has_its_number_and_words(void **state)
{
    struct rbd_talk *t = NULL;

    (void)state;
    assert_int_equal(begin("echo no 17 there is one", &t), 0);
    assert_int_equal(rbd_talk_ask(t, 10000, NULL, NULL, "look web"), -EEXIST);
    assert_string_equal(c.error, "Ceph pool rbd: there is one.");
    /* and the talk goes on */
    assert_int_equal(rbd_talk_ask(t, 10000, NULL, NULL, "look web"), -EEXIST);
    rbd_talk_end(t);
}

static void what_is_no_answer_ends_the_talk(void **state)
{
    static const struct {
        const char *body;
        int rc;
    } bad[] = {
        {"echo maybe", -EPROTO},
        {"echo - unasked", -EPROTO},
        {"head -c 100000 /dev/zero", -EPROTO},
        {"exit", -EPIPE},
        {"echo no", -EPROTO},
        {"echo no 99999999999 x", -EIO},
        {"echo no -5 x", -EIO},
    };
    struct rbd_talk *t;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        t = NULL;
        assert_int_equal(begin(bad[i].body, &t), 0);
        assert_int_equal(rbd_talk_ask(t, 10000, NULL, NULL, "look web"),
                         bad[i].rc);
        rbd_talk_end(t);
    }
}

static void who_waited_long_enough_hangs_up(void **state)
{
    struct rbd_talk *t = NULL;
    const uint64_t begin_us = now_us();

    (void)state;
    assert_int_equal(begin("read -r never", &t), 0);
    assert_int_equal(rbd_talk_ask(t, 50, NULL, NULL, "cut"), -EHOSTDOWN);
    assert_non_null(strstr(c.error, "no answer from the cluster"));
    assert_int_equal(rbd_talk_ask(t, 50, NULL, NULL, "drain"), -EPIPE);
    rbd_talk_end(t);
    assert_true(now_us() - begin_us < 10000000);
}

/* More than one read of the socket brings, some of it with the line. */
static void bytes_follow_an_answer(void **state)
{
    static uint8_t data[300000];
    struct rbd_talk *t = NULL;

    (void)state;
    assert_int_equal(begin("echo 'ok '; head -c $3 /dev/zero | tr '\\0' a", &t),
                     0);
    for (int n = 0; n < 2; n++) {
        memset(data, 0, sizeof(data));
        assert_int_equal(rbd_talk_read(t, 10000, data, sizeof(data), 4096), 0);
        assert_int_equal(data[0], 'a');
        assert_memory_equal(data, data + 1, sizeof(data) - 1);
    }
    rbd_talk_end(t);
}

static void bytes_that_do_not_come_end_the_talk(void **state)
{
    static uint8_t data[3000];
    struct rbd_talk *t = NULL;

    (void)state;
    assert_int_equal(begin("echo 'ok '; echo few; exit", &t), 0);
    assert_int_equal(rbd_talk_read(t, 10000, data, sizeof(data), 0), -EPIPE);
    rbd_talk_end(t);
    t = NULL;
    assert_int_equal(begin("echo 'ok '; read -r never", &t), 0);
    assert_int_equal(rbd_talk_read(t, 50, data, sizeof(data), 0), -EHOSTDOWN);
    assert_int_equal(rbd_talk_read(t, 50, data, sizeof(data), 0), -EPIPE);
    rbd_talk_end(t);
}

static void bytes_follow_a_question(void **state)
{
    static uint8_t data[300000];
    struct rbd_talk *t = NULL;

    (void)state;
    memset(data, 'b', sizeof(data));
    assert_int_equal(begin("n=$(head -c $3 | tr -d a | wc -c); "
                           "[ $n = $3 ] && echo 'ok ' || echo no 5 $n",
                           &t),
                     0);
    assert_int_equal(rbd_talk_write(t, 10000, data, sizeof(data), 512), 0);
    memset(data, 'a', 7);
    assert_int_equal(rbd_talk_write(t, 10000, data, sizeof(data), 512), -EIO);
    assert_string_equal(c.error, "Ceph pool rbd: 299993.");
    rbd_talk_end(t);
}

static void without_the_program_it_says_what_to_do(void **state)
{
    struct rbd_name n = {.pool = "rbd", .image = "web"};
    struct rbd_talk *t = NULL;

    (void)state;
    setenv("CKPT_RBD", "/nowhere/ckpt-rbd", 1);
    assert_int_equal(rbd_talk_begin(&c, &n, &t), -ENOTSUP);
    assert_null(t);
    assert_non_null(strstr(c.error, "librbd-dev"));
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(scratch_path(dir, "ckpt-rbd"));
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_with_its_words),
        cmocka_unit_test(a_refusal_has_its_number_and_words),
        cmocka_unit_test(what_is_no_answer_ends_the_talk),
        cmocka_unit_test(who_waited_long_enough_hangs_up),
        cmocka_unit_test(bytes_follow_an_answer),
        cmocka_unit_test(bytes_that_do_not_come_end_the_talk),
        cmocka_unit_test(bytes_follow_a_question),
        cmocka_unit_test(without_the_program_it_says_what_to_do),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
