/* SPDX-License-Identifier: LGPL-2.1-only */
#include "steps.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#include "ctx.h"

/* What happened, as letters: a step's own, and its capital when undone. */
struct op {
    struct ckpt c;
    char trace[32];
    char failing; /* the step that fails */
};

static int run(struct op *op, char letter)
{
    op->trace[strlen(op->trace)] = letter;
    return letter == op->failing ? fail(&op->c, -EMLINK, "Step %c.", letter)
                                 : 0;
}

static void undo(struct op *op, char letter)
{
    op->trace[strlen(op->trace)] = letter;
    fail(&op->c, -EIO, "An undo's own failure.");
}

static int run_a(void *op)
{
    return run(op, 'a');
}

static int run_b(void *op)
{
    return run(op, 'b');
}

static int run_c(void *op)
{
    return run(op, 'c');
}

static void undo_a(void *op)
{
    undo(op, 'A');
}

static void undo_c(void *op)
{
    undo(op, 'C');
}

/* clang-format off */
static const struct step table[] = {
    { "first done", run_a, undo_a },
    { "second",     run_b, NULL   },
    { "third",      run_c, undo_c },
    { NULL,         NULL,  NULL   },
};
/* clang-format on */

static void steps_run_in_order(void **state)
{
    struct op op = {.trace = ""};

    (void)state;
    assert_int_equal(steps_run(&op.c, "take", table, &op), 0);
    assert_string_equal(op.trace, "abc");
}

static void a_failure_undoes_backwards_itself_first(void **state)
{
    struct op op = {.failing = 'c'};

    (void)state;
    assert_int_equal(steps_run(&op.c, "take", table, &op), -EMLINK);
    assert_string_equal(op.trace, "abcCA");
}

static void what_was_not_begun_is_not_undone(void **state)
{
    struct op op = {.failing = 'b'};

    (void)state;
    assert_int_equal(steps_run(&op.c, "take", table, &op), -EMLINK);
    assert_string_equal(op.trace, "abA");
}

static void the_words_of_the_failure_survive_the_undo(void **state)
{
    struct op op = {.failing = 'c'};

    (void)state;
    steps_run(&op.c, "take", table, &op);
    assert_string_equal(ckpt_error(&op.c), "Step c.");
}

static void a_fault_before_a_step_keeps_it_from_running(void **state)
{
    struct op op = {.trace = ""};

    (void)state;
    setenv("CKPT_FAULT", "fail:before:take:third", 1);
    assert_int_equal(steps_run(&op.c, "take", table, &op), -EIO);
    assert_string_equal(op.trace, "abCA");
    unsetenv("CKPT_FAULT");
}

static void a_fault_after_a_step_undoes_it(void **state)
{
    struct op op = {.trace = ""};

    (void)state;
    setenv("CKPT_FAULT", "fail:after:take:first done", 1);
    assert_int_equal(steps_run(&op.c, "take", table, &op), -EIO);
    assert_string_equal(op.trace, "aA");
    unsetenv("CKPT_FAULT");
}

static void a_fault_elsewhere_does_nothing(void **state)
{
    static const char *const others[] = {
        "fail:before:fork:third", "fail:after:take:thir",
        "fail:at:take:third",     "fail:before:take:third ",
        "hang:before:take:third", "",
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct op op = {.trace = ""};

        setenv("CKPT_FAULT", others[i], 1);
        assert_int_equal(steps_run(&op.c, "take", table, &op), 0);
    }
    unsetenv("CKPT_FAULT");
}

static void a_point_inside_a_step_can_fail_too(void **state)
{
    struct ckpt c = {.log = NULL};

    (void)state;
    assert_int_equal(steps_fault(&c, "take", "paused"), 0);
    setenv("CKPT_FAULT", "fail:at:take:paused", 1);
    assert_int_equal(steps_fault(&c, "take", "paused"), -EIO);
    assert_int_equal(steps_fault(&c, "take", "resumed"), 0);
    unsetenv("CKPT_FAULT");
}

static void a_kill_is_a_kill(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    pid = fork();
    if (!pid) {
        struct op op = {.trace = ""};

        setenv("CKPT_FAULT", "kill:after:take:second", 1);
        steps_run(&op.c, "take", table, &op);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void a_stop_goes_on_when_told(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    pid = fork();
    if (!pid) {
        struct op op = {.trace = ""};

        setenv("CKPT_FAULT", "stop:after:take:second", 1);
        _exit(steps_run(&op.c, "take", table, &op) ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    kill(pid, SIGCONT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_run_in_order),
        cmocka_unit_test(a_failure_undoes_backwards_itself_first),
        cmocka_unit_test(what_was_not_begun_is_not_undone),
        cmocka_unit_test(the_words_of_the_failure_survive_the_undo),
        cmocka_unit_test(a_fault_before_a_step_keeps_it_from_running),
        cmocka_unit_test(a_fault_after_a_step_undoes_it),
        cmocka_unit_test(a_fault_elsewhere_does_nothing),
        cmocka_unit_test(a_point_inside_a_step_can_fail_too),
        cmocka_unit_test(a_kill_is_a_kill),
        cmocka_unit_test(a_stop_goes_on_when_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
