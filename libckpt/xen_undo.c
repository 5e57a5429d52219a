/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The guard's undoings that concern a domain (suspend has its own,
 * in xen_suspend_undo.c).  A domain that is gone needs none.
 */
#include "xen_undo.h"

#include <stdlib.h>
#include <string.h>

#include "qmp.h"
#include "xen_private.h"

/* Runs @fn on a fresh connection; "no such domain" is success. */
static int with_xc(uint32_t domid, int (*fn)(xc_interface *, uint32_t))
{
    xc_interface *xch;
    int rc;

    xch = xc_interface_open(NULL, NULL, 0);
    if (!xch)
        return errno ? -errno : -EIO;
    rc = fn(xch, domid) ? -errno : 0; /* -1 with errno */
    xc_interface_close(xch);
    return rc == -ESRCH ? 0 : rc;
}

static int log_dirty_off(xc_interface *xch, uint32_t domid)
{
    return xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0);
}

int xen_undo_log_dirty(uint32_t domid)
{
    int rc = with_xc(domid, log_dirty_off);

    /* Xen's answer when it was off already. */
    return rc == -EINVAL ? 0 : rc;
}

int xen_undo_cow(uint32_t domid)
{
    return with_xc(domid, xen_cow_end);
}

int xen_undo_qemu_dirty(uint32_t domid)
{
    int rc = qmp_log_dirty(NULL, domid, false);

    return rc == -ENOENT || rc == -ECONNREFUSED ? 0 : rc;
}

static int unpause(xc_interface *xch, uint32_t domid)
{
    return xc_domain_unpause(xch, domid);
}

int xen_undo_pause(uint32_t domid)
{
    return with_xc(domid, unpause);
}

static int pause_again(xc_interface *xch, uint32_t domid)
{
    return xc_domain_pause(xch, domid);
}

int xen_undo_unpaused(uint32_t domid)
{
    return with_xc(domid, pause_again);
}

static int with_libxl(int (*fn)(libxl_ctx *, uint32_t, const char *),
                      uint32_t domid, const char *arg)
{
    struct xen_log log;
    libxl_ctx *ctx = NULL;
    int rc;

    xen_log_init(&log, NULL);
    if (libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, &log.vtable))
        return -EIO;
    rc = fn(ctx, domid, arg);
    libxl_ctx_free(ctx);
    return rc;
}

static int destroy(libxl_ctx *ctx, uint32_t domid, const char *arg)
{
    int rc = libxl_domain_destroy(ctx, domid, NULL);

    (void)arg;
    return rc && rc != ERROR_DOMAIN_NOTFOUND ? -EIO : 0;
}

int xen_undo_domain(uint32_t domid)
{
    return with_libxl(destroy, domid, NULL);
}

static int give_name(libxl_ctx *ctx, uint32_t domid, const char *name)
{
    char *now = libxl_domid_to_name(ctx, domid);
    int rc = 0;

    if (now && strcmp(now, name))
        rc = libxl_domain_rename(ctx, domid, now, name) ? -EIO : 0;
    free(now);
    return rc;
}

int xen_undo_domain_name(uint32_t domid, const char *name)
{
    return with_libxl(give_name, domid, name);
}
