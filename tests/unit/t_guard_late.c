/* SPDX-License-Identifier: LGPL-2.1-only */
/* What the guard promises about guests that were asked to suspend and may do so
 * yet.  Domain 78 does when there is a byte in its FIFO, and who reads that
 * closes it afterwards. */
#include "guard_world.h"

static char fifo_path[600];

static int late_set_up(void **state)
{
    set_up(state);
    snprintf(fifo_path, sizeof(fifo_path), "%s.78", getenv("GUARD_LOG"));
    return mkfifo(fifo_path, 0600);
}

static int late_tear_down(void **state)
{
    unlink(fifo_path);
    return tear_down(state);
}

/* The guard has opened it by now. */
static void suspends(void)
{
    struct pollfd fifo = {.fd = open(fifo_path, O_WRONLY | O_CLOEXEC)};

    assert_true(fifo.fd >= 0);
    assert_int_equal(write(fifo.fd, "", 1), 1);
    assert_int_equal(poll(&fifo, 1, 60000), 1); /* it was resumed */
    close(fifo.fd);
}

static void is_looked_at_between_the_others(void **state)
{
    struct guard *g;

    (void)state;
    setenv("GUARD_FAILS", "lv-remove1", 1);
    g = start();
    guard_add(g, GUARD_LV_REMOVE, 0, "vg/a", NULL);
    guard_add(g, GUARD_COW, 77, NULL, NULL);
    guard_add(g, GUARD_SUSPEND, 77, "c1", NULL);
    guard_stop(g);
    /* and its request is withdrawn once: the next may be another's */
    assert_undone("suspend 77 c1\npending 77\ncow 77\nlv-remove 0 vg/a\n");
}

/* Its first and second output, until all have closed it. */
static void read_output_of(void (*operation)(int lock))
{
    int out[2], status, theirs, fd = lock_pipe(&theirs);
    char text[256];
    pid_t pid;

    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        dup2(out[1], 1);
        dup2(out[1], 2);
        operation(theirs);
        _exit(0);
    }
    close(theirs);
    close(out[1]);
    while (read(out[0], text, sizeof(text)) > 0)
        ;
    close(out[0]);
    wait_gone(fd); /* the lock, not the guard */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void fails_with_a_late_guest(int lock)
{
    struct guard *g = NULL;

    setenv("GUARD_FAILS", "lv-remove1", 1);
    if (guard_start(&c, lock, &g))
        _exit(1);
    close(lock);
    guard_add(g, GUARD_LV_REMOVE, 0, "vg/a", NULL);
    guard_add(g, GUARD_SUSPEND, 78, "c1", NULL);
    guard_stop(g);
}

/* As long as nothing is left but that, it holds neither the lock nor what the
 * operation's words go to. */
static void nobody_waits_for_it(void **state)
{
    (void)state;
    read_output_of(fails_with_a_late_guest);
    assert_undone("suspend 78 c1\nlv-remove 0 vg/a\n");
    suspends();
    assert_undone("suspend 78 c1\nlv-remove 0 vg/a\npending 78\n");
}

static void is_resumed_while_the_operation_goes_on(void **state)
{
    struct guard *g = start();
    unsigned token;

    (void)state;
    guard_add(g, GUARD_PAUSE, 1, NULL, NULL);
    guard_add(g, GUARD_SUSPEND, 78, "c1", &token);
    guard_undo(g, token);
    suspends();
    assert_undone("suspend 78 c1\npending 78\n");
    guard_stop(g);
    assert_undone("suspend 78 c1\npending 78\npause 1\n");
}

/* xl's leaves when the guest suspends. */
static void its_monitor_is_replaced_after_it_suspended(void **state)
{
    struct guard *g = start();
    pid_t pid = fork();
    char text[16];

    (void)state;
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    snprintf(text, sizeof(text), "%d", (int)pid);
    guard_add(g, GUARD_MONITOR, 78, text, NULL);
    guard_add(g, GUARD_SUSPEND, 78, "c1", NULL);
    guard_stop(g);
    assert_undone("suspend 78 c1\n");
    suspends();
    for (int i = 0; i < 60000 && !is_undone("monitor 78\n"); i++)
        usleep(1000); /* lint: sleep ok: the log of another process */
    assert_undone("suspend 78 c1\npending 78\nmonitor 78\n");
}

#define T(f) cmocka_unit_test_setup_teardown(f, late_set_up, late_tear_down)
static const struct CMUnitTest tests[] = {
    T(is_looked_at_between_the_others),
    T(nobody_waits_for_it),
    T(is_resumed_while_the_operation_goes_on),
    T(its_monitor_is_replaced_after_it_suspended),
};

GUARD_MAIN(tests)
