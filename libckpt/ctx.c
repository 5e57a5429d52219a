/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The handle: opened on a store's URL, closed, asked for its last error.
 *
 * Words enter by fail() and leave by ckpt_error(); nothing is allocated on
 * the way.  Errors quote names that guests and users chose, so control
 * characters are replaced before they can reach a terminal.
 *
 * xentoollog.h is the one Xen header outside of xen_*.c: the logger is part
 * of our own interface and its ABI does not change with Xen's releases.
 */
#include "ctx.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xentoollog.h>

#include "store.h"

#define PROGRESS_EVERY_US 100000u

int ckpt_open(const char *url, struct xentoollog_logger *log, ckpt **c_out)
{
    struct ckpt *c;

    *c_out = NULL;
    c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->log = log;
    if (!url)
        url = secure_getenv("CKPT_STORE");
    if (!url || !*url)
        url = CKPT_STORE_DEFAULT;
    c->url = strdup(url);
    if (!c->url) {
        free(c);
        return -ENOMEM;
    }
    *c_out = c;
    ctx_begin(c);
    return store_open(c, c->url, &c->store);
}

void ckpt_close(ckpt *c)
{
    if (!c)
        return;
    store_close(c->store);
    free(c->url);
    free(c);
}

const char *ckpt_error(const ckpt *c)
{
    return c->error;
}

const char *ckpt_version(void)
{
    return CKPT_VERSION;
}

void ckpt_set_progress(ckpt *c, ckpt_progress_fn *fn, void *arg)
{
    c->progress_fn = fn;
    c->progress_arg = arg;
}

void ckpt_set_quiesce(ckpt *c, const struct ckpt_quiesce *q)
{
    c->quiesce = q;
}

void ckpt_cancel(ckpt *c)
{
    c->cancelled = 1;
}

const char *ckpt_consistency_name(enum ckpt_consistency v)
{
    switch (v) {
    case CKPT_CONSISTENCY_CRASH:
        return "crash";
    case CKPT_CONSISTENCY_IO_DRAINED:
        return "io-drained";
    case CKPT_CONSISTENCY_GUEST_SUSPENDED:
        return "guest-suspended";
    case CKPT_CONSISTENCY_FS_FROZEN:
        return "fs-frozen";
    }
    return "unknown";
}

static void disk_info_fini(struct ckpt_disk *d)
{
    free(d->vdev);
    free(d->driver);
    free(d->target);
    free(d->snapshot);
    free(d->why_none);
}

void ckpt_info_fini(struct ckpt_info *info)
{
    free(info->name);
    free(info->description);
    free(info->domain_name);
    free(info->domain_type);
    free(info->mem_driver);
    free(info->mem_why);
    free(info->xen_version);
    free(info->group);
    free(info->group_id);
    for (size_t i = 0; i < info->nr_disks; i++)
        disk_info_fini(&info->disks[i]);
    free(info->disks);
    memset(info, 0, sizeof(*info));
}

void ckpt_domain_fini(struct ckpt_domain *d)
{
    free(d->name);
    memset(d, 0, sizeof(*d));
}

void ckpt_list_free(struct ckpt_info *list, size_t nr)
{
    if (!list)
        return;
    for (size_t i = 0; i < nr; i++)
        ckpt_info_fini(&list[i]);
    free(list);
}

void ctx_begin(struct ckpt *c)
{
    c->error[0] = '\0';
    c->cancelled = 0;
    c->begin_us = now_us();
    c->last_progress_us = c->begin_us;
}

/* Names from guests and users end up on terminals. */
static void set_error(struct ckpt *c, const char *text)
{
    size_t i;

    for (i = 0; text[i] && i < sizeof(c->error) - 1; i++) {
        unsigned char ch = (unsigned char)text[i];

        c->error[i] = (ch < ' ' || ch == 127) ? '?' : text[i];
    }
    c->error[i] = '\0';
}

int fail(struct ckpt *c, int rc, const char *fmt, ...)
{
    const int saved_errno = errno;
    char text[sizeof(c->error)];
    size_t len, fmt_len = strlen(fmt);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (fmt_len == 0 || fmt[fmt_len - 1] != '.') {
        len = strlen(text);
        /* Thread-safe in glibc (since 2.32) and in musl. */
        snprintf(text + len, sizeof(text) - len, ": %s", strerror(-rc));
    }
    set_error(c, text);
    errno = saved_errno;
    return rc;
}

int fail_prefix(struct ckpt *c, int rc, const char *fmt, ...)
{
    const int saved_errno = errno;
    char text[2 * sizeof(c->error)];
    size_t len;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(c->error), fmt, ap);
    va_end(ap);
    len = strlen(text);
    snprintf(text + len, sizeof(text) - len, ": %s", c->error);
    set_error(c, text);
    errno = saved_errno;
    return rc;
}

/* `xl` shows warnings by default and details with one -v. */
void say(struct ckpt *c, const char *fmt, ...)
{
    const int saved_errno = errno;
    va_list ap;

    if (!c->log)
        return;
    va_start(ap, fmt);
    xtl_logv(c->log, XTL_DETAIL, -1, "ckpt", fmt, ap);
    va_end(ap);
    errno = saved_errno;
}

void warn(struct ckpt *c, const char *fmt, ...)
{
    const int saved_errno = errno;
    va_list ap;

    if (!c->log)
        return;
    va_start(ap, fmt);
    xtl_logv(c->log, XTL_WARN, -1, "ckpt", fmt, ap);
    va_end(ap);
    errno = saved_errno;
}

void progress(struct ckpt *c, const char *phase, uint64_t done_bytes,
              uint64_t total_bytes)
{
    struct ckpt_progress p = {
        .phase = phase,
        .done_bytes = done_bytes,
        .total_bytes = total_bytes,
    };
    uint64_t now;

    if (!c->progress_fn)
        return;
    now = now_us();
    if (now - c->last_progress_us < PROGRESS_EVERY_US)
        return;
    c->last_progress_us = now;
    p.elapsed_us = now - c->begin_us;
    c->progress_fn(c->progress_arg, &p);
}

int check_cancel(struct ckpt *c)
{
    if (c->cancelled)
        return fail(c, -ECANCELED, "Stopped on request.");
    return 0;
}

uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

int64_t now_unix_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
