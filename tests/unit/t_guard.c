/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * guard.h's promises, with a real guard: this program is its own ckpt-helper.
 * What it would undo at Xen or LVM it writes to a log instead; the log also
 * says which undoings shall fail for a while.
 */
#include "guard.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctx.h"
#include "disk.h"
#include "dm.h"
#include "fake/scratch.h"
#include "lvm.h"
#include "xen_undo.h"

/* After ctx.h: it has a macro fail(). */
#include <cmocka.h>

static struct ckpt c;
static char *dir;

/* --- the fakes, in the guard's process ------------------------------------- */

/* One line to the log; fails as often as $GUARD_FAILS says for @what. */
static int undo(const char *what, uint32_t domid, const char *arg)
{
    const char *log = getenv("GUARD_LOG"), *fails = getenv("GUARD_FAILS");
    static unsigned nr_failed;
    char line[600];
    int fd, n;

    if (fails && !strncmp(fails, what, strlen(what)) &&
        nr_failed < (unsigned)atoi(fails + strlen(what))) {
        nr_failed++;
        return -EIO;
    }
    n = snprintf(line, sizeof(line), "%s %u%s%s\n", what, domid,
                 arg[0] ? " " : "", arg);
    fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, (size_t)n) != n)
        return -errno;
    close(fd);
    return 0;
}

#define OF_DOMAIN(function, what)                                              \
    int function(uint32_t domid)                                               \
    {                                                                          \
        return undo(what, domid, "");                                          \
    }
#define OF_WORDS(function, what)                                               \
    int function(struct ckpt *ctx, const char *arg)                            \
    {                                                                          \
        (void)ctx;                                                             \
        return undo(what, 0, arg);                                             \
    }
OF_DOMAIN(xen_undo_log_dirty, "log-dirty")
OF_DOMAIN(xen_undo_cow, "cow")
OF_DOMAIN(xen_undo_qemu_dirty, "qemu-dirty")
OF_DOMAIN(xen_undo_pause, "pause")
OF_DOMAIN(xen_undo_unpaused, "unpaused")
OF_DOMAIN(xen_undo_domain, "domain")
OF_WORDS(dm_undo_suspend, "dm-suspend")
OF_WORDS(lvm_undo_remove, "lv-remove")
OF_WORDS(lvm_undo_rename, "lv-rename")
OF_WORDS(disk_take_back, "disk-take-back")
OF_WORDS(disk_remove, "disk-remove")

/* Domains 77 and 78 have acknowledged.  77 suspends while it is waited for, 78
 * when there is a byte in the FIFO $GUARD_LOG.78. */
struct xen_pending {
    uint32_t domid;
    int fd;
};

int xen_undo_suspend(uint32_t domid, const char *claim,
                     struct xen_pending **pending_out)
{
    struct xen_pending *p;
    char path[600];
    int rc = undo("suspend", domid, claim);

    if (rc || domid < 77)
        return rc;
    p = malloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    snprintf(path, sizeof(path), "%s.%u", getenv("GUARD_LOG"), domid);
    p->domid = domid;
    p->fd = open(domid == 77 ? "/dev/zero" : path,
                 O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    *pending_out = p;
    return -EAGAIN;
}

int xen_pending_fd(const struct xen_pending *p)
{
    return p->fd;
}

int xen_pending_look(struct xen_pending *p)
{
    char byte;

    if (read(p->fd, &byte, 1) != 1)
        return -EAGAIN;
    return undo("pending", p->domid, "");
}

void xen_pending_close(struct xen_pending *p)
{
    if (!p)
        return;
    close(p->fd);
    free(p);
}

int xen_undo_still(uint32_t domid, const char *claim)
{
    return undo("still", domid, claim);
}

int xen_undo_domain_name(uint32_t domid, const char *name)
{
    return undo("domain-name", domid, name);
}

/* --- around them ----------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    memset(&c, 0, sizeof(c));
    dir = scratch_dir();
    setenv("GUARD_LOG", scratch_path(dir, "log"), 1);
    unsetenv("GUARD_FAILS");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(dir);
    return 0;
}

static void assert_undone(const char *expected)
{
    char text[4096] = "";
    int fd = open(scratch_path(dir, "log"), O_RDONLY);

    if (fd >= 0) {
        assert_true(read(fd, text, sizeof(text) - 1) >= 0);
        close(fd);
    }
    assert_string_equal(text, expected);
}

/* A pipe whose writing end the guard inherits as its "lock": when the reading
 * end sees the end, the guard is gone. */
static int lock_pipe(int *theirs)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    *theirs = ends[1];
    return ends[0];
}

static void wait_gone(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    assert_int_equal(poll(&pfd, 1, 60000), 1);
    assert_true(pfd.revents & POLLHUP);
    close(fd);
}

static int lock_fd; /* of the operation under test */

/* Runs @operation in a process of its own, which then dies by SIGKILL. */
static void die_after(void (*operation)(struct guard *g))
{
    int theirs, fd = lock_pipe(&theirs);
    struct guard *g;
    int status;
    pid_t pid;

    pid = fork();
    if (pid == 0) {
        lock_fd = theirs;
        if (guard_start(&c, theirs, &g))
            _exit(1);
        operation(g);
        raise(SIGKILL);
    }
    close(theirs);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    wait_gone(fd);
}

static struct guard *start(void)
{
    struct guard *g = NULL;
    int rc = guard_start(&c, -1, &g);

    if (rc)
        fail_msg("guard_start: %s", c.error);
    return g;
}

/* --- the promises ---------------------------------------------------------- */

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

static void
a_guest_that_may_suspend_yet_is_waited_for_after_the_rest(void **state)
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
    assert_undone("suspend 77 c1\ncow 77\npending 77\nlv-remove 0 vg/a\n");
}

/* As long as nothing is left but that, it holds neither the lock nor what the
 * operation's words go to. */
static void nobody_waits_for_a_guest_that_may_suspend_yet(void **state)
{
    struct pollfd fifo = {.fd = -1};
    struct guard *g = NULL;
    char path[600];
    int theirs, fd = lock_pipe(&theirs);

    (void)state;
    snprintf(path, sizeof(path), "%s.78", getenv("GUARD_LOG"));
    assert_int_equal(mkfifo(path, 0600), 0);
    setenv("GUARD_FAILS", "lv-remove1", 1);
    assert_int_equal(guard_start(&c, theirs, &g), 0);
    close(theirs);
    guard_add(g, GUARD_LV_REMOVE, 0, "vg/a", NULL);
    guard_add(g, GUARD_SUSPEND, 78, "c1", NULL);
    guard_stop(g);
    wait_gone(fd); /* the lock, not the guard */
    assert_undone("suspend 78 c1\nlv-remove 0 vg/a\n");
    fifo.fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fifo.fd, "", 1), 1);
    assert_int_equal(poll(&fifo, 1, 60000), 1); /* it has left */
    assert_undone("suspend 78 c1\nlv-remove 0 vg/a\npending 78\n");
    close(fifo.fd);
    unlink(path);
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

int main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
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
        T(a_guest_that_may_suspend_yet_is_waited_for_after_the_rest),
        T(nobody_waits_for_a_guest_that_may_suspend_yet),
        T(terminal_signals_do_not_reach_it),
        T(many_harms_fit),
        T(no_guard_no_operation),
        T(without_a_guard_the_calls_are_harmless),
        T(an_argument_too_long_is_refused),
    };

    if (argc == 3 && !strcmp(argv[1], "guard"))
        return guard_main(atoi(argv[2]));
    setenv("CKPT_HELPER", argv[0], 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
