/* SPDX-License-Identifier: LGPL-2.1-only */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "xen_private.h"

#include "xen_suspend_claim.h"

/* Held for a look and a hypercall; one for all domains. */
#define LOCK_FILE "ckpt-suspend.lock"
#define LOCK_TRIES 500 /* of 10 ms each: whoever holds it was stopped */

static const char *const words[] = {
    [ASKED_NOT] = "",
    [ASKED_ONCE] = " asked",
    [ASKED_BEFORE] = " pending",
};

int suspend_lock(void)
{
    int fd = xen_lock_open(LOCK_FILE), error = 0;

    for (int i = 0; fd >= 0 && i < LOCK_TRIES; i++) {
        if (!flock(fd, LOCK_EX | LOCK_NB))
            return fd;
        error = errno;
        if (error != EWOULDBLOCK && error != EINTR)
            break;
        poll(NULL, 0, 10);
    }
    if (fd >= 0)
        close(fd);
    if (error)
        errno = error;
    return -1;
}

void suspend_unlock(int lock)
{
    if (lock < 0)
        return;
    flock(lock, LOCK_UN); /* whoever was forked meanwhile has it, too */
    close(lock);
}

void suspend_claim_path(uint32_t domid, char path[SUSPEND_PATH_SIZE])
{
    snprintf(path, SUSPEND_PATH_SIZE, "/libxl/%u/ckpt-suspend", domid);
}

void suspend_request_path(uint32_t domid, char path[SUSPEND_PATH_SIZE])
{
    snprintf(path, SUSPEND_PATH_SIZE, "/local/domain/%u/control/shutdown",
             domid);
}

static bool write_claim(struct xs_handle *xsh, uint32_t domid,
                        const char *claim, enum asked asked)
{
    char path[SUSPEND_PATH_SIZE], value[64];

    suspend_claim_path(domid, path);
    snprintf(value, sizeof(value), "%.40s%s", claim, words[asked]);
    return xs_write(xsh, XBT_NULL, path, value, (unsigned)strlen(value));
}

/* Of a claim's value; what is not understood is the worst. */
static enum asked asked_of(const char *value)
{
    const char *word = strchr(value, ' ');

    if (!word)
        return ASKED_NOT;
    return strcmp(word, words[ASKED_ONCE]) ? ASKED_BEFORE : ASKED_ONCE;
}

int suspend_claim(xc_interface *xch, struct xs_handle *xsh, uint32_t domid,
                  const char *claim, enum asked *asked_out)
{
    char path[SUSPEND_PATH_SIZE], *before;
    int rc = 0, lock = suspend_lock();
    xc_domaininfo_t info;
    unsigned len;

    if (lock < 0)
        return -errno;
    suspend_claim_path(domid, path);
    before = xs_read(xsh, XBT_NULL, path, &len);
    /* Also of one who died before he could note that he had asked. */
    *asked_out = before ? ASKED_BEFORE : ASKED_NOT;
    if (!before && errno != ENOENT)
        rc = errno ? -errno : -EIO;
    else if (!before && suspend_look(xch, domid, &info) == STILL_SUSPENDED)
        rc = -EBUSY;
    else if (!write_claim(xsh, domid, claim, *asked_out))
        rc = errno ? -errno : -EIO;
    free(before);
    suspend_unlock(lock);
    return rc;
}

void suspend_note(struct xs_handle *xsh, uint32_t domid, const char *claim,
                  enum asked asked)
{
    write_claim(xsh, domid, claim, asked);
}

void suspend_unclaim(struct xs_handle *xsh, uint32_t domid)
{
    char path[SUSPEND_PATH_SIZE];

    suspend_claim_path(domid, path);
    xs_rm(xsh, XBT_NULL, path); /* harmless if it stays: see the header */
}

int suspend_is_mine(struct xs_handle *xsh, uint32_t domid, const char *claim,
                    enum asked *asked_out)
{
    const size_t len = strlen(claim);
    char path[SUSPEND_PATH_SIZE], *value;
    unsigned read_len;
    bool is_mine;

    suspend_claim_path(domid, path);
    value = xs_read(xsh, XBT_NULL, path, &read_len);
    if (!value)
        return errno == ENOENT ? 0 : errno ? -errno : -EIO;
    is_mine = len && !strncmp(value, claim, len) &&
              (!value[len] || value[len] == ' ');
    if (is_mine)
        *asked_out = asked_of(value);
    free(value);
    return is_mine;
}

enum still suspend_look(xc_interface *xch, uint32_t domid,
                        xc_domaininfo_t *info_out)
{
    uint32_t flags;

    errno = 0;
    if (!xen_domain_info(xch, domid, info_out))
        return errno && errno != ESRCH ? STILL_UNKNOWN : STILL_GONE;
    flags = info_out->flags;
    if (flags & XEN_DOMINF_dying)
        return STILL_GONE;
    if (!(flags & XEN_DOMINF_shutdown))
        return STILL_NO;
    return ((flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask) ==
                   SHUTDOWN_suspend
               ? STILL_SUSPENDED
               : STILL_GONE;
}

/* 1: the request stands; 0: the guest has taken it, by emptying its node or by
 * removing that (or is gone); a negative errno: unknown. */
static int stands(struct xs_handle *xsh, xs_transaction_t t, const char *path)
{
    unsigned len;
    char *value = xs_read(xsh, t, path, &len);
    int is = value             ? !strcmp(value, SUSPEND_REQUEST)
             : errno == ENOENT ? 0
             : errno           ? -errno
                               : -EIO;

    free(value);
    return is;
}

int suspend_withdraw(struct xs_handle *xsh, const char *path)
{
    xs_transaction_t t;
    int rc;

    do {
        t = xs_transaction_start(xsh);
        if (t == XBT_NULL)
            return errno ? -errno : -EIO;
        rc = stands(xsh, t, path);
        if (rc > 0 && !xs_write(xsh, t, path, "", 0))
            rc = errno ? -errno : -EIO;
        if (rc <= 0) {
            xs_transaction_end(xsh, t, true);
            return rc;
        }
        if (xs_transaction_end(xsh, t, false))
            return 1;
    } while (errno == EAGAIN);
    return errno ? -errno : -EIO;
}

int suspend_resume(xc_interface *xch, struct xs_handle *xsh, uint32_t domid)
{
    int rc;

    if (xc_domain_resume(xch, domid, 1 /* in place */)) /* -1 with errno */
        return errno ? -errno : -EIO;
    /* Tells xenstored to forget it announced the shutdown; an old xenstored
     * does not know it, and needs it only for the next @releaseDomain. */
    rc = xs_resume_domain(xsh, domid) ? 0 : -errno;
    suspend_unclaim(xsh, domid);
    return rc;
}
