/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef TESTS_GUARD_WORLD_H
#define TESTS_GUARD_WORLD_H
/*
 * A real guard for tests of guard.h: the program is its own ckpt-helper.  What
 * it would undo at Xen or LVM it writes to a log instead; the log also says
 * which undoings shall fail for a while.
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
#include "watch.h"
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

bool xen_pending_is_paused(const struct xen_pending *p)
{
    (void)p;
    return false;
}

void xen_pending_close(struct xen_pending *p)
{
    if (!p)
        return;
    close(p->fd);
    free(p);
}

int watch_replace(struct ckpt *ctx, uint32_t domid, int monitor_fd)
{
    (void)ctx;
    if (monitor_fd >= 0)
        close(monitor_fd);
    return undo(monitor_fd < 0 ? "monitor" : "monitor is there", domid, "");
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

static void read_log(char text[4096])
{
    int fd = open(scratch_path(dir, "log"), O_RDONLY);

    memset(text, 0, 4096);
    if (fd < 0)
        return;
    assert_true(read(fd, text, 4095) >= 0);
    close(fd);
}

static inline bool is_undone(const char *line)
{
    char text[4096];

    read_log(text);
    return strstr(text, line) != NULL;
}

static void assert_undone(const char *expected)
{
    char text[4096];

    read_log(text);
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
static inline void die_after(void (*operation)(struct guard *g))
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

static inline struct guard *start(void)
{
    struct guard *g = NULL;
    int rc = guard_start(&c, -1, &g);

    if (rc)
        fail_msg("guard_start: %s", c.error);
    return g;
}

/* The test's main(): with "guard FD" it is the guard. */
#define GUARD_MAIN(tests)                                                      \
    int main(int argc, char **argv)                                            \
    {                                                                          \
        if (argc == 3 && !strcmp(argv[1], "guard"))                            \
            return guard_main(atoi(argv[2]));                                  \
        setenv("CKPT_HELPER", argv[0], 1);                                     \
        return cmocka_run_group_tests(tests, NULL, NULL);                      \
    }

#endif
