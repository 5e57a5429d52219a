/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_PRIVATE_H
#define CKPT_XEN_PRIVATE_H
/*
 * What the xen_*.c files share: the open connections.  Included by them only,
 * since it brings Xen's headers.
 */
#define XC_WANT_COMPAT_DEVICEMODEL_API
#include <libxl.h>
#include <libxl_utils.h>
#include <stdlib.h>
#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xenguest.h>
#include <xenstore.h>
#include <xentoollog.h>

#include "ctx.h"

/* Exported by libxenctrl, declared in no public header of it: types of
 * @num frames, in place, as XEN_DOMCTL_PFINFO_*; -1 with errno. */
int xc_get_pfn_type_batch(xc_interface *xch, uint32_t dom, unsigned int num,
                          xen_pfn_t *types);

struct xen {
    struct ckpt *c; /* borrowed */
    /* What the Xen libraries log: their last complaint is kept for our own
     * error text, all of it goes on to the caller's logger. */
    struct xen_log {
        xentoollog_logger vtable; /* first: Xen casts it back */
        xentoollog_logger *next;  /* borrowed, may be NULL */
        char first[256]; /* complaint: the cause, where last is its effect */
        char last[256];
    } log;
    xc_interface *xch;
    struct xs_handle *xsh;
    xenforeignmemory_handle *fmem;
    libxl_ctx *ctx;
    char version[32];
    uint64_t nr_cow_calls; /* hypercalls made by xen_cow.c */
};

/* The Xen libraries' last complaint as ": words", or "". */
const char *xen_words(const struct xen *x);

/* What Xen says of a domain; false, and perhaps errno: there is no such one.
 * xc_domain_getinfolist() alone may answer with a higher domid. */
bool xen_domain_info(xc_interface *xch, uint32_t domid,
                     xc_domaininfo_t *info_out);

/* Ends the capture of a domain's memory, whoever began it: -1 with errno. */
int xen_cow_end(xc_interface *xch, uint32_t domid);

/* Sets a watch and takes the event that comes with it, on a connection that has
 * no other events yet.  False with errno. */
static inline bool xen_watch_first(struct xs_handle *xsh, const char *path,
                                   const char *token)
{
    char **event;
    unsigned nr;

    if (!xs_watch(xsh, path, token))
        return false;
    event = xs_read_watch(xsh, &nr);
    free(event);
    return event != NULL;
}

/* The file of a lock that is the host's, not a store's; -1 with errno. */
int xen_lock_open(const char *name);

/* A logger that remembers into @log and passes on to @next. */
void xen_log_init(struct xen_log *log, xentoollog_logger *next);

#endif
