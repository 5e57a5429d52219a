/* SPDX-License-Identifier: LGPL-2.1-only */
/* libxentoollog's table of functions comes first in our struct, its custom. */
#include "xen_log.h"

#include <stdarg.h>
#include <stdlib.h>

#include <xentoollog.h>

struct xen_log {
    xentoollog_logger vtable;
    xentoollog_logger *to;
    struct progress *progress;
};

__attribute__((format(printf, 5, 0))) static void
vmessage(xentoollog_logger *logger, xentoollog_level level, int errnoval,
         const char *context, const char *format, va_list al)
{
    struct xen_log *log = (struct xen_log *)logger;

    progress_erase(log->progress);
    log->to->vmessage(log->to, level, errnoval, context, format, al);
}

static void destroy(xentoollog_logger *logger)
{
    struct xen_log *log = (struct xen_log *)logger;

    xtl_logger_destroy(log->to);
    free(log);
}

struct xentoollog_logger *xen_log_new(unsigned verbose, bool is_quiet,
                                      bool has_time, struct progress *p)
{
    static const xentoollog_level levels[] = {XTL_WARN, XTL_INFO, XTL_DETAIL,
                                              XTL_DEBUG};
    const unsigned nr = sizeof(levels) / sizeof(*levels);
    xentoollog_level level = levels[verbose < nr ? verbose : nr - 1];
    struct xen_log *log = calloc(1, sizeof(*log));
    unsigned flags = XTL_STDIOSTREAM_HIDE_PROGRESS;

    if (!log)
        return NULL;
    if (has_time)
        flags |= XTL_STDIOSTREAM_SHOW_DATE | XTL_STDIOSTREAM_SHOW_PID;
    log->vtable = (xentoollog_logger){.vmessage = vmessage, .destroy = destroy};
    log->progress = p;
    log->to = (xentoollog_logger *)xtl_createlogger_stdiostream(
        stderr, is_quiet ? XTL_ERROR : level, flags);
    if (!log->to) {
        free(log);
        return NULL;
    }
    return &log->vtable;
}

void xen_log_free(struct xentoollog_logger *log)
{
    xtl_logger_destroy(log);
}
