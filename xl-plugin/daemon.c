/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A client of docs/specs/socket.md: one connection, one job.  Events of the
 * job are its progress; a signal becomes job.cancel; the reply to job.wait is
 * its end.
 */
#include "daemon.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xentoollog.h>

#include "daemon_fill.h"
#include "exit_codes.h"
#include "signals.h"

#define SOCKET_DEFAULT "/run/ckptd.sock"
#define LINE_MAX_BYTES (4u << 20)
#define ANSWER_TURNS 10u /* a daemon that does not answer for so long is none */
#define TURN_MS 500 /* a signal that came just before poll() waits so long */
enum {
    ID_INFO = 1,
    ID_EVENTS,
    ID_SUBMIT,
    ID_WAIT,
    ID_CANCEL
};

struct daemon {
    int fd;
    char *line; /* owned: what has come and is not taken yet */
    size_t len, room;
};

static void say(struct job *job, const char *what, const char *why)
{
    xtl_log(job->log, XTL_INFO, -1, "ckptd", "%s%s%s", what,
            why[0] ? ": " : "", why);
}

static int connect_to(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct ucred cred = {0, 0, 0};
    socklen_t len = sizeof(cred);
    int fd, rc;

    if (strlen(path) >= sizeof(at.sun_path))
        return -ENAMETOOLONG;
    strcpy(at.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (!connect(fd, (struct sockaddr *)&at, sizeof(at)) &&
        !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
        /* Who else listens there is not to be told what root wants. */
        if (cred.uid == 0 || cred.uid == geteuid())
            return fd;
        errno = EPERM;
    }
    rc = -errno;
    close(fd);
    return rc;
}

/* --- lines --------------------------------------------------------------------- */

/* {"jsonrpc":"2.0","id":ID,"method":METHOD,"params":{...}}; @params is taken,
 * its object still open. */
static int ask(struct daemon *d, int id, const char *method,
               struct json *params)
{
    char *object = NULL, *text;
    size_t len = 0, done = 0;
    ssize_t n = 0;
    FILE *f = open_memstream(&object, &len);
    int rc = f && params ? json_write(params, f) : -ENOMEM;

    json_free(params);
    if (f)
        fclose(f);
    if (!rc && asprintf(&text,
                        "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"%s\","
                        "\"params\":%s}\n",
                        id, method, object) < 0)
        rc = -ENOMEM;
    free(object);
    if (rc)
        return rc;
    for (len = strlen(text); done < len && n >= 0; done += (size_t)n) {
        do
            n = send(d->fd, text + done, len - done, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            break;
    }
    rc = n < 0 ? -errno : 0;
    free(text);
    return rc;
}

/* -EAGAIN: nothing for a while, or a signal. */
static int read_more(struct daemon *d)
{
    struct pollfd p = {.fd = d->fd, .events = POLLIN};
    size_t room = d->room ? d->room * 2 : 4096;
    char *line;
    ssize_t n;

    if (d->len == d->room) {
        line = room <= LINE_MAX_BYTES ? realloc(d->line, room) : NULL;
        if (!line)
            return -ENOMEM;
        d->line = line;
        d->room = room;
    }
    if (poll(&p, 1, TURN_MS) <= 0)
        return -EAGAIN;
    n = recv(d->fd, d->line + d->len, d->room - d->len, 0);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    d->len += (size_t)n;
    return n ? 0 : -EPIPE;
}

/* One object, owned by the caller. */
static int next(struct daemon *d, yajl_val *tree_out)
{
    char *end = d->len ? memchr(d->line, '\n', d->len) : NULL;
    int rc = 0;

    while (!end && !rc) {
        rc = read_more(d);
        end = d->len ? memchr(d->line, '\n', d->len) : NULL;
    }
    if (!end)
        return rc;
    *end = '\0';
    *tree_out = yajl_tree_parse(d->line, NULL, 0);
    d->len -= (size_t)(end + 1 - d->line);
    memmove(d->line, end + 1, d->len);
    return *tree_out ? 0 : -EPROTO;
}

/* --- one job ---------------------------------------------------------------------- */

static void show(struct job *job, yajl_val event)
{
    yajl_val p = fill_member(fill_member(fill_member(event, "params"), "job"),
                             "progress");
    const struct ckpt_progress now = {
        .phase = fill_text(p, "phase"),
        .done_bytes = fill_number(p, "done_bytes"),
        .total_bytes = fill_number(p, "total_bytes"),
        .elapsed_us = fill_number(p, "elapsed_us"),
    };

    if (now.phase[0])
        progress_show(&job->progress, &now);
}

/* The words, and the errno whose exit status it is. */
static int take_error(struct job *job, yajl_val error, const char *code)
{
    static const int known[] = {EINVAL,  ENOENT,    EEXIST, EBUSY,
                                ENOTSUP, ENOSPC,    ENOMEM, ETIMEDOUT,
                                EUCLEAN, ECANCELED, EPERM,  ENOBUFS};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (!strcmp(exit_code_of(-known[i])->name, code))
            return job_fail(job, -known[i], "%s", fill_text(error, "message"));
    return job_fail(job, -EIO, "%s", fill_text(error, "message"));
}

static struct json *with_job(uint64_t id)
{
    struct json *j = json_new_line();

    if (j)
        json_number(j, "job", id);
    return j;
}

struct run {
    uint64_t id; /* of the job; 0: not accepted yet */
    bool is_cancelled;
    int rc;
};

/* What one object means: 1, it was the end, and the result is in it. */
static int take(struct job *job, struct run *r, yajl_val tree)
{
    yajl_val result = fill_member(tree, "result"),
             error = fill_member(tree, "error"), at;
    uint64_t id = fill_number(tree, "id");

    if (!id) {
        at = fill_member(fill_member(tree, "params"), "job");
        if (r->id && fill_number(at, "id") == r->id)
            show(job, tree);
        return 0;
    }
    if (YAJL_IS_OBJECT(error) && (id == ID_SUBMIT || id == ID_WAIT))
        return take_error(job, error,
                          fill_text(fill_member(error, "data"), "code"));
    at = fill_member(result, "job");
    if (id == ID_SUBMIT) {
        r->id = fill_number(at, "id");
        return ask(job->daemon, ID_WAIT, "job.wait", with_job(r->id));
    }
    if (id != ID_WAIT)
        return 0;
    error = fill_member(at, "error");
    return YAJL_IS_OBJECT(error)
               ? take_error(job, error, fill_text(error, "code"))
               : 1;
}

/* Runs @method; *tree_out (owned) has the reply to job.wait. */
static int run(struct job *job, const char *method, struct json *params,
               yajl_val *tree_out)
{
    struct daemon *d = job->daemon;
    struct json *events = json_new_line();
    struct run r = {.id = 0};
    int rc;

    *tree_out = NULL;
    if (events)
        json_bool(events, "progress", job->progress.is_on);
    rc = ask(d, ID_EVENTS, "event.subscribe", events);
    if (rc)
        json_free(params);
    else
        rc = ask(d, ID_SUBMIT, method, params);
    while (!rc) {
        if (signals_seen() && r.id && !r.is_cancelled) {
            r.is_cancelled = job->progress.is_stopping = true;
            ask(d, ID_CANCEL, "job.cancel", with_job(r.id));
        }
        yajl_tree_free(*tree_out);
        *tree_out = NULL;
        rc = next(d, tree_out);
        rc = rc == -EAGAIN ? 0 : rc ? rc : take(job, &r, *tree_out);
    }
    if (rc == 1)
        return 0;
    yajl_tree_free(*tree_out);
    *tree_out = NULL;
    /* The job goes on, or is undone, without us: that is all we know. */
    return job_fail(job, rc, "ckptd: %s; see its log and job.list",
                    strerror(-rc));
}

/* --- the operations ------------------------------------------------------------------ */

/* The reply has the job and, beside it, the job's own result. */
static yajl_val result_of(yajl_val tree)
{
    return fill_member(fill_member(tree, "result"), "result");
}

static void put(struct json *j, const char *key, const char *value)
{
    if (j && value)
        json_text(j, key, value);
}

static void put_flag(struct json *j, const char *key, unsigned is_set)
{
    if (j && is_set)
        json_bool(j, key, true);
}

static void put_list(struct json *j, const char *key, const char *const *list,
                     size_t nr)
{
    if (!j)
        return;
    json_open_array(j, key);
    for (size_t i = 0; i < nr; i++)
        json_text(j, NULL, list[i]);
    json_close_array(j);
}

static void put_take(struct json *j, const struct ckpt_take_opts *o)
{
    size_t nr = 0;

    put(j, "name", o->name);
    put(j, "description", o->description);
    while (o->exclude_disks && o->exclude_disks[nr])
        nr++;
    if (nr)
        put_list(j, "exclude_disks", o->exclude_disks, nr);
    put_flag(j, "disk_only", o->flags & CKPT_TAKE_DISK_ONLY);
    put_flag(j, "paused", o->flags & CKPT_TAKE_LEAVE_PAUSED);
    put_flag(j, "quiesce", o->flags & CKPT_TAKE_QUIESCE);
    put_flag(j, "no_track", o->flags & CKPT_TAKE_NO_TRACK);
    if (j && o->suspend_timeout_ms)
        json_number(j, "timeout_ms", o->suspend_timeout_ms);
    if (j && o->ring_mib)
        json_number(j, "ring_mib", o->ring_mib);
    if (o->when_full)
        put(j, "when_full",
            o->when_full == CKPT_WHEN_FULL_WAIT ? "wait" : "give-up");
}

static int not_understood(struct job *job, int rc)
{
    return rc ? job_fail(job, rc, "ckptd: its answer is not understood") : 0;
}

int job_take(struct job *job, const char *domain,
             const struct ckpt_take_opts *o, struct ckpt_info *info)
{
    struct json *j;
    yajl_val tree;
    int rc;

    if (!job->daemon) {
        rc = ckpt_take(job->c, domain, o, info);
        return rc < 0 ? job_failed(job, rc) : 0;
    }
    j = json_new_line();
    put(j, "domain", domain);
    put_take(j, o);
    rc = run(job, "checkpoint.take", j, &tree);
    if (rc)
        return rc;
    rc = fill_info(fill_member(result_of(tree), "checkpoint"), info);
    yajl_tree_free(tree);
    if (rc)
        ckpt_info_fini(info);
    return not_understood(job, rc);
}

static int take_group_alone(struct job *job, const char *group,
                            const char *const *domains, size_t nr,
                            const struct ckpt_take_opts *o,
                            struct ckpt_info *infos)
{
    struct ckpt_take_opts of[CKPT_GROUP_MAX];
    int rc;

    for (size_t i = 0; i < CKPT_GROUP_MAX; i++)
        of[i] = *o;
    rc = ckpt_take_group(job->c, group, domains, nr, of, infos);
    return rc < 0 ? job_failed(job, rc) : 0;
}

int job_take_group(struct job *job, const char *group,
                   const char *const *domains, size_t nr,
                   const struct ckpt_take_opts *o, struct ckpt_info *infos)
{
    size_t filled = 0;
    yajl_val tree, list;
    struct json *j;
    int rc;

    if (!job->daemon)
        return take_group_alone(job, group, domains, nr, o, infos);
    j = json_new_line();
    put(j, "group", group);
    put_list(j, "domains", domains, nr);
    put_take(j, o);
    rc = run(job, "checkpoint.group", j, &tree);
    if (rc)
        return rc;
    list = fill_member(result_of(tree), "checkpoints");
    if (!YAJL_IS_ARRAY(list) || list->u.array.len != nr)
        rc = -EPROTO;
    while (!rc && filled < nr) {
        rc = fill_info(list->u.array.values[filled], &infos[filled]);
        filled++;
    }
    yajl_tree_free(tree);
    while (rc && filled)
        ckpt_info_fini(&infos[--filled]);
    return not_understood(job, rc);
}

int job_rollback(struct job *job, const char *domain, const char *checkpoint,
                 const struct ckpt_rollback_opts *o, struct ckpt_domain *dom)
{
    struct json *j;
    yajl_val tree;
    int rc;

    if (!job->daemon) {
        rc = ckpt_rollback(job->c, domain, checkpoint, o, dom);
        return rc < 0 ? job_failed(job, rc) : 0;
    }
    j = json_new_line();
    put(j, "domain", domain);
    put(j, "checkpoint", checkpoint);
    put_flag(j, "paused", o->flags & CKPT_ROLLBACK_LEAVE_PAUSED);
    put_flag(j, "destroy_first", o->flags & CKPT_ROLLBACK_DESTROY_FIRST);
    rc = run(job, "checkpoint.rollback", j, &tree);
    if (rc)
        return rc;
    rc = fill_domain(fill_member(result_of(tree), "domain"), dom);
    yajl_tree_free(tree);
    return not_understood(job, rc);
}

int job_fork(struct job *job, const char *source,
             const struct ckpt_fork_opts *o, struct ckpt_domain *doms,
             unsigned *nr_out)
{
    yajl_val tree, list;
    struct json *j;
    int rc;

    *nr_out = 0;
    if (!job->daemon) {
        rc = ckpt_fork(job->c, source, o, doms, nr_out);
        return rc < 0 ? job_failed(job, rc) : 0;
    }
    j = json_new_line();
    put(j, "domain", source); /* a domain wins, as in the library */
    put(j, "name", o->name);
    if (j && o->count)
        json_number(j, "count", o->count);
    put_flag(j, "paused", o->flags & CKPT_FORK_LEAVE_PAUSED);
    if (j && o->suspend_timeout_ms)
        json_number(j, "timeout_ms", o->suspend_timeout_ms);
    rc = run(job, "checkpoint.fork", j, &tree);
    if (rc)
        return rc;
    list = fill_member(result_of(tree), "domains");
    for (size_t i = 0; !rc && YAJL_IS_ARRAY(list) && i < list->u.array.len &&
                       i < (o->count ? o->count : 1);
         i++)
        rc = fill_domain(list->u.array.values[i], &doms[(*nr_out)++]);
    yajl_tree_free(tree);
    return not_understood(job, rc);
}

/* --- is there one? ---------------------------------------------------------------------- */

/* Whether it lets us; else we try alone, and fail alone. */
static bool may_operate(struct daemon *d)
{
    yajl_val tree = NULL;
    const char *right;
    bool may;
    int rc = ask(d, ID_INFO, "daemon.info", json_new_line());

    /* It answers at once, but on a busy machine. */
    if (!rc)
        rc = -EAGAIN;
    for (unsigned i = 0; rc == -EAGAIN && i < ANSWER_TURNS && !signals_seen();
         i++)
        rc = next(d, &tree);
    if (rc)
        return false;
    right = fill_text(fill_member(tree, "result"), "right");
    may = !strcmp(right, "operate") || !strcmp(right, "admin");
    yajl_tree_free(tree);
    return may;
}

void daemon_find(struct job *job)
{
    const char *path = secure_getenv("CKPTD_SOCKET");
    struct daemon *d;

    if (job->args.store || secure_getenv("CKPT_STORE"))
        return; /* not the daemon's */
    d = calloc(1, sizeof(*d));
    if (!d)
        return;
    d->fd = connect_to(path ? path : SOCKET_DEFAULT);
    if (d->fd < 0) {
        say(job, "does not run, working alone", strerror(-d->fd));
        free(d);
        return;
    }
    job->daemon = d;
    if (may_operate(d)) {
        say(job, "runs, and does the work", "");
        return;
    }
    say(job, "runs, but not for you; working alone", "");
    daemon_close(job);
}

void daemon_close(struct job *job)
{
    if (!job->daemon)
        return;
    close(job->daemon->fd);
    free(job->daemon->line);
    free(job->daemon);
    job->daemon = NULL;
}
