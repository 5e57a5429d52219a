/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * libckpt played from a script, to test xl's commands without a guest, a
 * store or a library.  $CKPT_FAKE names a file of KEY=VALUE lines:
 *
 *   log=FILE            a line per call is added there, with its arguments
 *   version=TEXT
 *   CALL=-ERRNO WORDS   that call fails (open take rollback fork list find
 *   CALL:ARG=...        delete verify keep tag prune diff), or only with this
 *                       argument
 *   phase=NAME|DONE|TOTAL|ELAPSED_US     reported by long calls, in order
 *   cancels=N           long calls then wait for N calls of ckpt_cancel()
 *   ready=FIFO          opened for writing before each of these waits
 *   unique=1            a name that was taken before, by the log, is taken
 *   delay_ms=N          long calls take so long after each phase, unless they
 *                       are cancelled
 *   held_by=FILE        the same for as long as FILE is there
 *   arming_by=FILE      a take stands by when FILE is gone
 *   result=NAME|UUID|DOMID|DOWN_US       a domain rollback or fork makes
 *   verified=CHECKED|BAD|FIRST_GFN
 *   pruned=ID|FREED|PENDING
 *   checkpoint=ID       begins a checkpoint; the keys of `fields` and
 *   disk=VDEV|DRIVER|TARGET|SNAPSHOT|WHY_NONE|BYTES    belong to the last
 *
 * take answers with the first checkpoint.  All that is returned is on the
 * heap, so that the sanitizers see what the caller forgets.
 */
#include "fake_script.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINES 4096
#define WAIT_MS 30000

struct line {
    char *key, *value;
};

struct ckpt {
    char error[256];
    ckpt_progress_fn *fn;
    void *arg;
    atomic_int nr_cancels;
};

static char *script;
static struct line lines[MAX_LINES];
static size_t nr_lines;

_Noreturn void script_broken(const char *what)
{
    fprintf(stderr, "fake_ckpt: %s\n", what);
    exit(99);
}

static void unload(void)
{
    free(script);
}

static void load(void)
{
    const char *path = getenv("CKPT_FAKE");
    size_t room = 0;
    char *at, *next;
    FILE *f;

    if (script)
        return;
    f = path ? fopen(path, "r") : NULL;
    if (!f)
        script_broken("$CKPT_FAKE cannot be read");
    if (getdelim(&script, &room, '\0', f) < 0)
        script_broken("the script is empty");
    fclose(f);
    atexit(unload);
    for (at = script; at && *at && nr_lines < MAX_LINES; at = next) {
        next = strchr(at, '\n');
        if (next)
            *next++ = '\0';
        if (*at == '#' || !strchr(at, '='))
            continue;
        lines[nr_lines].key = at;
        lines[nr_lines].value = strchr(at, '=') + 1;
        *strchr(at, '=') = '\0';
        nr_lines++;
    }
}

const char *script_get(const char *key)
{
    size_t i;

    load();
    for (i = 0; i < nr_lines; i++)
        if (strcmp(lines[i].key, key) == 0)
            return lines[i].value;
    return NULL;
}

static uint64_t num(const char *s)
{
    return s ? strtoull(s, NULL, 10) : 0;
}

static char *heap(const char *s)
{
    char *copy = s ? strdup(s) : NULL;

    if (s && !copy)
        script_broken("no memory");
    return copy;
}

/* The @n-th part of A|B|C, on the heap; NULL when it is empty or missing. */
char *script_part(const char *s, unsigned n)
{
    size_t len;
    char *p;

    for (; s && n; n--) {
        s = strchr(s, '|');
        s = s ? s + 1 : NULL;
    }
    len = s ? strcspn(s, "|") : 0;
    if (!len)
        return NULL;
    p = heap(s);
    p[len] = '\0';
    return p;
}

uint64_t script_part_num(const char *s, unsigned n)
{
    char *p = script_part(s, n);
    uint64_t v = num(p);

    free(p);
    return v;
}

__attribute__((format(printf, 1, 2))) void script_note(const char *fmt, ...)
{
    const char *path = script_get("log");
    FILE *f = path ? fopen(path, "a") : NULL;
    va_list ap;

    if (!f)
        return;
    va_start(ap, fmt);
    vfprintf(f, fmt, ap);
    va_end(ap);
    putc('\n', f);
    fclose(f);
}

/* The scripted result of a call. */
int script_answer(ckpt *c, const char *call, const char *arg)
{
    const char *v;
    char key[256];
    int rc;

    snprintf(key, sizeof(key), "%s:%s", call, arg ? arg : "");
    v = script_get(key);
    v = v ? v : script_get(call);
    if (!v)
        return 0;
    rc = atoi(v);
    v += strcspn(v, " ");
    if (rc < 0)
        snprintf(c->error, sizeof(c->error), "%s", *v ? v + 1 : "");
    return rc;
}

static void wait_for_cancel(ckpt *c, int nth)
{
    int waited;

    for (waited = 0; c->nr_cancels < nth; waited += 20) {
        if (waited > WAIT_MS)
            script_broken("nobody cancels");
        poll(NULL, 0, 20);
    }
}

/* True: cancelled meanwhile. */
static bool delay(ckpt *c)
{
    const char *held = script_get("held_by");
    int left;

    while (held && access(held, F_OK) == 0 && !c->nr_cancels)
        poll(NULL, 0, 10);
    for (left = (int)num(script_get("delay_ms")); left > 0 && !c->nr_cancels;
         left -= 10)
        poll(NULL, 0, left < 10 ? left : 10);
    return left > 0 || (held && c->nr_cancels);
}

static int cancelled(ckpt *c, const char *call)
{
    snprintf(c->error, sizeof(c->error), "%s: cancelled, nothing is changed",
             call);
    script_note("%s is cancelled", call);
    return -ECANCELED;
}

/* Whether the log has a take of that name that came to its end. */
static bool was_taken(const char *name)
{
    const char *path = script_get("log");
    FILE *f = path && name && script_get("unique") ? fopen(path, "r") : NULL;
    char line[512], wanted[256];
    bool found = false;

    snprintf(wanted, sizeof(wanted), "take is done: %s\n", name ? name : "");
    while (f && !found && fgets(line, sizeof(line), f))
        found = strcmp(line, wanted) == 0;
    if (f)
        fclose(f);
    return found;
}

/* Reports, waits to be cancelled where the script says so, answers. */
int script_long_answer(ckpt *c, const char *call, const char *arg)
{
    const int wanted = (int)num(script_get("cancels"));
    const char *ready = script_get("ready");
    struct ckpt_progress p;
    char *phase;
    size_t i;
    int seen;

    for (i = 0; i < nr_lines; i++) {
        if (strcmp(lines[i].key, "phase") != 0 || !c->fn)
            continue;
        phase = script_part(lines[i].value, 0);
        p = (struct ckpt_progress){phase, script_part_num(lines[i].value, 1),
                                   script_part_num(lines[i].value, 2),
                                   script_part_num(lines[i].value, 3)};
        c->fn(c->arg, &p);
        free(phase);
        if (delay(c))
            return cancelled(c, call);
    }
    if (!wanted)
        return script_answer(c, call, arg);
    for (seen = 0; seen < wanted; seen++) {
        if (ready)
            close(open(ready, O_WRONLY | O_CLOEXEC));
        wait_for_cancel(c, seen + 1);
    }
    return cancelled(c, call);
}

static void fill_disk(struct ckpt_info *info, const char *v)
{
    struct ckpt_disk *disks =
        realloc(info->disks, (info->nr_disks + 1) * sizeof(*disks));

    if (!disks)
        script_broken("no memory");
    info->disks = disks;
    disks[info->nr_disks++] = (struct ckpt_disk){
        .vdev = script_part(v, 0),
        .driver = script_part(v, 1),
        .target = script_part(v, 2),
        .snapshot = script_part(v, 3),
        .why_none = script_part(v, 4),
        .size_bytes = script_part_num(v, 5),
    };
}

/* clang-format off */
enum field_kind { STRING, U64, UNSIGNED, BOOL };
static const struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
} fields[] = {
#define FIELD(name, kind) { #name, kind, offsetof(struct ckpt_info, name) }
    FIELD(name, STRING), FIELD(description, STRING),
    FIELD(domain_name, STRING), FIELD(domain_type, STRING),
    FIELD(mem_driver, STRING), FIELD(mem_why, STRING),
    FIELD(base_why, STRING), FIELD(tags, STRING), FIELD(keep, BOOL),
    FIELD(group, STRING), FIELD(group_id, STRING),
    FIELD(xen_version, STRING), FIELD(created_unix_us, U64),
    FIELD(has_memory, BOOL), FIELD(is_head, BOOL), FIELD(io_drained, BOOL),
    FIELD(consistency, UNSIGNED), FIELD(memory_bytes, U64),
    FIELD(stored_bytes, U64), FIELD(pages_stored, U64),
    FIELD(pages_zero, U64), FIELD(pages_in_pause, U64),
    FIELD(capture.ring_bytes, U64), FIELD(capture.hypercalls, U64),
    FIELD(capture.pages_by_write, U64), FIELD(capture.pages_by_read, U64),
    FIELD(capture.copied_bytes, U64), FIELD(capture.waits, U64),
    FIELD(capture.waits_us, U64),
    FIELD(passes, UNSIGNED), FIELD(pause_us, U64),
    FIELD(pause_disks_us, U64), FIELD(still_us, U64),
    FIELD(durable_us, U64),
};
/* clang-format on */

static void fill_field(struct ckpt_info *info, const struct line *l)
{
    char *at;
    size_t i;

    if (strcmp(l->key, "parent") == 0)
        snprintf(info->parent, sizeof(info->parent), "%s", l->value);
    if (strcmp(l->key, "domain_uuid") == 0)
        snprintf(info->domain_uuid, sizeof(info->domain_uuid), "%s", l->value);
    if (strcmp(l->key, "disk") == 0)
        fill_disk(info, l->value);
    for (i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        if (strcmp(fields[i].key, l->key) != 0)
            continue;
        at = (char *)info + fields[i].offset;
        switch (fields[i].kind) {
        case STRING:
            free(*(char **)at);
            *(char **)at = heap(l->value);
            break;
        case U64: /* created_unix_us may have a sign */
            *(uint64_t *)at = *l->value == '-'
                                  ? (uint64_t)strtoll(l->value, NULL, 10)
                                  : strtoull(l->value, NULL, 10);
            break;
        case UNSIGNED:
            *(unsigned *)at = (unsigned)num(l->value);
            break;
        case BOOL:
            *(bool *)at = num(l->value) != 0;
            break;
        }
    }
}

static bool begins(const struct line *l)
{
    return strcmp(l->key, "checkpoint") == 0;
}

/* From the line that begins a checkpoint; returns where the next begins. */
size_t script_fill(size_t i, struct ckpt_info *info)
{
    memset(info, 0, sizeof(*info));
    snprintf(info->id, sizeof(info->id), "%s", lines[i].value);
    info->name = heap("unnamed");
    info->description = heap("");
    info->domain_name = heap("web1");
    info->domain_type = heap("pvh");
    info->mem_driver = heap("none");
    info->mem_why = heap("");
    info->xen_version = heap("4.17.7");
    info->base_why = heap("");
    info->tags = heap("");
    for (i++; i < nr_lines && !begins(&lines[i]); i++)
        fill_field(info, &lines[i]);
    return i;
}

size_t script_next_checkpoint(size_t i)
{
    while (i < nr_lines && !begins(&lines[i]))
        i++;
    return i;
}

int ckpt_open(const char *url, struct xentoollog_logger *log, ckpt **c_out)
{
    ckpt *c = calloc(1, sizeof(*c));

    (void)log;
    *c_out = c;
    if (!c)
        return -ENOMEM;
    script_note("open store=%s", url ? url : "(default)");
    return script_answer(c, "open", url);
}

int ckpt_open_read_only(const char *url, struct xentoollog_logger *log,
                        ckpt **c_out)
{
    return ckpt_open(url, log, c_out);
}

void ckpt_close(ckpt *c)
{
    if (c)
        script_note("close");
    free(c);
}

const char *ckpt_error(const ckpt *c)
{
    return c->error;
}

const char *ckpt_version(void)
{
    const char *v = getenv("CKPT_FAKE") ? script_get("version") : NULL;

    return v ? v : "0.0.0";
}

void ckpt_set_progress(ckpt *c, ckpt_progress_fn *fn, void *arg)
{
    c->fn = fn;
    c->arg = arg;
}

void ckpt_cancel(ckpt *c)
{
    c->nr_cancels++;
}

const char *ckpt_consistency_name(enum ckpt_consistency v)
{
    static const char *const names[] = {"crash", "io-drained",
                                        "guest-suspended", "fs-frozen"};

    return names[v];
}

void ckpt_info_fini(struct ckpt_info *info)
{
    size_t i;

    for (i = 0; i < info->nr_disks; i++) {
        free(info->disks[i].vdev);
        free(info->disks[i].driver);
        free(info->disks[i].target);
        free(info->disks[i].snapshot);
        free(info->disks[i].why_none);
    }
    free(info->disks);
    for (i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        if (fields[i].kind == STRING)
            free(*(char **)((char *)info + fields[i].offset));
    memset(info, 0, sizeof(*info));
}

int ckpt_take(ckpt *c, const char *domain, const struct ckpt_take_opts *opts,
              struct ckpt_info *info_out)
{
    const char *const *e = opts->exclude_disks;
    char excluded[256] = "", ring[32] = "";
    int rc, frozen, held = -ENOTSUP;
    size_t i;

    for (; e && *e; e++)
        snprintf(excluded + strlen(excluded),
                 sizeof(excluded) - strlen(excluded), "%s,", *e);
    if (opts->ring_mib)
        snprintf(ring, sizeof(ring), " ring_mib=%u", opts->ring_mib);
    script_note("take domain=%s name=%s description=%s exclude=%s flags=%x "
         "timeout_ms=%u%s%s",
         domain, opts->name ? opts->name : "(none)",
         opts->description ? opts->description : "(none)", excluded,
         opts->flags, opts->suspend_timeout_ms, ring,
         opts->when_full == CKPT_WHEN_FULL_GIVE_UP ? " give-up" : "");
    if (was_taken(opts->name)) {
        snprintf(c->error, sizeof(c->error), "%s: the name is taken",
                 opts->name);
        return -EEXIST;
    }
    rc = script_stand_by(c, domain, opts);
    if (rc)
        return rc;
    frozen = opts->freeze ? opts->freeze(opts->freeze_arg) : -ENOTSUP;
    if (opts->freeze && !(opts->flags & CKPT_TAKE_DISK_ONLY))
        opts->thaw(opts->freeze_arg);
    rc = script_long_answer(c, "take", domain);
    if (opts->freeze && opts->flags & CKPT_TAKE_DISK_ONLY)
        held = opts->thaw(opts->freeze_arg);
    if (opts->freeze)
        script_note("freeze=%d thaw=%d", frozen, held);
    if (rc < 0)
        return rc;
    i = script_next_checkpoint(0);
    if (i == nr_lines)
        script_broken("take without a checkpoint");
    script_fill(i, info_out);
    if (!frozen && !held)
        info_out->consistency = CKPT_CONSISTENCY_FS_FROZEN;
    script_note("take is done: %s", opts->name ? opts->name : "(none)");
    return 0;
}

void ckpt_domain_fini(struct ckpt_domain *d)
{
    free(d->name);
    memset(d, 0, sizeof(*d));
}

static unsigned fill_domains(struct ckpt_domain *doms, unsigned most)
{
    unsigned nr = 0;
    char *uuid;
    size_t i;

    for (i = 0; i < nr_lines && nr < most; i++) {
        if (strcmp(lines[i].key, "result") != 0)
            continue;
        uuid = script_part(lines[i].value, 1);
        doms[nr] =
            (struct ckpt_domain){.name = script_part(lines[i].value, 0),
                                 .domid = (uint32_t)script_part_num(lines[i].value, 2),
                                 .down_us = script_part_num(lines[i].value, 3)};
        snprintf(doms[nr].uuid, sizeof(doms[nr].uuid), "%s", uuid ? uuid : "");
        free(uuid);
        nr++;
    }
    return nr;
}

int ckpt_rollback(ckpt *c, const char *domain, const char *checkpoint,
                  const struct ckpt_rollback_opts *opts,
                  struct ckpt_domain *dom_out)
{
    int rc;

    script_note("rollback domain=%s checkpoint=%s flags=%x", domain,
         checkpoint ? checkpoint : "(latest)", opts->flags);
    rc = script_long_answer(c, "rollback", domain);
    if (rc == 0 && fill_domains(dom_out, 1) != 1)
        script_broken("rollback without a result");
    return rc;
}

int ckpt_fork(ckpt *c, const char *source, const struct ckpt_fork_opts *opts,
              struct ckpt_domain *doms_out, unsigned *nr_out)
{
    script_note("fork source=%s name=%s count=%u flags=%x timeout_ms=%u", source,
         opts->name ? opts->name : "(none)", opts->count, opts->flags,
         opts->suspend_timeout_ms);
    *nr_out = fill_domains(doms_out, opts->count ? opts->count : 1);
    return script_long_answer(c, "fork", source);
}

int ckpt_list(ckpt *c, const char *domain, struct ckpt_info **list_out,
              size_t *nr_out)
{
    struct ckpt_info *list, info;
    size_t nr = 0, i;
    int rc;

    script_note("list domain=%s", domain ? domain : "(all)");
    rc = script_answer(c, "list", domain);
    if (rc < 0)
        return rc;
    list = calloc(MAX_LINES, sizeof(*list));
    if (!list)
        script_broken("no memory");
    for (i = script_next_checkpoint(0); i < nr_lines;) {
        i = script_fill(i, &info);
        if (domain && strcmp(domain, info.domain_name) != 0 &&
            strcmp(domain, info.domain_uuid) != 0)
            ckpt_info_fini(&info);
        else
            list[nr++] = info;
    }
    *list_out = list;
    *nr_out = nr;
    return 0;
}

int ckpt_find(ckpt *c, const char *checkpoint, struct ckpt_info *info_out)
{
    size_t i, next;
    int rc;

    script_note("find checkpoint=%s", checkpoint);
    rc = script_answer(c, "find", checkpoint);
    if (rc < 0)
        return rc;
    for (i = script_next_checkpoint(0); i < nr_lines; i = next) {
        next = script_fill(i, info_out);
        if (strcmp(info_out->id, checkpoint) == 0 ||
            strcmp(info_out->name, checkpoint) == 0)
            return 0;
        ckpt_info_fini(info_out);
    }
    snprintf(c->error, sizeof(c->error), "%s: no such checkpoint", checkpoint);
    return -ENOENT;
}
