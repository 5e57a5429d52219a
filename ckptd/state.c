/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Written to a temporary name and renamed, so that a kill leaves the old or
 * the new one; without fsync, which could keep the loop waiting for a busy
 * disk: after a power cut no guest is as it was, and an old rate or key does
 * no harm.
 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guests.h"
#include "jobs.h"
#include "log.h"

#define NAME "state"
#define HEAD "ckptd-state 1\n"
#define SOON_S 0.05
_Static_assert(TEXT_IDS == 544 && TEXT_NAME == 128 && TEXT_KEY == 64,
               "what read_key() takes");

/* A text without spaces and newlines; "-" for none. */
static const char *word(const char *s)
{
    return s[0] && !strpbrk(s, " \n") ? s : "-";
}

static void put_records(struct daemon *d, FILE *f)
{
    struct record *r;

    for (size_t i = 0; (r = guests_record_nth(d, i)); i++)
        fprintf(f, "guest %s %s %" PRId64 " %" PRId64 " %" PRId64 "\n", r->uuid,
                word(r->parent), r->tokens_milli, r->tokens_us, r->schedule_us);
}

/* What it was asked for; comes last, for it may have spaces. */
static void put_subject(const struct job *job, FILE *f)
{
    if (job->w.group[0])
        fprintf(f, "%c%s%c%s\n", DOMAIN_END, job->w.group, DOMAIN_END,
                job->w.domains);
    else if (job->task.checkpoint[0])
        fprintf(f, "%c%c%s%c%s\n", DOMAIN_END, DOMAIN_END, job->w.domain,
                DOMAIN_END, job->task.checkpoint);
    else
        fprintf(f, "%s\n", job->w.domain);
}

/* A job under way is written as one that was cut off: when that is read, it
 * was. */
static void put_keys(struct daemon *d, FILE *f)
{
    const struct job *job;

    for (size_t i = 0; (job = jobs_nth(d, i)); i++) {
        bool is_over = job->w.state >= JOB_DONE;

        if (!job->w.key[0])
            continue;
        fprintf(f, "key %u %s %u %d %d %s %s ", job->w.uid, word(job->w.key),
                job->w.verb, is_over ? (int)job->w.state : (int)JOB_FAILED,
                is_over ? job->w.rc : -ECONNABORTED, word(job->w.checkpoint),
                word(job->task.name));
        put_subject(job, f);
    }
}

static int write_all(struct daemon *d, int dir)
{
    FILE *f = NULL;
    int fd, rc = 0;

    fd = openat(dir, NAME ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                0600);
    if (fd < 0 || !(f = fdopen(fd, "w"))) {
        rc = -errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    fputs(HEAD, f);
    put_records(d, f);
    put_keys(d, f);
    if (ferror(f))
        rc = -EIO;
    if (fclose(f))
        rc = -errno;
    if (!rc && renameat(dir, NAME ".new", dir, NAME) < 0)
        rc = -errno;
    return rc;
}

void state_save(struct daemon *d)
{
    int dir, rc;

    dir = open(d->conf.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = dir < 0 ? -errno : write_all(d, dir);
    if (rc)
        log_msg(LOG_ERR, "%s: the state is not saved: %s", d->conf.state_dir,
                strerror(-rc));
    if (dir >= 0)
        close(dir);
}

static void on_state_due(struct ev_loop *loop, ev_timer *t, int events)
{
    (void)loop, (void)events;
    state_save(t->data);
}

void state_save_soon(struct daemon *d)
{
    if (ev_is_active(&d->state_due))
        return;
    ev_timer_init(&d->state_due, on_state_due, SOON_S, 0.);
    d->state_due.data = d;
    ev_timer_start(d->loop, &d->state_due);
}

static void undash(char *s)
{
    if (!strcmp(s, "-"))
        *s = '\0';
}

static bool read_guest(struct daemon *d, const char *line)
{
    struct record r = {.uuid = ""}, *at;

    if (sscanf(line, "guest %36s %36s %" SCNd64 " %" SCNd64 " %" SCNd64, r.uuid,
               r.parent, &r.tokens_milli, &r.tokens_us, &r.schedule_us) != 5)
        return false;
    undash(r.parent);
    at = guests_record(d, r.uuid);
    if (at)
        *at = r;
    return true;
}

/* "web", or of several "\tGROUP\tweb\tdb", or of a checkpoint
 * "\t\tweb\tCHECKPOINT". */
static void read_subject(const char *text, struct wire_task *task)
{
    if (*text != DOMAIN_END) {
        snprintf(task->domain, sizeof(task->domain), "%s", text);
        return;
    }
    if (!word_nth(++text, DOMAIN_END, 0, task->group, sizeof(task->group)))
        return;
    text += strlen(task->group);
    text += *text != 0;
    if (task->group[0]) {
        snprintf(task->domains, sizeof(task->domains), "%s", text);
    } else if (word_nth(text, DOMAIN_END, 0, task->domain,
                        sizeof(task->domain))) {
        text += strlen(task->domain);
        snprintf(task->checkpoint, sizeof(task->checkpoint), "%s",
                 text + (*text != 0));
    }
}

static bool read_key(struct daemon *d, const char *line)
{
    struct wire_job w = {.origin = ORIGIN_SOCKET};
    struct wire_task task = {.verb = 0};
    int at = 0;

    if (sscanf(line, "key %u %63s %u %u %d %543s %127s%n", &w.uid, w.key,
               &task.verb, &w.state, &w.rc, w.checkpoint, task.name,
               &at) != 7 ||
        !at || line[at] != ' ' || task.verb >= VERB_NR || w.state < JOB_DONE ||
        w.state > JOB_CANCELLED)
        return false;
    undash(w.checkpoint);
    undash(task.name);
    read_subject(line + at + 1, &task);
    if (w.rc == -ECONNABORTED)
        snprintf(w.words, sizeof(w.words),
                 "ckptd was ended while it ran: it was finished or undone. "
                 "Ask again with the same key.");
    jobs_remember(d, &w, &task);
    return true;
}

int state_load(struct daemon *d)
{
    char path[300], line[4096];
    unsigned nr = 1;
    FILE *f;

    if (mkdir(d->conf.state_dir, 0700) < 0 && errno != EEXIST) {
        log_msg(LOG_ERR, "%s: %s", d->conf.state_dir, strerror(errno));
        return -errno;
    }
    snprintf(path, sizeof(path), "%s/" NAME, d->conf.state_dir);
    f = fopen(path, "re");
    if (!f)
        return errno == ENOENT ? 0 : -errno;
    if (!fgets(line, sizeof(line), f) || strcmp(line, HEAD)) {
        log_msg(LOG_ERR, "%s is not ours or of a later version; not read",
                path);
        fclose(f);
        return -EUCLEAN;
    }
    while (fgets(line, sizeof(line), f)) {
        nr++;
        line[strcspn(line, "\n")] = '\0';
        if (!read_guest(d, line) && !read_key(d, line))
            log_msg(LOG_WARNING, "%s:%u: damaged, left out", path, nr);
    }
    fclose(f);
    return 0;
}
