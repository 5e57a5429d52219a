/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What can be counted, in Prometheus' text format.  The number of series is
 * bounded: operations by outcome, running jobs, and the figures of at most
 * FRONT_STATS domains.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front.h"

enum {
    OUTCOME_DONE,
    OUTCOME_FAILED,
    OUTCOME_CANCELLED,
    OUTCOME_NR
};
static const char *const outcomes[] = {"done", "failed", "cancelled"};

struct metrics {
    uint64_t jobs[VERB_NR][4][OUTCOME_NR]; /* by operation, origin, outcome */
    double seconds[VERB_NR];
    uint64_t pause_us_sum[VERB_NR], pause_us_last[VERB_NR];
    uint64_t stored_bytes;
    uint64_t guest_requests, guest_events_dropped, guest_refused;
    uint64_t domains_seen;
    struct wire_stat stat[FRONT_STATS];
    size_t nr_stats;
};

struct metrics *metrics_new(void)
{
    return calloc(1, sizeof(struct metrics));
}

void metrics_free(struct metrics *x)
{
    free(x);
}

/* Counted once, in the step to an end. */
void metrics_job(struct metrics *x, const struct wire_job *before,
                 const struct wire_job *now)
{
    if (now->state < JOB_DONE || !before->id || before->state >= JOB_DONE ||
        now->origin > ORIGIN_DAEMON)
        return;
    x->jobs[now->verb][now->origin][now->state - JOB_DONE]++;
    if (now->started_us)
        x->seconds[now->verb] +=
            (double)(now->ended_us - now->started_us) / 1e6;
    if (now->state != JOB_DONE)
        return;
    x->pause_us_sum[now->verb] += now->pause_us;
    x->pause_us_last[now->verb] = now->pause_us;
    if (now->verb == VERB_TAKE)
        x->stored_bytes += now->stored_bytes;
}

static void add_stat(struct metrics *x, const struct wire_stat *s)
{
    if (!s->count) { /* what follows is new */
        x->nr_stats = 0;
        return;
    }
    for (size_t i = 0; i < x->nr_stats; i++) {
        struct wire_stat *o = &x->stat[i];

        if (strcmp(o->uuid, s->uuid))
            continue;
        o->count += s->count;
        o->bytes += s->bytes;
        if (s->oldest_us < o->oldest_us)
            o->oldest_us = s->oldest_us;
        if (s->newest_us > o->newest_us)
            o->newest_us = s->newest_us;
        return;
    }
    if (x->nr_stats < FRONT_STATS)
        x->stat[x->nr_stats++] = *s;
}

void metrics_wire(struct metrics *x, const struct wire *m)
{
    if (m->type == WIRE_STAT) {
        add_stat(x, &m->u.stat);
    } else if (m->type == WIRE_GUEST) {
        x->guest_requests++;
        x->guest_events_dropped += m->u.guest.dropped;
    } else if (m->type == WIRE_ANSWER) {
        x->guest_refused += !strncmp(m->u.answer.result, "refused", 7);
    } else if (m->type == WIRE_DOMAIN) {
        x->domains_seen += m->u.domain.is_present;
    }
}

/* A label's value: quotes and backslashes escaped, the rest as '?'. */
static const char *label(const char *s, char out[2 * TEXT_NAME])
{
    size_t n = 0;

    for (; *s && n < 2 * TEXT_NAME - 3; s++) {
        if (*s == '"' || *s == '\\')
            out[n++] = '\\';
        out[n++] =
            (unsigned char)*s < ' ' || (unsigned char)*s > 126 ? '?' : *s;
    }
    out[n] = '\0';
    return out;
}

static void head(FILE *f, const char *name, const char *type, const char *help)
{
    fprintf(f, "# HELP ckptd_%s %s\n# TYPE ckptd_%s %s\n", name, help, name,
            type);
}

static void put_jobs(const struct metrics *x, FILE *f)
{
    head(f, "jobs_total", "counter", "Jobs that have ended.");
    for (uint32_t v = 0; v < VERB_NR; v++)
        for (uint32_t o = 0; o < 4; o++)
            for (uint32_t e = 0; e < OUTCOME_NR; e++)
                if (x->jobs[v][o][e])
                    fprintf(f,
                            "ckptd_jobs_total{operation=\"%s\",origin=\"%s\","
                            "outcome=\"%s\"} %" PRIu64 "\n",
                            verb_name(v), origin_name(o), outcomes[e],
                            x->jobs[v][o][e]);
    head(f, "job_seconds_total", "counter", "Time jobs have run.");
    for (uint32_t v = 0; v < VERB_NR; v++)
        fprintf(f, "ckptd_job_seconds_total{operation=\"%s\"} %.6f\n",
                verb_name(v), x->seconds[v]);
    head(f, "pause_seconds_total", "counter",
         "Time guests stood still for checkpoints and rollbacks.");
    fprintf(f, "ckptd_pause_seconds_total{operation=\"take\"} %.6f\n",
            (double)x->pause_us_sum[VERB_TAKE] / 1e6);
    fprintf(f, "ckptd_pause_seconds_total{operation=\"rollback\"} %.6f\n",
            (double)x->pause_us_sum[VERB_ROLLBACK] / 1e6);
    head(f, "pause_seconds", "gauge", "How long the last one was.");
    fprintf(f, "ckptd_pause_seconds{operation=\"take\"} %.6f\n",
            (double)x->pause_us_last[VERB_TAKE] / 1e6);
    head(f, "stored_bytes_total", "counter", "Bytes takes have stored.");
    fprintf(f, "ckptd_stored_bytes_total %" PRIu64 "\n", x->stored_bytes);
}

/* One line a job that runs, of what @what asks for. */
static void put_each(const struct front *fr, FILE *f, const char *name,
                     const char *what)
{
    char domain[2 * TEXT_NAME], group[2 * TEXT_NAME];

    for (size_t i = 0; i < fr->nr_jobs; i++) {
        const struct wire_job *w = &fr->jobs[i].w;

        if (w->state != JOB_RUNNING || verb_is_short(w->verb))
            continue;
        fprintf(f,
                "ckptd_%s{job=\"%" PRIu64 "\",operation=\"%s\",domain=\"%s\""
                ",group=\"%s\"",
                name, w->id, verb_name(w->verb), label(w->domain, domain),
                label(w->group, group));
        if (!what)
            fprintf(f, "} %.3f\n", (double)w->remaining_ms / 1e3);
        else
            fprintf(f, ",what=\"%s\"} %" PRIu64 "\n", what,
                    *what == 'd' ? w->done_bytes : w->total_bytes);
    }
}

static void put_running(const struct front *fr, FILE *f)
{
    unsigned nr[2] = {0, 0};

    for (size_t i = 0; i < fr->nr_jobs; i++)
        if (fr->jobs[i].w.state < JOB_DONE)
            nr[fr->jobs[i].w.state == JOB_QUEUED]++;
    head(f, "jobs_active", "gauge", "Jobs that run or wait.");
    fprintf(f,
            "ckptd_jobs_active{state=\"running\"} %u\n"
            "ckptd_jobs_active{state=\"queued\"} %u\n",
            nr[0], nr[1]);
    head(f, "job_bytes", "gauge", "Progress of the jobs that run.");
    put_each(fr, f, "job_bytes", "done");
    put_each(fr, f, "job_bytes", "total");
    head(f, "job_remaining_seconds", "gauge", "Time left; 0: not known.");
    put_each(fr, f, "job_remaining_seconds", NULL);
}

static void put_guests(const struct metrics *x, FILE *f)
{
    head(f, "guest_requests_total", "counter",
         "Requests of guests that were looked at.");
    fprintf(f, "ckptd_guest_requests_total %" PRIu64 "\n", x->guest_requests);
    head(f, "guest_events_dropped_total", "counter",
         "Writes of guests that were too many to be looked at.");
    fprintf(f, "ckptd_guest_events_dropped_total %" PRIu64 "\n",
            x->guest_events_dropped);
    head(f, "guest_refused_total", "counter",
         "Requests of guests that the policy refused.");
    fprintf(f, "ckptd_guest_refused_total %" PRIu64 "\n", x->guest_refused);
}

static void put_stats(const struct metrics *x, FILE *f)
{
    static const struct {
        const char *name, *help;
    } kinds[] = {
        {"checkpoints", "Checkpoints of a domain in the store."},
        {"checkpoint_bytes", "Bytes they take."},
        {"oldest_checkpoint_timestamp_seconds", "When the oldest was taken."},
        {"newest_checkpoint_timestamp_seconds", "When the newest was taken."},
    };
    char name[2 * TEXT_NAME];

    for (size_t k = 0; k < 4; k++) {
        head(f, kinds[k].name, "gauge", kinds[k].help);
        for (size_t i = 0; i < x->nr_stats; i++) {
            const struct wire_stat *s = &x->stat[i];

            fprintf(f, "ckptd_%s{domain=\"%s\",uuid=\"%s\"} ", kinds[k].name,
                    label(s->name, name), s->uuid);
            if (k < 2)
                fprintf(f, "%" PRIu64 "\n", k ? s->bytes : s->count);
            else
                fprintf(f, "%.3f\n",
                        (double)(k == 2 ? s->oldest_us : s->newest_us) / 1e6);
        }
    }
}

char *metrics_text(struct front *fr)
{
    char *text = NULL;
    size_t len;
    unsigned nr = 0;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return NULL;
    head(f, "info", "gauge", "The version that runs.");
    fprintf(f, "ckptd_info{version=\"%s\"} 1\n", CKPT_VERSION);
    put_jobs(fr->metrics, f);
    put_running(fr, f);
    put_guests(fr->metrics, f);
    put_stats(fr->metrics, f);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        nr += fr->clients[i] != NULL;
    head(f, "clients", "gauge", "Clients on the socket.");
    fprintf(f, "ckptd_clients %u\n", nr);
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}
