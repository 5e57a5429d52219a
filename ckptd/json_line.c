/* SPDX-License-Identifier: LGPL-2.1-only */
#include "json_line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "exit_codes.h"
#include "text.h"

void line_put_text(struct json *j, const char *key, const char *value)
{
    char clean[2048];
    size_t nr = 0, len;
    uint32_t cp;

    for (; (len = text_decode(value, &cp)) > 0; value += len) {
        if (nr + len + 1 > sizeof(clean))
            break;
        if (cp == TEXT_INVALID || cp < ' ' || cp == 127) {
            clean[nr++] = '?';
        } else {
            memcpy(clean + nr, value, len);
            nr += len;
        }
    }
    clean[nr] = '\0';
    json_put_string(j, key, clean);
}

void line_put_time(struct json *j, const char *key, int64_t unix_us)
{
    char date[64], text[80];
    time_t t = (time_t)(unix_us / 1000000);
    struct tm tm;

    if (!unix_us || !gmtime_r(&t, &tm) ||
        !strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm)) {
        json_put_null(j, key);
        return;
    }
    snprintf(text, sizeof(text), "%s.%06uZ", date,
             (unsigned)(unix_us % 1000000));
    json_put_string(j, key, text);
}

void line_put_words(struct json *j, const char *key, const char *words,
                    char end)
{
    char word[TEXT_IDS];

    json_open_array(j, key);
    for (size_t n = 0; word_nth(words, end, n, word, sizeof(word)); n++)
        line_put_text(j, NULL, word);
    json_close_array(j);
}

const char *line_code(int rc)
{
    return exit_code_of(rc)->name;
}

static void put_progress(struct json *j, const struct wire_job *job)
{
    json_open_object(j, "progress");
    line_put_text(j, "phase", job->phase);
    json_put_u64(j, "done_bytes", job->done_bytes);
    if (job->total_bytes)
        json_put_u64(j, "total_bytes", job->total_bytes);
    else
        json_put_null(j, "total_bytes");
    json_put_u64(j, "elapsed_us", job->elapsed_us);
    json_put_u64(j, "rate_bytes_s", job->rate_bytes_s);
    if (job->remaining_ms)
        json_put_u64(j, "remaining_ms", job->remaining_ms);
    else
        json_put_null(j, "remaining_ms");
    json_close_object(j);
}

void line_put_job(struct json *j, const char *key, const struct wire_job *job)
{
    json_open_object(j, key);
    json_put_u64(j, "id", job->id);
    json_put_string(j, "operation", verb_name(job->verb));
    json_put_string(j, "state", job_state_name(job->state));
    json_put_string(j, "origin", origin_name(job->origin));
    json_put_u64(j, "uid", job->uid);
    line_put_text(j, "key", job->key);
    line_put_text(j, "domain", job->domain);
    line_put_text(j, "group", job->group);
    line_put_words(j, "domains", job->domains, DOMAIN_END);
    line_put_text(j, "checkpoint", job->group[0] ? "" : job->checkpoint);
    line_put_words(j, "checkpoints", job->checkpoint,
                   job->group[0] ? ID_END : '\n');
    line_put_time(j, "queued", job->queued_us);
    line_put_time(j, "started", job->started_us);
    line_put_time(j, "ended", job->ended_us);
    put_progress(j, job);
    if (job->state == JOB_FAILED || job->state == JOB_CANCELLED) {
        json_open_object(j, "error");
        json_put_string(j, "code", line_code(job->rc));
        json_put_u64(j, "exit", (uint64_t)exit_code_of(job->rc)->status);
        line_put_text(j, "message", job->words);
        json_close_object(j);
    } else {
        json_put_null(j, "error");
    }
    json_put_u64(j, "stored_bytes", job->stored_bytes);
    json_put_u64(j, "pause_us", job->pause_us);
    json_close_object(j);
}

void line_put_policy(struct json *j, const char *key, const struct policy *p)
{
    json_open_object(j, key);
    json_open_array(j, "guest_requests");
    for (unsigned n = 0; policy_request_name(n); n++)
        if (p->guest_requests & 1u << n)
            json_put_string(j, NULL, policy_request_name(n));
    json_close_array(j);
    json_put_u64(j, "guest_rate_hour", p->guest_rate_hour);
    json_put_u64(j, "guest_burst", p->guest_burst);
    json_put_u64(j, "guest_keep", p->guest_keep);
    json_put_u64(j, "guest_bytes", p->guest_bytes);
    json_put_bool(j, "guest_standby", p->guest_standby);
    json_put_u64(j, "fork_max", p->fork_max);
    json_put_bool(j, "fork_network", p->fork_network);
    json_put_u64(j, "quiesce_timeout_ms", p->quiesce_ms);
    json_put_bool(j, "schedule_quiesce", p->schedule_quiesce);
    json_put_u64(j, "schedule_s", p->schedule_s);
    json_put_string(j, "group", p->group);
    json_put_u64(j, "keep_count", p->keep_count);
    json_put_u64(j, "keep_age_s", p->keep_age_s);
    json_put_u64(j, "ring_mib", p->ring_mib);
    json_put_string(j, "when_full", p->give_up ? "give-up" : "wait");
    json_close_object(j);
}
