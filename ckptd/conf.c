/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A table of keys, a parser of one line, and a loop.  Everything that can be
 * wrong in a file is found when it is read: unknown keys and sections, keys
 * given twice, values out of range.  The file is the administrator's, but a
 * damaged one must not take the daemon down, so lengths are checked first.
 */
#include "conf.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt.h"

#ifndef CKPTD_JOB
#define CKPTD_JOB "/usr/local/libexec/xen-ckpt/bin/ckptd-job"
#endif

enum kind {
    TEXT,     /* char[] of `max` bytes */
    PATHNAME, /* the same; absolute or empty */
    BOOL,     /* uint32_t */
    COUNT,    /* uint32_t up to max */
    RATE,     /* uint32_t up to max, "N" or "N/hour" */
    BYTES,    /* uint64_t, suffixes K M G T */
    SECONDS,  /* uint64_t, suffixes s m h d w */
    MILLIS,   /* uint32_t, written in seconds */
    REQUESTS, /* uint32_t of GUEST_* */
    MIB,      /* uint32_t up to max, written as BYTES */
    GIVE_UP,  /* uint32_t, "wait" or "give-up" */
    GROUP,    /* char[], a group's name or empty */
};

struct key {
    const char *name;
    enum kind kind;
    uint32_t max;
    size_t offset;
};

#define OWN(field, kind, max)                                                  \
    {                                                                          \
#field, kind, max, offsetof(struct conf, field)                        \
    }
#define OWN_TEXT(field, kind)                                                  \
    OWN(field, kind, sizeof(((struct conf *)0)->field))
#define RULE(field, kind, max)                                                 \
    {                                                                          \
#field, kind, max, offsetof(struct policy, field)                      \
    }

static const struct key own_keys[] = {
    OWN_TEXT(socket, PATHNAME),
    OWN_TEXT(store, TEXT),
    OWN_TEXT(user, TEXT),
    OWN_TEXT(state_dir, PATHNAME),
    OWN_TEXT(run_dir, PATHNAME),
    OWN_TEXT(job_program, PATHNAME),
    OWN_TEXT(hooks_dir, PATHNAME),
    OWN_TEXT(audit_log, PATHNAME),
    OWN_TEXT(metrics_listen, TEXT),
    OWN_TEXT(metrics_textfile, PATHNAME),
    OWN_TEXT(read_group, TEXT),
    OWN_TEXT(operate_group, TEXT),
    OWN_TEXT(admin_group, TEXT),
    {"hook_timeout", SECONDS, 86400, offsetof(struct conf, hook_timeout_s)},
    {"metrics_interval", SECONDS, 86400,
     offsetof(struct conf, metrics_interval_s)},
    {"compress", SECONDS, 366 * 86400, offsetof(struct conf, compress_s)},
    OWN(jobs_max, COUNT, 64),
    OWN(xenstore, BOOL, 0),
};

static const struct key policy_keys[] = {
    RULE(guest_requests, REQUESTS, 0),
    {"guest_rate", RATE, 3600000, offsetof(struct policy, guest_rate_hour)},
    RULE(guest_burst, COUNT, 10000),
    RULE(guest_keep, COUNT, 100000),
    RULE(guest_bytes, BYTES, 0),
    RULE(guest_standby, BOOL, 0),
    RULE(fork_max, COUNT, 256),
    RULE(fork_network, BOOL, 0),
    {"quiesce_timeout", MILLIS, 600, offsetof(struct policy, quiesce_ms)},
    RULE(schedule_quiesce, BOOL, 0),
    {"schedule", SECONDS, 366 * 86400, offsetof(struct policy, schedule_s)},
    RULE(keep_count, COUNT, 1000000),
    {"keep_age", SECONDS, UINT32_MAX, offsetof(struct policy, keep_age_s)},
    {"ring", MIB, CKPT_RING_MIB_MAX, offsetof(struct policy, ring_mib)},
    {"when_full", GIVE_UP, 0, offsetof(struct policy, give_up)},
    RULE(group, GROUP, 0),
};
#define NR(array) (sizeof(array) / sizeof((array)[0]))
_Static_assert(NR(own_keys) <= 32 && NR(policy_keys) <= 32, "bits of seen");

static const char *const request_names[] = {"checkpoint", "fork", "rollback",
                                            "quiesce"};

const char *policy_request_name(unsigned n)
{
    return n < NR(request_names) ? request_names[n] : NULL;
}

void conf_init(struct conf *conf)
{
    memset(conf, 0, sizeof(*conf));
    strcpy(conf->socket, "/run/ckptd.sock");
    strcpy(conf->user, "ckptd");
    strcpy(conf->state_dir, "/var/lib/xen/ckptd");
    strcpy(conf->run_dir, "/run/xen/ckptd");
    strcpy(conf->job_program, CKPTD_JOB);
    strcpy(conf->hooks_dir, "/etc/xen/ckpt/hooks.d");
    strcpy(conf->audit_log, "/var/log/xen/ckptd-audit.log");
    conf->hook_timeout_s = 30;
    conf->metrics_interval_s = 60;
    conf->jobs_max = 4;
    conf->xenstore = 1;
    conf->policy = (struct policy){
        .guest_rate_hour = 12,
        .guest_burst = 2,
        .guest_keep = 3,
        .fork_max = 1,
        .quiesce_ms = 10000,
        .keep_count = 24,
    };
}

void conf_fini(struct conf *conf)
{
    free(conf->rules);
    conf->rules = NULL;
    conf->nr_rules = 0;
}

const struct policy *conf_policy(const struct conf *conf, const char *domain)
{
    for (size_t i = 0; i < conf->nr_rules; i++)
        if (!fnmatch(conf->rules[i].pattern, domain, 0))
            return &conf->rules[i].policy;
    return &conf->policy;
}

/* --- values: each returns NULL, or what is wrong ------------------------- */

/* Digits and one suffix of @suffixes, whose factors are in @factors. */
static const char *parse_number(const char *value, const char *suffixes,
                                const uint64_t *factors, uint64_t max,
                                uint64_t *out)
{
    const char *suffix;
    uint64_t n = 0;

    if (!isdigit((unsigned char)*value))
        return "is not a number";
    for (; isdigit((unsigned char)*value); value++) {
        if (n > (UINT64_MAX - 9) / 10)
            return "is too large";
        n = n * 10 + (uint64_t)(*value - '0');
    }
    if (*value) {
        suffix = strchr(suffixes, *value);
        if (!suffix || value[1])
            return "has an unknown unit";
        if (n > UINT64_MAX / factors[suffix - suffixes])
            return "is too large";
        n *= factors[suffix - suffixes];
    }
    if (n > max)
        return "is too large";
    *out = n;
    return NULL;
}

static const char *parse_u32(const char *value, uint32_t max, uint32_t *out)
{
    uint64_t n;
    const char *wrong = parse_number(value, "", NULL, max, &n);

    if (!wrong)
        *out = (uint32_t)n;
    return wrong;
}

static const char *parse_bool(const char *value, uint32_t *out)
{
    if (!strcmp(value, "yes") || !strcmp(value, "1"))
        *out = 1;
    else if (!strcmp(value, "no") || !strcmp(value, "0"))
        *out = 0;
    else
        return "is neither yes nor no";
    return NULL;
}

static const char *parse_bytes(const char *value, uint64_t *out)
{
    static const uint64_t factors[] = {1ull << 10, 1ull << 20, 1ull << 30,
                                       1ull << 40};

    return parse_number(value, "KMGT", factors, INT64_MAX, out);
}

static const char *parse_mib(const char *value, uint32_t max, uint32_t *out)
{
    uint64_t bytes;
    const char *wrong = parse_bytes(value, &bytes);

    if (wrong)
        return wrong;
    if (bytes % (1u << 20))
        return "is not in whole MiB: write 64M";
    if (bytes >> 20 > max)
        return "is too large";
    *out = (uint32_t)(bytes >> 20);
    return NULL;
}

static const char *parse_give_up(const char *value, uint32_t *out)
{
    if (strcmp(value, "wait") && strcmp(value, "give-up"))
        return "is neither wait nor give-up";
    *out = !strcmp(value, "give-up");
    return NULL;
}

/* As xl checkpoint --group takes it. */
static const char *parse_group(const char *value, char *out)
{
    if (strlen(value) > 64 ||
        value[strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "abcdefghijklmnopqrstuvwxyz0123456789._-")])
        return "is not up to 64 letters, digits, '.', '_' and '-'";
    strcpy(out, value);
    return NULL;
}

static const char *parse_seconds(const char *value, uint64_t max, uint64_t *out)
{
    static const uint64_t factors[] = {1, 60, 3600, 86400, 7 * 86400};

    return parse_number(value, "smhdw", factors, max, out);
}

static const char *parse_rate(const char *value, uint32_t max, uint32_t *out)
{
    char number[16];
    size_t len = strcspn(value, "/");

    if (value[len] && strcmp(value + len, "/hour"))
        return "is not written N/hour";
    if (len >= sizeof(number))
        return "is too large";
    memcpy(number, value, len);
    number[len] = '\0';
    return parse_u32(number, max, out);
}

/* "none", or names separated by commas and spaces. */
static const char *parse_requests(const char *value, uint32_t *out)
{
    uint32_t bits = 0;
    size_t len;
    unsigned n;

    if (!strcmp(value, "none")) {
        *out = 0;
        return NULL;
    }
    for (; *value; value += len) {
        value += strspn(value, ", ");
        len = strcspn(value, ", ");
        for (n = 0; len && n < NR(request_names); n++)
            if (strlen(request_names[n]) == len &&
                !memcmp(value, request_names[n], len))
                break;
        if (len && n == NR(request_names))
            return "names a request that does not exist (checkpoint, fork, "
                   "rollback, quiesce, or none)";
        if (len)
            bits |= 1u << n;
    }
    *out = bits;
    return bits ? NULL : "is empty; write none";
}

static const char *set_value(const struct key *key, void *base,
                             const char *value)
{
    char *field = (char *)base + key->offset;
    const char *wrong;
    uint64_t n;

    switch (key->kind) {
    case PATHNAME:
        if (*value && *value != '/')
            return "is not an absolute path";
        __attribute__((fallthrough));
    case TEXT:
        if (strlen(value) >= key->max)
            return "is too long";
        strcpy(field, value);
        return NULL;
    case BOOL:
        return parse_bool(value, (uint32_t *)(void *)field);
    case COUNT:
        return parse_u32(value, key->max, (uint32_t *)(void *)field);
    case RATE:
        return parse_rate(value, key->max, (uint32_t *)(void *)field);
    case BYTES:
        return parse_bytes(value, (uint64_t *)(void *)field);
    case SECONDS:
        return parse_seconds(value, key->max, (uint64_t *)(void *)field);
    case MILLIS:
        wrong = parse_seconds(value, key->max, &n);
        if (!wrong)
            *(uint32_t *)(void *)field = (uint32_t)n * 1000u;
        return wrong;
    case MIB:
        return parse_mib(value, key->max, (uint32_t *)(void *)field);
    case GIVE_UP:
        return parse_give_up(value, (uint32_t *)(void *)field);
    case GROUP:
        return parse_group(value, field);
    case REQUESTS:
        return parse_requests(value, (uint32_t *)(void *)field);
    }
    return "cannot be set";
}

/* --- lines ---------------------------------------------------------------- */

struct parser {
    struct conf *conf;
    const char *file;
    unsigned line;
    uint32_t seen_own, seen_policy; /* bits, of the present section */
    struct conf_rule *rule;         /* NULL before the first section */
    char *error;
};

__attribute__((format(printf, 2, 3))) static int wrong(struct parser *p,
                                                       const char *fmt, ...)
{
    size_t len;
    va_list ap;

    snprintf(p->error, CONF_ERROR_LEN, "%.200s:%u: ", p->file, p->line);
    len = strlen(p->error);
    va_start(ap, fmt);
    vsnprintf(p->error + len, CONF_ERROR_LEN - len, fmt, ap);
    va_end(ap);
    for (char *c = p->error; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    return -EINVAL;
}

static char *trim(char *s)
{
    size_t len;

    s += strspn(s, " \t\r");
    len = strlen(s);
    while (len && strchr(" \t\r", s[len - 1]))
        s[--len] = '\0';
    return s;
}

/* The value without its quotes, or without the comment after it. */
static const char *unquote(char *value, char **out)
{
    char *end;

    if (*value == '"' || *value == '\'') {
        end = strchr(value + 1, *value);
        if (!end)
            return "a quote is not closed";
        *end = '\0';
        *out = value + 1;
        end = trim(end + 1);
        return *end && *end != '#' ? "something follows the value" : NULL;
    }
    value[strcspn(value, "#")] = '\0';
    *out = trim(value);
    return NULL;
}

static int section(struct parser *p, char *text)
{
    size_t nr = p->conf->nr_rules;
    struct conf_rule *rules;
    char *pattern, *end;

    end = strchr(text, ']');
    if (!end)
        return wrong(p, "the section is not closed with ]");
    *end = '\0';
    end = trim(end + 1);
    if (*end && *end != '#')
        return wrong(p, "something follows the section");
    text = trim(text + 1);
    if (strncmp(text, "domain", 6) || (text[6] != ' ' && text[6] != '\t'))
        return wrong(p, "unknown section; write [domain NAME]");
    pattern = trim(text + 6);
    if (!*pattern || strlen(pattern) >= sizeof(rules->pattern))
        return wrong(p, "the domain's name is empty or too long");
    for (size_t i = 0; i < nr; i++)
        if (!strcmp(p->conf->rules[i].pattern, pattern))
            return wrong(p, "[domain %s] is there already, in line %u", pattern,
                         p->conf->rules[i].line);
    if (nr == CONF_RULES_MAX)
        return wrong(p, "more than %u sections", CONF_RULES_MAX);
    rules = realloc(p->conf->rules, (nr + 1) * sizeof(*rules));
    if (!rules) {
        wrong(p, "not enough memory");
        return -ENOMEM;
    }
    p->conf->rules = rules;
    p->rule = &rules[p->conf->nr_rules++];
    memset(p->rule, 0, sizeof(*p->rule));
    strcpy(p->rule->pattern, pattern);
    p->rule->line = p->line;
    p->rule->policy = p->conf->policy;
    p->seen_policy = 0;
    return 0;
}

static int assign(struct parser *p, const char *name, const char *value)
{
    const struct key *key = NULL;
    void *base = p->rule ? &p->rule->policy : &p->conf->policy;
    uint32_t *seen = &p->seen_policy;
    const char *why;
    size_t n;

    for (n = 0; n < NR(policy_keys); n++)
        if (!strcmp(policy_keys[n].name, name)) {
            key = &policy_keys[n];
            break;
        }
    for (size_t i = 0; !key && i < NR(own_keys); i++)
        if (!strcmp(own_keys[i].name, name)) {
            if (p->rule)
                return wrong(p,
                             "%s is for the whole daemon: put it before "
                             "the first section",
                             name);
            key = &own_keys[i];
            base = p->conf;
            seen = &p->seen_own;
            n = i;
        }
    if (!key)
        return wrong(p, "unknown key \"%.64s\"", name);
    if (*seen & 1u << n)
        return wrong(p, "%s is set twice", name);
    *seen |= 1u << n;
    why = set_value(key, base, value);
    return why ? wrong(p, "%s = %.64s: the value %s", name, value, why) : 0;
}

static int parse_line(struct parser *p, char *line)
{
    char *value, *eq;
    const char *why;

    line = trim(line);
    if (!*line || *line == '#')
        return 0;
    if (*line == '[')
        return section(p, line);
    eq = strchr(line, '=');
    if (!eq)
        return wrong(p, "neither `key = value' nor a section");
    *eq = '\0';
    line = trim(line);
    why = unquote(trim(eq + 1), &value);
    if (why)
        return wrong(p, "%.64s: %s", line, why);
    return assign(p, line, value);
}

int conf_parse(struct conf *conf, const char *file, const char *text,
               size_t len_bytes, char error[CONF_ERROR_LEN])
{
    struct parser p = {.conf = conf, .file = file, .error = error};
    char *copy, *line, *next;
    int rc = 0;

    error[0] = '\0';
    if (len_bytes > CONF_MAX_BYTES)
        return wrong(&p, "the file is larger than %u bytes", CONF_MAX_BYTES);
    copy = malloc(len_bytes + 1);
    if (!copy) {
        wrong(&p, "not enough memory");
        return -ENOMEM;
    }
    memcpy(copy, text, len_bytes);
    copy[len_bytes] = '\0';
    p.line = 1;
    if (memchr(text, '\0', len_bytes))
        rc = wrong(&p, "the file has a NUL: it is no text");
    for (line = copy; !rc && line; line = next, p.line++) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        rc = parse_line(&p, line);
        if (rc)
            break;
    }
    free(copy);
    return rc;
}

int conf_load(struct conf *conf, const char *file, char error[CONF_ERROR_LEN])
{
    char *text;
    size_t len;
    FILE *f;
    int rc;

    f = fopen(file, "re");
    if (!f) {
        rc = -errno;
        snprintf(error, CONF_ERROR_LEN, "%.200s: %s", file, strerror(errno));
        return rc;
    }
    text = malloc(CONF_MAX_BYTES + 1);
    if (!text) {
        fclose(f);
        snprintf(error, CONF_ERROR_LEN, "%.200s: not enough memory", file);
        return -ENOMEM;
    }
    len = fread(text, 1, CONF_MAX_BYTES + 1, f);
    if (ferror(f)) {
        rc = -EIO;
        snprintf(error, CONF_ERROR_LEN, "%.200s: cannot be read", file);
    } else {
        rc = conf_parse(conf, file, text, len, error);
    }
    fclose(f);
    free(text);
    return rc;
}
