/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A hook is root's own program, so it must be root's file and nobody else's to
 * write.  It gets a session of its own; at the end of its time the whole of it
 * is killed.  What it writes is kept as far as one line, for the error.
 */
#include "hooks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit.h"
#include "log.h"

#define NR_HOOKS_MAX 64

struct hooks {
    struct daemon *d;
    const char *phase, *operation; /* static storage */
    char **jsons; /* owned */
    size_t nth, len, sent;
    hooks_done_fn *done;
    void *arg;
    struct dirent **names;
    int nr, at;
    bool is_pre, is_inside; /* hooks_run() has not returned yet */
    bool is_late, is_over;
    pid_t pid;
    int in, out;
    ev_io in_io, out_io;
    ev_timer limit;
    char line[200], why[360];
    size_t line_len;
};

static int is_name(const struct dirent *e)
{
    size_t len = strlen(e->d_name);

    return e->d_name[0] != '.' && len && e->d_name[len - 1] != '~';
}

/* Executable, root's (or ours), and nobody else can change it. */
static bool is_trusted(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR))
        return false;
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || st.st_mode & 022) {
        log_msg(LOG_ERR, "%s: not run, others than root could change it", path);
        return false;
    }
    return true;
}

static void close_pipes(struct hooks *h)
{
    ev_io_stop(h->d->loop, &h->in_io);
    ev_io_stop(h->d->loop, &h->out_io);
    if (h->in >= 0)
        close(h->in);
    if (h->out >= 0)
        close(h->out);
    h->in = h->out = -1;
}

static void free_jsons(char **jsons)
{
    for (size_t i = 0; jsons && jsons[i]; i++)
        free(jsons[i]);
    free(jsons);
}

static void hooks_free(struct hooks *h)
{
    close_pipes(h);
    ev_timer_stop(h->d->loop, &h->limit);
    for (int i = 0; i < h->nr; i++)
        free(h->names[i]);
    free(h->names);
    free_jsons(h->jsons);
    free(h);
}

void hooks_stop(struct hooks *h)
{
    if (!h)
        return;
    if (h->pid > 0)
        kill(-h->pid, SIGKILL);
    hooks_free(h);
}

static void over(struct hooks *h, const char *why)
{
    h->is_over = true;
    h->done(h->arg, h->nth, why);
    if (!h->is_inside)
        hooks_free(h);
}

/* What it writes: the last line is kept, the rest goes by. */
static void on_output(struct ev_loop *loop, ev_io *io, int events)
{
    struct hooks *h = io->data;
    char text[1024];
    ssize_t n = read(h->out, text, sizeof(text));

    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        ev_io_stop(loop, io);
    for (ssize_t i = 0; i < n; i++) {
        if (text[i] == '\n') {
            h->line[h->line_len] = '\0';
            h->line_len = 0;
        } else if (h->line_len < sizeof(h->line) - 1) {
            h->line[h->line_len++] = text[i];
            h->line[h->line_len] = '\0';
        }
    }
}

static void on_input(struct ev_loop *loop, ev_io *io, int events)
{
    struct hooks *h = io->data;
    ssize_t n = write(h->in, h->jsons[h->nth] + h->sent, h->len - h->sent);

    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        h->sent += (size_t)n;
    if (n < 0 || h->sent == h->len) { /* one that does not read is fine */
        ev_io_stop(loop, io);
        close(h->in);
        h->in = -1;
    }
}

static void on_limit(struct ev_loop *loop, ev_timer *w, int events)
{
    struct hooks *h = w->data;

    (void)loop, (void)events;
    h->is_late = true;
    kill(-h->pid, SIGKILL); /* its end is seen like any other */
}

/* In the child, between fork and exec: spawn_with() puts descriptors at 3 and
 * up, a hook wants them at 0 to 2. */
static _Noreturn void become_hook(const char *path, const struct hooks *h,
                                  int in, int out)
{
    char *argv[] = {(char *)(uintptr_t)path, (char *)(uintptr_t)h->phase,
                    (char *)(uintptr_t)h->operation, NULL};
    char *envp[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                    (char *)"LC_ALL=C", NULL};
    sigset_t none;

    setsid();
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(126);
    execve(path, argv, envp);
    _exit(127);
}

static int start_one(struct hooks *h, const char *path)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ||
        (h->pid = fork()) < 0) {
        for (int i = 0; i < 2; i++) {
            if (in[i] >= 0)
                close(in[i]);
            if (out[i] >= 0)
                close(out[i]);
        }
        h->pid = 0;
        return -errno;
    }
    if (!h->pid)
        become_hook(path, h, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    h->in = in[1];
    h->out = out[0];
    fcntl(h->in, F_SETFL, O_NONBLOCK);
    fcntl(h->out, F_SETFL, O_NONBLOCK);
    h->len = strlen(h->jsons[h->nth]);
    h->sent = h->line_len = 0;
    h->line[0] = '\0';
    h->is_late = false;
    ev_io_set(&h->in_io, h->in, EV_WRITE);
    ev_io_set(&h->out_io, h->out, EV_READ);
    ev_io_start(h->d->loop, &h->in_io);
    ev_io_start(h->d->loop, &h->out_io);
    ev_timer_set(&h->limit, (double)h->d->conf.hook_timeout_s, 0.);
    ev_timer_start(h->d->loop, &h->limit);
    return 0;
}

/* The next hook, or the first one again for the next object. */
static bool has_next(struct hooks *h)
{
    if (h->at < h->nr)
        return true;
    if (!h->nr || !h->jsons[h->nth + 1])
        return false;
    h->nth++;
    h->at = 0;
    return true;
}

static void next(struct hooks *h)
{
    char path[512];
    int rc;

    while (has_next(h)) {
        snprintf(path, sizeof(path), "%.255s/%.255s", h->d->conf.hooks_dir,
                 h->names[h->at]->d_name);
        h->at++;
        if (!is_trusted(path))
            continue;
        rc = start_one(h, path);
        if (!rc)
            return;
        log_msg(LOG_ERR, "%s: %s", path, strerror(-rc));
        if (h->is_pre) {
            snprintf(h->why, sizeof(h->why), "Hook %.100s cannot be run.",
                     h->names[h->at - 1]->d_name);
            over(h, h->why);
            return;
        }
    }
    over(h, NULL);
}

static void ended(struct hooks *h, int status)
{
    const char *name = h->names[h->at - 1]->d_name;

    on_output(h->d->loop, &h->out_io, EV_READ); /* its last words */
    ev_timer_stop(h->d->loop, &h->limit);
    close_pipes(h);
    /* Whatever it left in the background ends with it. */
    kill(-h->pid, SIGKILL);
    h->pid = 0;
    if (WIFEXITED(status) && !WEXITSTATUS(status)) {
        next(h);
        return;
    }
    if (h->is_late)
        snprintf(h->why, sizeof(h->why),
                 "Hook %.100s did not end within %llu s.", name,
                 (unsigned long long)h->d->conf.hook_timeout_s);
    else
        snprintf(h->why, sizeof(h->why), "Hook %.100s %s: %s", name,
                 h->is_pre ? "refused" : "failed",
                 h->line[0] ? h->line : "it said nothing");
    log_msg(LOG_WARNING, "%s %s: %s", h->phase, h->operation, h->why);
    if (h->is_pre)
        over(h, h->why);
    else
        next(h);
}

bool hooks_reaped(struct hooks *h, pid_t pid, int status)
{
    if (!h || h->pid != pid)
        return false;
    ended(h, status);
    return true;
}

struct hooks *hooks_run(struct daemon *d, const char *phase,
                        const struct wire_job *job,
                        const struct wire_task *task, hooks_done_fn *done,
                        void *arg)
{
    static const char *const no_memory = "Not enough memory for the hooks.";
    struct hooks *h = calloc(1, sizeof(*h));

    if (!h) {
        done(arg, 0, no_memory);
        return NULL;
    }
    h->d = d;
    h->phase = phase;
    h->operation = verb_name(job->verb);
    h->is_pre = !strcmp(phase, "pre");
    h->done = done;
    h->arg = arg;
    h->in = h->out = -1;
    ev_init(&h->in_io, on_input);
    ev_init(&h->out_io, on_output);
    ev_init(&h->limit, on_limit);
    h->in_io.data = h->out_io.data = h->limit.data = h;
    h->nr = d->conf.hooks_dir[0]
                ? scandir(d->conf.hooks_dir, &h->names, is_name, alphasort)
                : 0;
    if (h->nr < 0) /* mostly: there is no such folder */
        h->nr = 0;
    if (h->nr) /* mostly there is nobody to read them */
        h->jsons = audit_texts(phase, job, task);
    h->is_inside = true;
    if (h->nr && !h->jsons)
        over(h, no_memory);
    else if (h->nr > NR_HOOKS_MAX)
        over(h, "There are more than 64 hooks.");
    else
        next(h);
    h->is_inside = false;
    if (!h->is_over)
        return h;
    hooks_free(h);
    return NULL;
}
