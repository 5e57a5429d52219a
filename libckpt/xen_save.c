/* SPDX-License-Identifier: LGPL-2.1-only */
/* Xen's own save (libxenguest, xc_domain_save). */
#include "xen_save.h"

#include <stdio.h>

#include "xen_private.h"

int xen_can_save_live(struct xen *x, bool *can_out)
{
    libxl_physinfo info;
    int rc = 0;

    libxl_physinfo_init(&info);
    if (libxl_get_physinfo(x->ctx, &info)) /* 0 or ERROR_* */
        rc = fail(x->c, -EIO, "asking Xen for its capabilities (%s)",
                  xen_words(x));
    *can_out = info.cap_shadow;
    libxl_physinfo_dispose(&info);
    return rc;
}

int xen_save(struct xentoollog_logger *log, uint32_t domid, bool live, int fd,
             int (*suspend)(void *arg), void *arg, char *words,
             size_t words_bytes)
{
    struct save_callbacks callbacks = { .suspend = suspend, .data = arg };
    struct xen_log xen_log;
    xc_interface *xch;
    int rc;

    words[0] = '\0';
    xen_log_init(&xen_log, log);
    xch = xc_interface_open(&xen_log.vtable, &xen_log.vtable, 0);
    if (!xch)
        return errno ? -errno : -EIO;
    rc = xc_domain_save(xch, fd, domid, live ? XCFLAGS_LIVE : 0, &callbacks,
                        XC_STREAM_PLAIN, -1)
             ? (errno ? -errno : -EIO)
             : 0; /* non-zero with errno */
    snprintf(words, words_bytes, "%s", xen_log.first);
    xc_interface_close(xch);
    return rc;
}
