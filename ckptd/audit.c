/* SPDX-License-Identifier: LGPL-2.1-only */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ckpt.h"
#include "ctx.h"
#include "json.h"
#include "json_line.h"
#include "log.h"

static void write_file(const char *path, const char *text)
{
    size_t len = strlen(text);
    char *line;
    int fd;

    if (!path[0])
        return;
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
              0600);
    line = malloc(len + 1);
    if (fd >= 0 && line) {
        memcpy(line, text, len);
        line[len] = '\n';
        if (write(fd, line, len + 1) != (ssize_t)len + 1)
            log_msg(LOG_ERR, "%s: %s", path, strerror(errno));
    } else {
        log_msg(LOG_ERR, "%s: %s; the line was: %s", path, strerror(errno),
                text);
    }
    free(line);
    if (fd >= 0)
        close(fd);
}

static void write_line(const char *path, const char *text)
{
    write_file(path, text);
    log_msg(LOG_NOTICE, "audit %s", text);
}

static void begin(struct json *j, const char *event)
{
    json_begin_line(j);
    json_put_string(j, "event", event);
    line_put_time(j, "time", now_unix_us());
}

/* Of a job on several domains, what is said of one of them. */
static char *text_of(const char *event, const struct wire_job *job,
                     const struct wire_task *task, const char *domain,
                     const char *checkpoint)
{
    struct ckpt c = {.url = NULL};
    struct json j;
    char *text = NULL;

    begin(&j, event);
    json_put_u64(&j, "job", job->id);
    json_put_string(&j, "operation", verb_name(job->verb));
    json_put_string(&j, "origin", origin_name(job->origin));
    json_put_u64(&j, "uid", job->uid);
    line_put_text(&j, "key", job->key);
    line_put_text(&j, "domain", domain);
    line_put_text(&j, "group", job->group);
    line_put_words(&j, "domains", job->domains, DOMAIN_END);
    if (job->domid)
        json_put_u64(&j, "domid", job->domid);
    line_put_text(&j, "checkpoint", checkpoint);
    line_put_text(&j, "name", task->name);
    if (task->verb == VERB_FORK)
        json_put_u64(&j, "count", task->count ? task->count : 1);
    json_put_string(&j, "state", job_state_name(job->state));
    json_put_i64(&j, "rc", job->rc);
    line_put_text(&j, "message", job->words);
    json_put_u64(&j, "stored_bytes", job->stored_bytes);
    json_put_u64(&j, "pause_us", job->pause_us);
    if (json_end(&c, &j, "audit", &text))
        return NULL;
    return text;
}

char **audit_texts(const char *event, const struct wire_job *job,
                   const struct wire_task *task)
{
    char **texts = calloc(CKPT_GROUP_MAX + 1, sizeof(*texts));
    char domain[TEXT_NAME], id[TEXT_NAME];
    size_t n = 0;

    if (!texts)
        return NULL;
    if (!job->group[0])
        texts[n++] = text_of(event, job, task, job->domain, job->checkpoint);
    while (job->group[0] && n < CKPT_GROUP_MAX &&
           word_nth(job->domains, DOMAIN_END, n, domain, sizeof(domain))) {
        if (!word_nth(job->checkpoint, ID_END, n, id, sizeof(id)))
            id[0] = '\0';
        texts[n++] = text_of(event, job, task, domain, id);
        if (!texts[n - 1])
            break;
    }
    if (n && texts[n - 1])
        return texts;
    while (n--)
        free(texts[n]);
    free(texts);
    return NULL;
}

void audit_job(const char *path, const char *event, const struct wire_job *job,
               const struct wire_task *task)
{
    char *text = text_of(event, job, task, job->domain, job->checkpoint);

    if (text)
        write_line(path, text);
    free(text);
}

void audit_guest(const char *path, const struct wire_domain *dom,
                 const char *request, const char *why)
{
    struct ckpt c = {.url = NULL};
    struct json j;
    char *text;

    begin(&j, "refused");
    json_put_string(&j, "origin", "guest");
    json_put_string(&j, "operation", request);
    line_put_text(&j, "domain", dom->name);
    line_put_text(&j, "uuid", dom->uuid);
    json_put_u64(&j, "domid", dom->domid);
    json_put_string(&j, "message", why);
    if (json_end(&c, &j, "audit", &text))
        return;
    write_line(path, text);
    free(text);
}
