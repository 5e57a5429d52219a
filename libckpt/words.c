/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The words of a failure, and those for people who follow.  They enter by
 * fail() and leave by ckpt_error(); nothing is allocated on the way.  Errors
 * quote names that guests and users chose, so control characters are replaced
 * before they can reach a terminal.
 *
 * xentoollog.h is the one Xen header outside of xen_*.c: the logger is part
 * of our own interface and its ABI does not change with Xen's releases.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <xentoollog.h>

#include "ctx.h"

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
