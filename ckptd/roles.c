/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The processes of the daemon: how they start, what they give away, and how
 * they come back.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"

#define DEATHS_MAX 6 /* the longest wait is 2^6 tenths of a second */
#define NR_FDS_MAX 4
#define MESSAGES_A_TURN 64 /* then it is the others' turn */

/* In the child: descriptors in place, signals as after boot, then exec. */
static _Noreturn void become(const char *path, char *const argv[],
                             const int *fds, unsigned nr, bool group)
{
    int high[NR_FDS_MAX] = {-1, -1, -1, -1};
    sigset_t none;

    if (group)
        setsid();
    else
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (unsigned i = 0; i < nr; i++)
        if (fds[i] >= 0)
            high[i] = fcntl(fds[i], F_DUPFD, 3 + NR_FDS_MAX);
    for (unsigned i = 0; i < nr; i++) {
        close(3 + (int)i);
        if (high[i] >= 0 && dup2(high[i], 3 + (int)i) < 0)
            _exit(126);
    }
    syscall(SYS_close_range, 3 + nr, ~0u, 0);
    execv(path, argv);
    _exit(127);
}

pid_t spawn_with(const char *path, char *const argv[], const int *fds,
                 unsigned nr_fds, bool group)
{
    pid_t pid;

    if (nr_fds > NR_FDS_MAX)
        return -EINVAL;
    pid = fork();
    if (pid < 0)
        return -errno;
    if (!pid)
        become(path, argv, fds, nr_fds, group);
    return pid;
}

/* --- giving privileges away ------------------------------------------------ */

void role_begin(const char *name)
{
    prctl(PR_SET_NAME, name);
    log_who(name);
    signal(SIGPIPE, SIG_IGN);
    fcntl(ROLE_FD_PARENT, F_SETFL, O_NONBLOCK);
    tzset();
}

int role_confine(const char *user, const char *dir)
{
    struct passwd *pw;
    uid_t uid;
    gid_t gid;

    prctl(PR_SET_DUMPABLE, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (geteuid() != 0) /* started by a user, as in tests: nothing to give */
        return 0;
    pw = getpwnam(user);
    if (!pw || !pw->pw_uid) {
        log_msg(LOG_ERR,
                "user \"%s\" does not exist, or is root: create it with "
                "`useradd --system', or set `user' in the configuration",
                user);
        return -ENOENT;
    }
    uid = pw->pw_uid;
    gid = pw->pw_gid;
    if (chroot(dir) < 0 || chdir("/") < 0)
        return -errno;
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
        setresuid(uid, uid, uid) < 0)
        return -errno;
    return setuid(0) == 0 ? -EPERM : 0;
}

/* --- children that come back ----------------------------------------------- */

static void child_died(struct child *c)
{
    if (c->fd < 0)
        return;
    ev_io_stop(c->d->loop, &c->io);
    close(c->fd);
    c->fd = -1;
    c->is_ready = false;
    /* It may be alive and only have closed its end, or be stuck. */
    if (c->pid > 0)
        kill(c->pid, SIGKILL);
    c->pid = 0; /* reaped by the loop */
    if (c->on_death)
        c->on_death(c->d);
    if (c->d->is_stopping)
        return;
    if (ev_now(c->d->loop) - c->started_at > 60)
        c->nr_deaths = 0;
    log_msg(LOG_WARNING, "the %s role ended; it is started again", c->name);
    ev_timer_set(&c->again, 0.1 * (1 << c->nr_deaths), 0.);
    if (c->nr_deaths < DEATHS_MAX)
        c->nr_deaths++;
    ev_timer_start(c->d->loop, &c->again);
}

static void on_child(struct ev_loop *loop, ev_io *io, int events)
{
    struct child *c = io->data;
    static struct wire m; /* the loop is one thread; a message is large */
    int rc;

    (void)loop, (void)events;
    for (int i = 0; i < MESSAGES_A_TURN && c->fd >= 0; i++) {
        rc = wire_recv(c->fd, &m);
        if (rc == -EAGAIN)
            return;
        if (rc == -EPROTO)
            log_msg(LOG_ERR, "the %s role sent nonsense", c->name);
        if (rc) {
            child_died(c);
            return;
        }
        c->on_message(c->d, &m);
    }
}

static void on_again(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    child_start(w->data);
}

/* All that a role is told: it does not read the configuration. */
static pid_t start_role(const struct child *c, const int *fds, unsigned nr_fds)
{
    const struct conf *conf = &c->d->conf;
    char role[32], user[sizeof(conf->user) + 16], dir[CONF_TEXT + 16];
    char verbose[24];
    char *argv[8] = {(char *)"ckptd", role, user, dir, verbose};
    unsigned n = 5;

    snprintf(role, sizeof(role), "--role=%s", c->name);
    snprintf(user, sizeof(user), "--user=%s", conf->user);
    snprintf(dir, sizeof(dir), "--run-dir=%s", conf->run_dir);
    snprintf(verbose, sizeof(verbose), "--verbose=%u", log_verbosity());
    if (c->d->metrics_fd >= 0)
        argv[n++] = (char *)"--metrics";
    if (log_is_syslog())
        argv[n++] = (char *)"--log=syslog";
    return spawn_with("/proc/self/exe", argv, fds, nr_fds, false);
}

void child_start(struct child *c)
{
    int fds[2] = {-1, -1}, hand[3] = {-1, c->d->listen_fd, c->d->metrics_fd};
    bool is_front = c == &c->d->front;

    ev_init(&c->again, on_again);
    c->again.data = c;
    c->started_at = ev_now(c->d->loop);
    if (wire_pair(fds) < 0) {
        log_msg(LOG_ERR, "no sockets for the %s role: %s", c->name,
                strerror(errno));
        goto again;
    }
    hand[0] = fds[1];
    c->pid = start_role(c, hand, is_front ? 3 : 1);
    close(fds[1]);
    if (c->pid < 0) {
        log_msg(LOG_ERR, "cannot start the %s role: %s", c->name,
                strerror(-c->pid));
        c->pid = 0;
        close(fds[0]);
        goto again;
    }
    c->fd = fds[0];
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    ev_io_init(&c->io, on_child, c->fd, EV_READ);
    c->io.data = c;
    ev_io_start(c->d->loop, &c->io);
    if (c->on_start)
        c->on_start(c->d);
    return;
again:
    ev_timer_set(&c->again, 5., 0.);
    ev_timer_start(c->d->loop, &c->again);
}

void child_stop(struct child *c)
{
    ev_timer_stop(c->d->loop, &c->again);
    if (c->fd < 0)
        return;
    ev_io_stop(c->d->loop, &c->io);
    close(c->fd); /* which ends it */
    c->fd = -1;
}

void child_send(struct child *c, const struct wire *m)
{
    int rc;

    if (c->fd < 0)
        return;
    rc = wire_send(c->fd, m);
    if (!rc)
        return;
    if (rc == -EAGAIN)
        log_msg(LOG_ERR, "the %s role does not listen any more", c->name);
    /* Its death is seen by the loop, not inside of whoever called us.  It may
     * be reaped already: 0 would be our whole group. */
    if (c->pid > 0)
        kill(c->pid, SIGKILL);
}
