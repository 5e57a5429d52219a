/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_XEN_LOG_H
#define XL_XEN_LOG_H
/* The logger given to libckpt: Xen's own, on standard error, which takes the
 * progress line off the screen before it writes. */
#include <stdbool.h>

#include "progress.h"

struct xentoollog_logger;

/* @verbose: 0 warnings, 1 what is done, 2 details, 3 everything; @is_quiet:
 * errors only.  @p is borrowed until xen_log_free().  NULL: no memory. */
struct xentoollog_logger *xen_log_new(unsigned verbose, bool is_quiet,
                                      bool has_time, struct progress *p);
void xen_log_free(struct xentoollog_logger *log); /* NULL is fine */
#endif
