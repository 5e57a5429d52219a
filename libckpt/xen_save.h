/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_SAVE_H
#define CKPT_XEN_SAVE_H
/*
 * Xen's own save of a domain, for PV guests: only it knows how their
 * page tables are written down.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xen;
struct xentoollog_logger;

/* A PV guest can be tracked while it runs only by a Xen with shadow paging;
 * Debian builds it without. */
int xen_can_save_live(struct xen *x, bool *can_out);

/*
 * Streams @domid into @fd: with @live passes over memory while it runs; then
 * calls @suspend, which returns 1 once the domain stands still or 0 to give
 * up; then the rest.  Blocks the calling thread, which must not be @fd's reader and must
 * have SIGPIPE blocked.  Opens its own connection.  0 or -errno with Xen's
 * last complaint in @words.
 */
int xen_save(struct xentoollog_logger *log, uint32_t domid, bool live, int fd,
             int (*suspend)(void *arg), void *arg, char *words,
             size_t words_bytes);

#endif
