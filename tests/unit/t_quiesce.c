/* SPDX-License-Identifier: LGPL-2.1-only */
/* quiesce.h's promises: a thaw for each freeze, and no level that was not
 * reached. */
#include "quiesce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ctx.h"

/* After ctx.h: it has a macro fail(). */
#include <cmocka.h>
#undef fail

static struct ckpt c;
static int nr_frozen, nr_thawed, freeze_rc, thaw_rc;
static unsigned deadline;

static int freeze(void *arg, uint32_t domid, const char *uuid,
                  unsigned deadline_ms)
{
    assert_ptr_equal(arg, &c);
    assert_int_equal(domid, 7);
    assert_string_equal(uuid, "uuid");
    deadline = deadline_ms;
    nr_frozen++;
    return freeze_rc;
}

static int thaw(void *arg, uint32_t domid, const char *uuid)
{
    (void)arg, (void)domid, (void)uuid;
    nr_thawed++;
    return thaw_rc;
}

static const struct ckpt_quiesce door = {freeze, thaw, &c};

static int reset(void **state)
{
    (void)state;
    memset(&c, 0, sizeof(c));
    c.quiesce = &door;
    nr_frozen = nr_thawed = freeze_rc = thaw_rc = 0;
    return 0;
}

static bool freeze_and_thaw(unsigned deadline_ms)
{
    struct quiesce q = {.is_asked = false};

    quiesce_freeze(&c, &q, 7, "uuid", deadline_ms);
    assert_int_equal(nr_thawed, nr_frozen - 1);
    return quiesce_thaw(&c, &q, 7, "uuid");
}

static void it_is_refused_when_nobody_can(void **state)
{
    (void)state;
    assert_int_equal(quiesce_check(&c, true), 0);
    c.quiesce = NULL;
    assert_int_equal(quiesce_check(&c, false), 0);
    assert_int_equal(quiesce_check(&c, true), -ENOTSUP);
    assert_non_null(strstr(c.error, "ckptd"));
}

static void frozen_is_said_only_if_it_was(void **state)
{
    (void)state;
    assert_true(freeze_and_thaw(0));
    assert_int_equal(deadline, QUIESCE_TIMEOUT_MS);
    freeze_rc = -ETIMEDOUT;
    assert_false(freeze_and_thaw(500));
    assert_int_equal(deadline, 500);
    assert_int_equal(nr_frozen, 2);
    assert_int_equal(nr_thawed, 2); /* also of one that did not answer */
}

static void a_guest_that_thawed_before_was_not_frozen(void **state)
{
    struct quiesce q = {.is_asked = false};

    (void)state;
    thaw_rc = -ESTALE;
    assert_false(freeze_and_thaw(0));
    thaw_rc = 0;
    quiesce_freeze(&c, &q, 7, "uuid", 1);
    q.begin_us -= 2000;
    assert_false(quiesce_thaw(&c, &q, 7, "uuid"));
}

static void thaw_comes_once(void **state)
{
    struct quiesce q = {.is_asked = false};

    (void)state;
    assert_false(quiesce_thaw(&c, &q, 7, "uuid"));
    assert_int_equal(nr_thawed, 0);
    quiesce_freeze(&c, &q, 7, "uuid", 0);
    assert_true(quiesce_thaw(&c, &q, 7, "uuid"));
    assert_false(quiesce_thaw(&c, &q, 7, "uuid"));
    assert_int_equal(nr_thawed, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, reset)
    const struct CMUnitTest tests[] = {
        T(it_is_refused_when_nobody_can),
        T(frozen_is_said_only_if_it_was),
        T(a_guest_that_thawed_before_was_not_frozen),
        T(thaw_comes_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
