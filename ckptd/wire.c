/* SPDX-License-Identifier: LGPL-2.1-only */
/* The table of sizes and texts, and one send and one receive that use it. */
#include "wire.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD offsetof(struct wire, u)
#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define SNDBUF_BYTES (4 * 1024 * 1024)

static const size_t body_bytes[WIRE_NR] = {
    [WIRE_READY] = 0,
    [WIRE_HELLO] = sizeof(struct wire_hello),
    [WIRE_SUBMIT] = sizeof(struct wire_submit),
    [WIRE_ACCEPTED] = sizeof(struct wire_accepted),
    [WIRE_CANCEL] = sizeof(struct wire_cancel),
    [WIRE_POLICY_ASK] = sizeof(struct wire_policy),
    [WIRE_POLICY] = sizeof(struct wire_policy),
    [WIRE_JOB] = sizeof(struct wire_job),
    [WIRE_PART] = sizeof(struct wire_part),
    [WIRE_METRICS] = sizeof(struct wire_part),
    [WIRE_DOMAIN] = sizeof(struct wire_domain),
    [WIRE_GUEST] = sizeof(struct wire_guest),
    [WIRE_DOOR] = sizeof(struct wire_door),
    [WIRE_ANSWER] = sizeof(struct wire_answer),
    [WIRE_FREEZE] = sizeof(struct wire_freeze),
    [WIRE_FROZEN] = sizeof(struct wire_frozen),
    [WIRE_THAW] = sizeof(struct wire_freeze),
    [WIRE_ARMED] = 0,
    [WIRE_RUN] = sizeof(struct wire_task),
    [WIRE_PROGRESS] = sizeof(struct wire_progress),
    [WIRE_CHILD] = sizeof(struct wire_child),
    [WIRE_STAT] = sizeof(struct wire_stat),
    [WIRE_END] = sizeof(struct wire_end),
};

/* Where each message has texts: the last byte of each becomes NUL. */
static const struct text {
    enum wire_type type;
    size_t first, last;
} texts[] = {
#define TEXT(type, member, field)                                              \
    {                                                                          \
        type, offsetof(struct wire, u.member.field),                           \
            offsetof(struct wire, u.member.field) +                            \
                sizeof(((struct wire *)0)->u.member.field) - 1                 \
    }
    TEXT(WIRE_SUBMIT, submit, key),
    TEXT(WIRE_SUBMIT, submit, task.prefix),
    TEXT(WIRE_SUBMIT, submit, task.group),
    TEXT(WIRE_SUBMIT, submit, task.domains),
    TEXT(WIRE_SUBMIT, submit, task.domain),
    TEXT(WIRE_SUBMIT, submit, task.checkpoint),
    TEXT(WIRE_SUBMIT, submit, task.name),
    TEXT(WIRE_SUBMIT, submit, task.description),
    TEXT(WIRE_SUBMIT, submit, task.store),
    TEXT(WIRE_RUN, run, prefix),
    TEXT(WIRE_RUN, run, group),
    TEXT(WIRE_RUN, run, domains),
    TEXT(WIRE_RUN, run, domain),
    TEXT(WIRE_RUN, run, checkpoint),
    TEXT(WIRE_RUN, run, name),
    TEXT(WIRE_RUN, run, description),
    TEXT(WIRE_RUN, run, store),
    TEXT(WIRE_ACCEPTED, accepted, words),
    TEXT(WIRE_POLICY_ASK, policy, domain),
    TEXT(WIRE_POLICY, policy, domain),
    TEXT(WIRE_POLICY_ASK, policy, policy.group),
    TEXT(WIRE_POLICY, policy, policy.group),
    TEXT(WIRE_JOB, job, key),
    TEXT(WIRE_JOB, job, group),
    TEXT(WIRE_JOB, job, domains),
    TEXT(WIRE_JOB, job, domain),
    TEXT(WIRE_JOB, job, checkpoint),
    TEXT(WIRE_JOB, job, phase),
    TEXT(WIRE_JOB, job, words),
    TEXT(WIRE_DOMAIN, domain, uuid),
    TEXT(WIRE_DOMAIN, domain, name),
    TEXT(WIRE_GUEST, guest, id),
    TEXT(WIRE_DOOR, door, origin),
    TEXT(WIRE_DOOR, door, busy_id),
    TEXT(WIRE_ANSWER, answer, id),
    TEXT(WIRE_ANSWER, answer, result),
    TEXT(WIRE_PROGRESS, progress, phase),
    TEXT(WIRE_CHILD, child, uuid),
    TEXT(WIRE_CHILD, child, name),
    TEXT(WIRE_STAT, stat, uuid),
    TEXT(WIRE_STAT, stat, name),
    TEXT(WIRE_END, end, checkpoint),
    TEXT(WIRE_END, end, words),
};

static const char *const verb_names[VERB_NR] = {"take",   "rollback", "fork",
                                                "list",   "show",     "delete",
                                                "verify", "prune",    "stats"};

const char *verb_name(uint32_t verb)
{
    return verb < VERB_NR ? verb_names[verb] : "unknown";
}

int verb_is_short(uint32_t verb)
{
    return verb == VERB_LIST || verb == VERB_SHOW || verb == VERB_STATS;
}

bool job_is_old(const struct wire_job *w, struct jobs_seen *seen)
{
    if (w->state < JOB_DONE)
        return false;
    if (verb_is_short(w->verb))
        return ++seen->queries > JOBS_KEPT_QUERIES;
    if (w->origin == ORIGIN_SOCKET)
        return ++seen->asked > JOBS_KEPT_ASKED;
    return ++seen->others > JOBS_KEPT_OTHERS;
}

const char *origin_name(uint32_t origin)
{
    static const char *const names[] = {"socket", "guest", "schedule",
                                        "daemon"};

    return origin < NR(names) ? names[origin] : "unknown";
}

const char *job_state_name(uint32_t state)
{
    static const char *const names[] = {"queued",     "pre-hooks", "running",
                                        "post-hooks", "done",      "failed",
                                        "cancelled"};

    return state < NR(names) ? names[state] : "unknown";
}

bool word_nth(const char *words, char end, size_t n, char *out, size_t size)
{
    const char *last;
    size_t len;

    for (; n && words; n--) {
        words = strchr(words, end);
        words += words != NULL;
    }
    if (!words || !*words)
        return false;
    last = strchr(words, end);
    len = last ? (size_t)(last - words) : strlen(words);
    if (len >= size)
        return false;
    memcpy(out, words, len);
    out[len] = '\0';
    return true;
}

bool word_add(char *words, size_t size, char end, const char *word)
{
    const size_t len = strlen(words), more = strlen(word);

    if (len + more + 2 > size || strchr(word, end))
        return false;
    if (len)
        words[len] = end;
    memcpy(words + len + (len != 0), word, more + 1);
    return true;
}

bool has_control(const char *s, char but)
{
    for (; *s; s++)
        if (((unsigned char)*s < ' ' || *s == 127) && *s != but)
            return true;
    return false;
}

int wire_pair(int fds[2])
{
    int size = SNDBUF_BYTES;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    for (int i = 0; i < 2; i++)
        if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size,
                       sizeof(size)) < 0)
            /* without the privilege: up to the system's limit */
            (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size,
                             sizeof(size));
    return 0;
}

/* A part is as long as what it carries: a front that is started again gets
 * hundreds at once.  @m has at least what lies before the bytes. */
static size_t length_of(const struct wire *m)
{
    if (m->type != WIRE_PART && m->type != WIRE_METRICS)
        return HEAD + body_bytes[m->type];
    return HEAD + offsetof(struct wire_part, bytes) +
           (m->u.part.len_bytes < WIRE_PART_BYTES ? m->u.part.len_bytes
                                                  : WIRE_PART_BYTES);
}

void wire_begin(struct wire *m, uint32_t type)
{
    memset(m, 0, HEAD + (type < WIRE_NR ? body_bytes[type] : 0));
    m->type = type;
}

int wire_send(int fd, const struct wire *m)
{
    ssize_t n;

    if (m->type >= WIRE_NR)
        return -EPROTO;
    do
        n = send(fd, m, length_of(m), MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* What a client may ask for; the rest of the flags are the parent's own. */
static bool may_ask(const struct wire_task *task)
{
    static const uint32_t flags =
        TASK_DISK_ONLY | TASK_PAUSED | TASK_DESTROY_FIRST | TASK_QUIESCE |
        TASK_NO_NETWORK | TASK_DRY_RUN | TASK_NO_TRACK | TASK_WAIT |
        TASK_GIVE_UP | TASK_COMPRESS;

    return task->verb < VERB_NR && !(task->flags & ~flags) && !task->domid;
}

/* Names end up in lines: of the state, the log, the audit log. */
static bool has_bad_text(const struct wire *m)
{
    const size_t list = offsetof(struct wire, u.submit.task.domains);

    if (m->type != WIRE_SUBMIT && m->type != WIRE_POLICY_ASK &&
        m->type != WIRE_DOMAIN && m->type != WIRE_GUEST)
        return false;
    for (size_t i = 0; i < NR(texts); i++)
        if (texts[i].type == m->type &&
            has_control((const char *)m + texts[i].first,
                        texts[i].first == list ? DOMAIN_END : '\0'))
            return true;
    return false;
}

static int check(struct wire *m)
{
    if (has_bad_text(m))
        return -EPROTO;
    switch (m->type) {
    case WIRE_SUBMIT:
        for (int i = 0; i < TASK_EXCLUDE_MAX; i++)
            m->u.submit.task.exclude[i][15] = '\0';
        return may_ask(&m->u.submit.task) ? 0 : -EPROTO;
    case WIRE_GUEST:
        return m->u.guest.request != GUEST_FORK ||
                       (m->u.guest.count && m->u.guest.count <= FORK_COUNT_MAX)
                   ? 0
                   : -EPROTO;
    case WIRE_RUN:
        for (int i = 0; i < TASK_EXCLUDE_MAX; i++)
            m->u.run.exclude[i][15] = '\0';
        return m->u.run.verb < VERB_NR ? 0 : -EPROTO;
    case WIRE_JOB:
        return m->u.job.verb < VERB_NR && m->u.job.state <= JOB_CANCELLED
                   ? 0
                   : -EPROTO;
    case WIRE_PART:
    case WIRE_METRICS:
        return m->u.part.len_bytes <= WIRE_PART_BYTES &&
                       m->u.part.total_bytes <= WIRE_RESULT_MAX &&
                       m->u.part.offset <= m->u.part.total_bytes &&
                       m->u.part.len_bytes <=
                           m->u.part.total_bytes - m->u.part.offset
                   ? 0
                   : -EPROTO;
    default:
        return 0;
    }
}

int wire_recv(int fd, struct wire *m)
{
    ssize_t n;

    /* An end that went without reading all of ours is told of once, before
     * what it had sent: that is read still. */
    do
        n = recv(fd, m, sizeof(*m), MSG_TRUNC);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n < 0)
        return -errno;
    if (n == 0)
        return -EPIPE;
    if ((size_t)n < HEAD || m->type >= WIRE_NR)
        return -EPROTO;
    if ((m->type == WIRE_PART || m->type == WIRE_METRICS) &&
        (size_t)n < HEAD + offsetof(struct wire_part, bytes))
        return -EPROTO;
    if ((size_t)n != length_of(m))
        return -EPROTO;
    for (size_t i = 0; i < NR(texts); i++)
        if (texts[i].type == m->type)
            ((char *)m)[texts[i].last] = '\0';
    return check(m);
}
