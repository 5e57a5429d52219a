/* SPDX-License-Identifier: LGPL-2.1-only */
/* rbd_name.h's promises: what is taken, what a manifest cannot smuggle in. */
#include "rbd_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ctx.h"

/* After ctx.h: it has a macro fail(). */
#include <cmocka.h>

static struct ckpt c;

static void a_name_is_taken_apart_and_put_together(void **state)
{
    static const char *const whole[] = {
        "rbd/web",
        "rbd/ns/web",
        "rbd/web@daily",
        "rbd/web:id=xen:conf=/etc/ceph/a.conf",
        "p/n/10ab@ckpt-4f1c-xvda:id=xen:keyring=/etc/k:mon_host=10.0.0.1",
    };
    char text[RBD_TEXT_MAX];
    struct rbd_name n;

    (void)state;
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        assert_int_equal(rbd_name_read(&c, whole[i], &n), 0);
        assert_int_equal(rbd_name_write(&c, &n, text), 0);
        assert_string_equal(text, whole[i]);
    }
    assert_string_equal(n.pool, "p");
    assert_string_equal(n.space, "n");
    assert_string_equal(n.image, "10ab");
    assert_string_equal(n.snapshot, "ckpt-4f1c-xvda");
}

static void what_is_no_name_is_refused(void **state)
{
    static const char *const bad[] = {
        "",          "rbd",           "rbd/",           "/web",
        "rbd//",     "a/b/c/d",       "rbd/web@a@b",    "rbd/web@a/b",
        "rbd/w b",   "rbd/web\nquit", "rbd/web\\:x",    "rbd/-/",
        "rbd/-/web", "rbd/web:",      "rbd/web:id",     "rbd/web:id=",
        "rbd/'web'", "rbd/web::",     "rbd/web:id=a::", "rbd/\x7f",
    };
    char longest[RBD_TEXT_MAX + 8];
    struct rbd_name n;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(rbd_name_read(&c, bad[i], &n), -EINVAL);
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "rbd/", 4);
    longest[RBD_TEXT_MAX] = '\0';
    assert_int_equal(rbd_name_read(&c, longest, &n), -EINVAL);
    longest[RBD_TEXT_MAX - 1] = '\0';
    assert_int_equal(rbd_name_read(&c, longest, &n), 0);
}

/* They would be Ceph's, in a process of root's. */
static void options_that_load_or_write_are_refused(void **state)
{
    static const char *const bad[] = {
        "rbd/web:log_file=/etc/passwd",
        "rbd/web:plugin_dir=/tmp",
        "rbd/web:id=xen:admin_socket=/etc/passwd",
        "rbd/web:conf=/etc/ceph/ceph.conf:erasure_code_dir=/tmp",
        "rbd/web:xid=a",
        "rbd/web:id=a:identity=b",
    };
    struct rbd_name n;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(rbd_name_read(&c, bad[i], &n), -EINVAL);
        assert_non_null(strstr(c.error, "ceph.conf"));
    }
}

static void only_snapshots_of_ours_are_touched(void **state)
{
    static const char *const others[] = {
        "rbd/10ab@daily",       "rbd/10ab",
        "rbd/we-b@ckpt-1-xvda", "rbd/10ab@ckpt-",
        "rbd/1.2@ckpt-1-xvda",
    };
    struct rbd_name n;

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(rbd_name_read_ours(&c, others[i], &n), -EPERM);
    assert_int_equal(rbd_name_read_ours(&c, "rbd/10ab@ckpt-1-xvda", &n), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_taken_apart_and_put_together),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(options_that_load_or_write_are_refused),
        cmocka_unit_test(only_snapshots_of_ours_are_touched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
