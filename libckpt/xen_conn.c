/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The connections to Xen: hypervisor (libxenctrl), guest memory
 * (libxenforeignmemory), xenstore and libxl.  They are opened together, for
 * an operation that finds half of them missing can do nothing, and before any
 * guest is touched.
 *
 * The Xen libraries tell most of what went wrong only to their logger.  Ours
 * keeps the last complaint, so that an error text can carry it, and passes
 * everything on to the logger the caller gave.
 */
#include "xen_dom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xen_private.h"

static void log_message(struct xentoollog_logger *logger,
                        xentoollog_level level, int errnoval,
                        const char *context, const char *format, va_list al)
{
    struct xen_log *log = (struct xen_log *)logger;
    char text[sizeof(log->last)];
    va_list copy;

    va_copy(copy, al);
    vsnprintf(text, sizeof(text), format, copy);
    va_end(copy);
    if (level >= XTL_ERROR) {
        snprintf(log->last, sizeof(log->last), "%s", text);
        if (!log->first[0])
            memcpy(log->first, log->last, sizeof(log->first));
        /* They are expected now and then: shown with -v, not by themselves. */
        level = XTL_VERBOSE;
    }
    if (log->next)
        xtl_log(log->next, level, errnoval, context, "%s", text);
}

static void log_progress(struct xentoollog_logger *logger, const char *context,
                         const char *doing_what, int percent,
                         unsigned long done, unsigned long total)
{
    /* Ours is reported through ckpt_set_progress(). */
    (void)logger, (void)context, (void)doing_what;
    (void)percent, (void)done, (void)total;
}

static void log_destroy(struct xentoollog_logger *logger)
{
    (void)logger; /* part of struct xen */
}

void xen_log_init(struct xen_log *log, xentoollog_logger *next)
{
    memset(log, 0, sizeof(*log));
    log->vtable.vmessage = log_message;
    log->vtable.progress = log_progress;
    log->vtable.destroy = log_destroy;
    log->next = next;
}

const char *xen_words(const struct xen *x)
{
    return x->log.first;
}

static int read_version(struct xen *x)
{
    xen_extraversion_t extra = "";
    int v;

    /* >= 0, or -1 with errno */
    v = xc_version(x->xch, XENVER_version, NULL);
    if (v < 0 || xc_version(x->xch, XENVER_extraversion, &extra) < 0)
        return fail(x->c, -errno, "asking Xen for its version");
    snprintf(x->version, sizeof(x->version), "%d.%d%.16s", v >> 16, v & 0xffff,
             extra);
    return 0;
}

const char *xen_version(const struct xen *x)
{
    return x->version;
}

/* A missing /dev/xen is not a missing domain: -ENOENT means that. */
static int no_connection(void)
{
    return errno && errno != ENOENT ? -errno : -EIO;
}

int xen_open(struct ckpt *c, struct xen **x_out)
{
    struct xen *x;
    int rc;

    x = calloc(1, sizeof(*x));
    if (!x)
        return fail(c, -ENOMEM, "connecting to Xen");
    x->c = c;
    xen_log_init(&x->log, c->log);

    x->xch = xc_interface_open(&x->log.vtable, &x->log.vtable, 0);
    if (!x->xch) {
        rc = fail(c, no_connection(),
                  "cannot reach the hypervisor: this must run as root in "
                  "dom0 of a running Xen");
        goto out;
    }
    x->xsh = xs_open(0);
    if (!x->xsh) {
        rc = fail(c, no_connection(),
                  "cannot reach xenstored: is it running?");
        goto out;
    }
    x->fmem = xenforeignmemory_open(&x->log.vtable, 0);
    if (!x->fmem) {
        rc = fail(c, no_connection(), "cannot open /dev/xen/privcmd");
        goto out;
    }
    if (libxl_ctx_alloc(&x->ctx, LIBXL_VERSION, 0, &x->log.vtable)) {
        rc = fail(c, -EIO, "cannot initialise libxl (%s)", xen_words(x));
        goto out;
    }
    rc = read_version(x);
out:
    if (rc) {
        xen_close(x);
        x = NULL;
    }
    *x_out = x;
    return rc;
}

void xen_close(struct xen *x)
{
    if (!x)
        return;
    if (x->ctx)
        libxl_ctx_free(x->ctx);
    if (x->fmem)
        xenforeignmemory_close(x->fmem);
    if (x->xsh)
        xs_close(x->xsh);
    if (x->xch)
        xc_interface_close(x->xch);
    free(x);
}
