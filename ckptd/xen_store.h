/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_XEN_STORE_H
#define CKPTD_XEN_STORE_H
/*
 * xenstore as the door needs it: the border to libxenstore.  Every call is
 * one round trip, and waits for it; 0 or -errno.
 */
#include <stddef.h>
#include <stdint.h>

#define XEN_STORE_PATH 128u
#define XEN_STORE_TOKEN 24u
#define XEN_STORE_VALUE 4096u /* xenstored's own limit of a message */

struct xen_store;

int xen_store_open(struct xen_store **s_out);
void xen_store_close(struct xen_store *s); /* NULL is fine */
/* Polls readable when xen_store_event() has something to say. */
int xen_store_fd(const struct xen_store *s);
/* 1: an event, -EAGAIN: none; else the connection is gone.  A path longer
 * than @path can hold is cut: it is none of ours. */
int xen_store_event(struct xen_store *s, char path[XEN_STORE_PATH],
                    char token[XEN_STORE_TOKEN]);
int xen_store_watch(struct xen_store *s, const char *path, const char *token);
int xen_store_unwatch(struct xen_store *s, const char *path, const char *token);
/* At most XEN_STORE_VALUE bytes and a NUL after them. */
int xen_store_read(struct xen_store *s, const char *path,
                   char value[XEN_STORE_VALUE + 1], size_t *len_out);
int xen_store_write(struct xen_store *s, const char *path, const char *value);
int xen_store_remove(struct xen_store *s, const char *path);
/* dom0's, and @domid may read it. */
int xen_store_make_readable(struct xen_store *s, const char *path,
                            uint32_t domid);
/* @domid's own, which only it and dom0 may read and write. */
int xen_store_make_theirs(struct xen_store *s, const char *path,
                          uint32_t domid);
/* Calls @fn with the number of each domain that has a home. */
int xen_store_domains(struct xen_store *s,
                      void (*fn)(void *arg, uint32_t domid), void *arg);

#endif
