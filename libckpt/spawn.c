/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A helper program is run, waited for, and its output collected.
 *
 *   we ──fork──► supervisor ──vfork, exec──► program
 *    ▲                │                        │ stdout, stderr
 *    └── its status ──┘                        │
 *    └─────────────────── its output ──────────┘
 *
 * The program is not our child but a supervisor's, a bare fork of us that
 * makes system calls only and never runs another program.  So it can be made
 * without an exit signal (exec would set it back to SIGCHLD): our caller
 * never gets a SIGCHLD, may ignore it or reap whatever it finds, and we still
 * learn how the program ended, from a pipe.
 *
 * While it runs we sleep in poll() on three pipes.  A program that overstays
 * gets SIGTERM, later SIGKILL, with all its group.  LVM blocks signals where
 * it must not be interrupted, so SIGTERM is safe there and SIGKILL the last
 * resort.  When we die the supervisor does, and the program gets SIGTERM.
 */
#include "spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctx.h"

#define OUT_MAX_BYTES (1u << 20)
#define LINE_MAX_BYTES 256u
#define GRACE_US 5000000u /* after SIGTERM, and again after SIGKILL */
#define STACK_BYTES 32768u
#define SBIN_PATH "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"

/* What is made ready before the fork. */
struct program {
    const char *const *argv;
    char path[1024];
    char **envp; /* owned, the strings borrowed */
    int fds[3 + SPAWN_FDS_MAX + 1];
    int nr_fds;
    int out_fd; /* its stdout, borrowed; 0: a pipe or nowhere */
    bool is_daemon;
    pid_t parent;
};

/* How it ended; written to a pipe by whoever knows first. */
struct end {
    int error;  /* why it could not be run, or 0 */
    int status; /* as of waitpid() */
};

enum {
    OUT,
    ERR,
    END,
    NR_PIPES
};

struct output {
    char *text; /* owned; NULL when nobody wants it */
    size_t len_bytes;
    size_t room_bytes;
    int rc;
    char line[LINE_MAX_BYTES]; /* of stderr, not yet ended */
    size_t line_len;
    char last[LINE_MAX_BYTES]; /* of stderr, the last one that says a thing */
};

/* --- supervisor and program: system calls only ---------------------------- */

static void close_from(int first)
{
    struct rlimit lim = {0, 0};
    int end = 65536;

    if (syscall(SYS_close_range, first, ~0u, 0) == 0)
        return;
    /* Linux before 5.9 */
    getrlimit(RLIMIT_NOFILE, &lim);
    if (lim.rlim_cur < (rlim_t)end)
        end = (int)lim.rlim_cur;
    for (int fd = first; fd < end; fd++)
        close(fd);
}

/* fds become 0, 1, 2, ...: first out of each other's way, then in place. */
static int place_fds(const int *fds, int nr)
{
    int high[3 + SPAWN_FDS_MAX + 1];

    for (int i = 0; i < nr; i++) {
        high[i] = fcntl(fds[i], F_DUPFD, nr);
        if (high[i] < 0)
            return -1;
    }
    for (int i = 0; i < nr; i++)
        if (dup2(high[i], i) < 0)
            return -1;
    close_from(nr);
    return fcntl(nr - 1, F_SETFD, FD_CLOEXEC);
}

/* By the system call: the C library keeps two signals to itself, which make
 * hands down as ignored. */
static void default_signals(void)
{
    struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        unsigned long mask;
    } dfl = {.handler = SIG_DFL};

    for (int sig = 1; sig < NSIG; sig++) /* fails for those nobody can have */
        syscall(SYS_rt_sigaction, sig, &dfl, NULL, sizeof(dfl.mask));
}

static int execute(void *arg)
{
    const struct program *p = arg;
    struct end end = {0, 0};
    sigset_t none;

    default_signals();
    if (!p->is_daemon)
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(p->path, (char *const *)(uintptr_t)p->argv, p->envp);
    end.error = errno;
    if (write(p->nr_fds, &end, sizeof(end)) < 0)
        _exit(126);
    _exit(127);
}

/* A SIGTERM to the group that came before the program was in it, or could be
 * ended by it, is ours alone. */
static void pass_on_sigterm(void)
{
    sigset_t pending;

    if (sigpending(&pending) == 0 && sigismember(&pending, SIGTERM))
        kill(-getpid(), SIGTERM);
}

static void supervise(struct program *p, int end_fd)
{
    _Alignas(16) char stack[STACK_BYTES];
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    struct end end = {0, 0};
    pid_t pid;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != p->parent)
        _exit(0);
    sigaction(SIGCHLD, &dfl, NULL); /* ignored, there would be no status */
    if (p->is_daemon)
        setsid();
    else
        setpgid(0, 0);
    p->fds[p->nr_fds] = end_fd;
    if (place_fds(p->fds, p->nr_fds + 1) < 0)
        _exit(0);
    pid = clone(execute, stack + sizeof(stack),
                CLONE_VM | CLONE_VFORK | SIGCHLD, p);
    if (pid < 0)
        end.error = errno;
    else
        pass_on_sigterm();
    while (pid > 0 && waitpid(pid, &end.status, 0) < 0 && errno == EINTR)
        ;
    if (write(p->nr_fds, &end, sizeof(end)) < 0)
        _exit(1);
    _exit(0);
}

/* --- making it ready ------------------------------------------------------ */

static bool find_in(const char *folders, const char *name, char *path,
                    size_t room_bytes)
{
    while (*folders) {
        size_t len = strcspn(folders, ":");

        if (len &&
            (size_t)snprintf(path, room_bytes, "%.*s/%s", (int)len, folders,
                             name) < room_bytes &&
            access(path, X_OK) == 0)
            return true;
        folders += len + (folders[len] == ':');
    }
    return false;
}

static int find_program(struct ckpt *c, struct program *p)
{
    const char *name = p->argv[0], *path = getenv("PATH");

    if (strchr(name, '/')) {
        if ((size_t)snprintf(p->path, sizeof(p->path), "%s", name) >=
            sizeof(p->path))
            return fail(c, -ENAMETOOLONG, "%s", name);
        return 0;
    }
    if (path && find_in(path, name, p->path, sizeof(p->path)))
        return 0;
    if (find_in(SBIN_PATH, name, p->path, sizeof(p->path)))
        return 0;
    return fail(c, -EIO, "%s: no such program here; install it.", name);
}

/* Our environment, but messages and numbers as programs read them. */
static int make_env(struct ckpt *c, struct program *p)
{
    static char lc_all[] = "LC_ALL=C";
    size_t nr = 0, n = 0;

    while (environ && environ[nr])
        nr++;
    p->envp = calloc(nr + 2, sizeof(*p->envp));
    if (!p->envp)
        return fail(c, -ENOMEM, "%s", p->argv[0]);
    for (size_t i = 0; i < nr; i++)
        if (strncmp(environ[i], "LC_ALL=", 7))
            p->envp[n++] = environ[i];
    p->envp[n] = lc_all;
    return 0;
}

/* All signals stay blocked in the supervisor. */
static int start(struct ckpt *c, struct program *p, int end_fd, pid_t *pid_out)
{
    sigset_t all, before;
    int saved_errno;

    p->parent = getpid();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    *pid_out = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    if (*pid_out == 0)
        supervise(p, end_fd);
    saved_errno = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (*pid_out < 0)
        return fail(c, -saved_errno, "%s: cannot start it", p->argv[0]);
    return 0;
}

/* --- while it runs -------------------------------------------------------- */

static void take_text(struct output *o, const char *data, size_t len_bytes)
{
    size_t room = o->room_bytes;
    char *text;

    if (o->rc)
        return;
    if (o->len_bytes + len_bytes > OUT_MAX_BYTES) {
        o->rc = -EFBIG;
        return;
    }
    while (o->len_bytes + len_bytes + 1 > room)
        room *= 2;
    if (room != o->room_bytes) {
        text = realloc(o->text, room);
        if (!text) {
            o->rc = -ENOMEM;
            return;
        }
        o->text = text;
        o->room_bytes = room;
    }
    memcpy(o->text + o->len_bytes, data, len_bytes);
    o->len_bytes += len_bytes;
    o->text[o->len_bytes] = '\0';
}

/* A line of stderr: for those who follow, and maybe for the error text. */
static void end_line(struct ckpt *c, const char *name, struct output *o)
{
    char *s = o->line;

    while (o->line_len && strchr(" .\t\r", s[o->line_len - 1]))
        o->line_len--;
    s[o->line_len] = '\0';
    s += strspn(s, " \t");
    if (*s) {
        say(c, "%s: %s", name, s);
        memmove(o->last, s, strlen(s) + 1);
    }
    o->line_len = 0;
}

static void take_lines(struct ckpt *c, const char *name, struct output *o,
                       const char *data, size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++) {
        if (data[i] == '\n')
            end_line(c, name, o);
        else if (o->line_len < sizeof(o->line) - 1)
            o->line[o->line_len++] = data[i];
    }
}

/* Reads what is there; -1 into *fd at the end. */
static void read_pipe(struct ckpt *c, const char *name, struct output *o,
                      int *fd, bool is_stderr)
{
    char data[4096];
    ssize_t n;

    while (*fd >= 0) {
        n = read(*fd, data, sizeof(data));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close(*fd);
            *fd = -1;
        } else if (is_stderr) {
            take_lines(c, name, o, data, (size_t)n);
        } else {
            take_text(o, data, (size_t)n);
        }
    }
}

/* While there is no group the supervisor gets it, and passes it on; unless it
 * has just looked: then there is one by now. */
static void kill_group(pid_t pid, int sig)
{
    if (kill(-pid, sig) == 0)
        return;
    kill(pid, sig);
    kill(-pid, sig);
}

/* Until it has ended. @pid leads the group; *signals_sent: SIGTERM, SIGKILL.
 */
static void follow(struct ckpt *c, const char *name, pid_t pid, int *pipes,
                   struct output *o, uint64_t deadline_us, int *signals_sent)
{
    static const int signals[] = {SIGTERM, SIGKILL};
    struct pollfd pfd[NR_PIPES];
    uint64_t now;

    for (;;) {
        for (int i = 0; i < NR_PIPES; i++)
            pfd[i] = (struct pollfd){.fd = pipes[i], .events = POLLIN};
        now = now_us();
        /* A failed poll, EINTR or not, leaves revents at 0: once more. */
        poll(pfd, NR_PIPES,
             now < deadline_us ? (int)((deadline_us - now) / 1000) + 1 : 0);
        read_pipe(c, name, o, &pipes[OUT], false);
        read_pipe(c, name, o, &pipes[ERR], true);
        if (pfd[END].revents)
            return;
        if (o->rc && *signals_sent == 0)
            deadline_us = 0;
        if (now_us() < deadline_us || *signals_sent == 2)
            continue;
        kill_group(pid, signals[(*signals_sent)++]);
        deadline_us = now_us() + GRACE_US;
    }
}

static int judge(struct ckpt *c, const struct program *p,
                 const struct output *o, const struct end *end,
                 int signals_sent, unsigned timeout_ms)
{
    const char *sep = o->last[0] ? ": " : "", *name = p->argv[0];

    if (o->rc == -EFBIG)
        return fail(c, o->rc, "%s: more than 1 MiB of output.", name);
    if (o->rc)
        return fail(c, o->rc, "%s: its output", name);
    if (signals_sent)
        return fail(c, -ETIMEDOUT,
                    "%s: ended after %u.%03u s without an answer%s%s.", name,
                    timeout_ms / 1000, timeout_ms % 1000, sep, o->last);
    if (end->error)
        return fail(c, -EIO, "%s: cannot be run: %s.", p->path,
                    strerror(end->error));
    if (WIFSIGNALED(end->status))
        return fail(c, -EIO, "%s: killed by signal %d%s%s.", name,
                    WTERMSIG(end->status), sep, o->last);
    if (WEXITSTATUS(end->status))
        return fail(c, -EIO, "%s: exit status %d%s%s.", name,
                    WEXITSTATUS(end->status), sep, o->last);
    return 0;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Starts @p and sees it through. @ours and @theirs are closed. */
static int run(struct ckpt *c, struct program *p, int *ours, int *theirs,
               struct output *o, unsigned timeout_ms)
{
    struct end end = {0, 0};
    int signals_sent = 0;
    pid_t pid;
    int rc;

    rc = find_program(c, p);
    if (!rc)
        rc = make_env(c, p);
    if (!rc)
        rc = start(c, p, theirs[END], &pid);
    if (rc)
        return rc;
    for (int i = 0; i < NR_PIPES; i++)
        close_one(&theirs[i]);
    follow(c, p->argv[0], pid, ours, o, now_us() + timeout_ms * (uint64_t)1000,
           &signals_sent);
    end_line(c, p->argv[0], o);
    /* Nothing there: the supervisor was killed. */
    if (read(ours[END], &end, sizeof(end)) != (ssize_t)sizeof(end))
        end.status = SIGKILL;
    while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
        ;
    return judge(c, p, o, &end, signals_sent, timeout_ms);
}

/* A pipe whose reading end does not block; ends[0] ours, ends[1] the child's. */
static int make_pipe(int *ours, int *theirs)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *ours = ends[0];
    *theirs = ends[1];
    return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* With @o NULL its stderr is ours and nobody wants its output. */
static int prepare_and_run(struct ckpt *c, struct program *p, struct output *o,
                           unsigned timeout_ms)
{
    int ours[NR_PIPES] = {-1, -1, -1}, theirs[NR_PIPES] = {-1, -1, -1};
    struct output none = {.room_bytes = 0};
    int null_fd;
    int rc;

    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0)
        return fail(c, -errno, "/dev/null");
    rc = make_pipe(&ours[END], &theirs[END]);
    if (!rc && o)
        rc = make_pipe(&ours[ERR], &theirs[ERR]);
    if (!rc && o && o->text)
        rc = make_pipe(&ours[OUT], &theirs[OUT]);
    if (rc) {
        fail(c, rc, "%s: a pipe", p->argv[0]);
        goto out;
    }
    p->fds[0] = null_fd;
    p->fds[1] = p->out_fd ? p->out_fd : o && o->text ? theirs[OUT] : null_fd;
    if (o)
        p->fds[2] = theirs[ERR];
    else
        p->fds[2] = fcntl(2, F_GETFD) < 0 ? null_fd : 2;
    rc = run(c, p, ours, theirs, o ? o : &none, timeout_ms);
out:
    for (int i = 0; i < NR_PIPES; i++) {
        close_one(&ours[i]);
        close_one(&theirs[i]);
    }
    close(null_fd);
    free(p->envp);
    return rc;
}

int spawn_run(struct ckpt *c, const char *const argv[], unsigned timeout_ms,
              char **out_out)
{
    struct program p = {.argv = argv, .nr_fds = 3};
    struct output o = {.room_bytes = 4096};
    int rc;

    if (out_out) {
        o.text = calloc(1, o.room_bytes);
        if (!o.text)
            return fail(c, -ENOMEM, "%s", argv[0]);
    }
    rc = prepare_and_run(c, &p, &o, timeout_ms);
    if (!rc && out_out)
        *out_out = o.text;
    else
        free(o.text);
    return rc;
}

int spawn_run_to(struct ckpt *c, const char *const argv[], unsigned timeout_ms,
                 int fd)
{
    struct program p = {.argv = argv, .nr_fds = 3, .out_fd = fd};
    struct output o = {.room_bytes = 0};

    return prepare_and_run(c, &p, &o, timeout_ms);
}

int spawn_daemon(struct ckpt *c, const char *const argv[], const int *fds,
                 unsigned nr_fds, unsigned timeout_ms)
{
    struct program p = {.argv = argv, .is_daemon = true};

    if (nr_fds > SPAWN_FDS_MAX)
        return fail(c, -EINVAL, "%s: %u descriptors", argv[0], nr_fds);
    for (unsigned i = 0; i < nr_fds; i++)
        p.fds[3 + i] = fds[i];
    p.nr_fds = 3 + (int)nr_fds;
    return prepare_and_run(c, &p, NULL, timeout_ms);
}
