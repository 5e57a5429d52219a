/* SPDX-License-Identifier: LGPL-2.1-only */
/* guard.h's promises, but for guests that suspend late (t_guard_late.c). */
#include "guard_world.h"

static void all_kinds(struct guard *g)
{
    guard_add(g, GUARD_LV_RENAME, 0, "vg/now vg/before uuid", NULL);
    guard_add(g, GUARD_LV_REMOVE, 0, "vg/lv", NULL);
    guard_add(g, GUARD_DOMAIN, 9, NULL, NULL);
    guard_add(g, GUARD_DOMAIN_NAME, 7, "web server", NULL);
    guard_add(g, GUARD_LOG_DIRTY, 7, NULL, NULL);
    guard_add(g, GUARD_QEMU_DIRTY, 7, NULL, NULL);
    guard_add(g, GUARD_SUSPEND, 7, "c1", NULL);
    guard_add(g, GUARD_STILL, 7, "c1", NULL);
    guard_add(g, GUARD_PAUSE, 7, NULL, NULL);
    guard_add(g, GUARD_UNPAUSED, 7, NULL, NULL);
    guard_add(g, GUARD_DM_SUSPEND, 0, "LVM-abc vg-lv", NULL);
}

static void
every_harm_of_a_dead_operation_is_undone_last_one_first(void **state)
{
    (void)state;
    die_after(all_kinds);
    assert_undone("dm-suspend 0 LVM-abc vg-lv\n"
                  "unpaused 7\n"
                  "pause 7\n"
                  "still 7 c1\n"
                  "suspend 7 c1\n"
                  "qemu-dirty 7\n"
                  "log-dirty 7\n"
                  "domain-name 7 web server\n"
                  "domain 9\n"
                  "lv-remove 0 vg/lv\n"
                  "lv-rename 0 vg/now vg/before uuid\n");
}

static void some_struck_out(struct guard *g)
{
    unsigned one, two, three;

    guard_add(g, GUARD_PAUSE, 1, NULL, &one);
    guard_add(g, GUARD_PAUSE, 2, NULL, &two);
    guard_add(g, GUARD_PAUSE, 3, NULL, &three);
    guard_del(g, two);
    guard_del(g, 0);
    guard_del(g, two);
    guard_add(g, GUARD_PAUSE, 4, NULL, NULL);
    guard_del(g, three);
}

static void what_was_struck_out_is_not_undone(void **state)
{
    (void)state;
    die_after(some_struck_out);
    assert_undone("pause 4\npause 1\n");
}

static void held_only(struct guard *g)
{
    unsigned old;

    guard_add(g, GUARD_DOMAIN, 1, NULL, &old);
    guard_hold(g);
    guard_add(g, GUARD_DOMAIN, 2, NULL, NULL);
    guard_del(g, old);
}

static void held_and_flushed(struct guard *g)
{
    held_only(g);
    guard_flush(g);
}

static void a_turn_counts_whole_or_not_at_all(void **state)
{
    (void)state;
    die_after(held_only);
    assert_undone("domain 1\n");
    assert_int_equal(unlink(scratch_path(dir, "log")), 0);
    die_after(held_and_flushed);
    assert_undone("domain 2\n");
}

static void commit_pending(struct guard *g)
{
    guard_add(g, GUARD_UNLESS_FILE, 0, scratch_path(dir, "committed"), NULL);
    guard_add(g, GUARD_LV_REMOVE, 0, "vg/ckpt", NULL);
    guard_add(g, GUARD_DISK_MADE, 0, "reflink unlink 1 /a", NULL);
    guard_add(g, GUARD_DISK_MOVED, 0, "reflink unlink 2 /b", NULL);
    guard_add(g, GUARD_PAUSE, 5, NULL, NULL);
}

static void a_committed_checkpoint_keeps_its_volumes(void **state)
{
    int fd;

    (void)state;
    die_after(commit_pending);
    assert_undone("pause 5\ndisk-take-back 0 reflink unlink 2 /b\n"
                  "disk-take-back 0 reflink unlink 1 /a\n"
                  "lv-remove 0 vg/ckpt\n");
    assert_int_equal(unlink(scratch_path(dir, "log")), 0);
    fd = open(scratch_path(dir, "committed"), O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    die_after(commit_pending);
    assert_undone("pause 5\ndisk-take-back 0 reflink unlink 2 /b\n");
}

static void nothing(struct guard *g)
{
    (void)g;
}

static void without_harms_it_just_leaves(void **state)
{
    struct guard *g;
    unsigned token;

    (void)state;
    die_after(nothing);
    g = start();
    assert_int_equal(guard_add(g, GUARD_PAUSE, 1, NULL, &token), 0);
    assert_int_equal(guard_del(g, token), 0);
    guard_stop(g);
    guard_stop(NULL);
    assert_undone("");
}

static void
a_failed_operation_gets_its_harms_undone_before_stop_returns(void **state)
{
    struct guard *g = start();

    (void)state;
    assert_int_equal(guard_add(g, GUARD_PAUSE, 1, NULL, NULL), 0);
    guard_stop(g);
    assert_undone("pause 1\n");
}

static void the_lock_is_free_when_stop_returns(void **state)
{
    const char *path = scratch_path(dir, "lock");
    struct guard *g;
    int fd, other;

    (void)state;
    for (int i = 0; i < 5; i++) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
        assert_int_equal(guard_start(&c, fd, &g), 0);
        close(fd);
        /* ours is closed, the guard's copy holds it */
        other = open(path, O_RDWR | O_CLOEXEC);
        assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
        guard_stop(g);
        assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
        close(other);
    }
}

static void fork_and_die(struct guard *g)
{
    guard_add(g, GUARD_PAUSE, 1, NULL, NULL);
    if (fork() == 0) {
        close(lock_fd);
        close(1);
        close(2);
        /* lint: sleep ok: holds the socket for longer than the test runs */
        sleep(30);
        _exit(0);
    }
}

static void a_process_forked_from_the_operation_hides_no_death(void **state)
{
    (void)state;
    die_after(fork_and_die);
    assert_undone("pause 1\n");
}

static void an_undoing_that_fails_is_tried_again(void **state)
{
    struct guard *g;

    (void)state;
    setenv("GUARD_FAILS", "still2", 1);
    g = start();
    guard_add(g, GUARD_PAUSE, 1, NULL, NULL);
    guard_add(g, GUARD_STILL, 2, "c1", NULL);
    guard_add(g, GUARD_LV_REMOVE, 0, "vg/a", NULL);
    guard_stop(g);
    /* and keeps nothing else waiting */
    assert_undone("lv-remove 0 vg/a\npause 1\nstill 2 c1\n");
}

static void a_stuck_volume_holds_back_the_volumes_before_it_only(void **state)
{
    struct guard *g;

    (void)state;
    setenv("GUARD_FAILS", "lv-rename1", 1);
    g = start();
    guard_add(g, GUARD_LV_REMOVE, 0, "vg/a", NULL);
    guard_add(g, GUARD_PAUSE, 1, NULL, NULL);
    guard_add(g, GUARD_LV_RENAME, 0, "vg/b vg/c u", NULL);
    guard_add(g, GUARD_LV_REMOVE, 0, "vg/d", NULL);
    guard_stop(g);
    assert_undone("lv-remove 0 vg/d\npause 1\n"
                  "lv-rename 0 vg/b vg/c u\nlv-remove 0 vg/a\n");
}

static void terminal_signals_do_not_reach_it(void **state)
{
    struct guard *g;
    pid_t pid;
    int status, theirs, fd = lock_pipe(&theirs);

    (void)state;
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        if (guard_start(&c, theirs, &g))
            _exit(1);
        guard_add(g, GUARD_PAUSE, 1, NULL, NULL);
        kill(0, SIGKILL); /* the whole process group */
        _exit(1);
    }
    close(theirs);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    wait_gone(fd);
    assert_undone("pause 1\n");
}

static void many_harms_fit(void **state)
{
    struct guard *g = start();
    unsigned tokens[2000];

    (void)state;
    for (int i = 0; i < 2000; i++)
        assert_int_equal(guard_add(g, GUARD_PAUSE, 1, NULL, &tokens[i]), 0);
    for (int i = 0; i < 1999; i++)
        assert_int_equal(guard_del(g, tokens[i]), 0);
    guard_stop(g);
    assert_undone("pause 1\n");
}

static void no_guard_no_operation(void **state)
{
    char *helper = strdup(getenv("CKPT_HELPER"));
    struct guard *g = NULL;

    (void)state;
    setenv("CKPT_HELPER", "/nonexistent/ckpt-helper", 1);
    assert_int_equal(guard_start(&c, -1, &g), -EIO);
    assert_null(g);
    assert_non_null(strstr(c.error, "/nonexistent/ckpt-helper"));
    setenv("CKPT_HELPER", "/bin/false", 1);
    assert_int_equal(guard_start(&c, -1, &g), -EIO);
    assert_null(g);
    /* One that died after it stood. */
    setenv("CKPT_HELPER", "/bin/true", 1);
    assert_int_equal(guard_start(&c, -1, &g), 0);
    assert_int_equal(guard_add(g, GUARD_PAUSE, 1, NULL, NULL), -EPIPE);
    assert_non_null(strstr(c.error, "guard is gone"));
    guard_stop(g);
    setenv("CKPT_HELPER", helper, 1);
    free(helper);
}

static void without_a_guard_the_calls_are_harmless(void **state)
{
    unsigned token = 5;

    (void)state;
    assert_int_equal(guard_add(NULL, GUARD_PAUSE, 1, NULL, &token), 0);
    assert_int_equal(token, 0);
    assert_int_equal(guard_del(NULL, 3), 0);
    assert_int_equal(guard_hold(NULL), 0);
    assert_int_equal(guard_flush(NULL), 0);
}

static void an_argument_too_long_is_refused(void **state)
{
    char arg[GUARD_ARG_MAX + 1];
    struct guard *g = start();

    (void)state;
    memset(arg, 'x', sizeof(arg));
    arg[GUARD_ARG_MAX] = '\0';
    assert_int_equal(guard_add(g, GUARD_LV_REMOVE, 0, arg, NULL),
                     -ENAMETOOLONG);
    arg[GUARD_ARG_MAX - 1] = '\0';
    assert_int_equal(guard_add(g, GUARD_LV_REMOVE, 0, arg, NULL), 0);
    guard_stop(g);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    T(every_harm_of_a_dead_operation_is_undone_last_one_first),
    T(what_was_struck_out_is_not_undone),
    T(a_turn_counts_whole_or_not_at_all),
    T(a_committed_checkpoint_keeps_its_volumes),
    T(without_harms_it_just_leaves),
    T(a_failed_operation_gets_its_harms_undone_before_stop_returns),
    T(the_lock_is_free_when_stop_returns),
    T(a_process_forked_from_the_operation_hides_no_death),
    T(an_undoing_that_fails_is_tried_again),
    T(a_stuck_volume_holds_back_the_volumes_before_it_only),
    T(terminal_signals_do_not_reach_it),
    T(many_harms_fit),
    T(no_guard_no_operation),
    T(without_a_guard_the_calls_are_harmless),
    T(an_argument_too_long_is_refused),
};

GUARD_MAIN(tests)
