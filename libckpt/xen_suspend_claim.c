/* SPDX-License-Identifier: LGPL-2.1-only */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "xen_private.h"

#include "xen_suspend_claim.h"

/* Held for a look and a hypercall; one for all domains.  The folder is the
 * toolstack's; $CKPT_LOCK_DIR instead, for tests. */
#define LOCK_DIR "/var/run/xen"
#define LOCK_FILE "ckpt-suspend.lock"

static const char *const words[] = {
    [ASKED_NOT] = "",
    [ASKED_ONCE] = " asked",
    [ASKED_BEFORE] = " pending",
};

int suspend_lock(void)
{
    const char *dir = getenv("CKPT_LOCK_DIR");
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/" LOCK_FILE, dir ? dir : LOCK_DIR);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (fd >= 0 && flock(fd, LOCK_EX) < 0) {
        const int error = errno;

        if (error == EINTR)
            continue;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
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
    unsigned len;

    if (lock < 0)
        return -errno;
    suspend_claim_path(domid, path);
    before = xs_read(xsh, XBT_NULL, path, &len);
    /* Also of one who died before he could note that he had asked. */
    *asked_out = before ? ASKED_BEFORE : ASKED_NOT;
    if (!before && errno != ENOENT)
        rc = errno ? -errno : -EIO;
    else if (!before && suspend_look(xch, domid, NULL) == STILL_SUSPENDED)
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
                        uint64_t *nr_pages_out)
{
    xc_domaininfo_t info;

    if (!xen_domain_info(xch, domid, &info) || info.flags & XEN_DOMINF_dying)
        return STILL_GONE;
    if (!(info.flags & XEN_DOMINF_shutdown))
        return STILL_NO;
    if (((info.flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask) !=
        SHUTDOWN_suspend)
        return STILL_GONE;
    if (nr_pages_out)
        *nr_pages_out = info.tot_pages;
    return STILL_SUSPENDED;
}

/* The guest has taken the request out of its node, or is gone and has none. */
enum request { REQUEST_STANDS, REQUEST_TAKEN, REQUEST_GONE };

static enum request read_request(struct xs_handle *xsh, xs_transaction_t t,
                                 const char *path)
{
    unsigned len;
    char *value = xs_read(xsh, t, path, &len);
    enum request r = REQUEST_TAKEN;

    if (!value && errno == ENOENT)
        r = REQUEST_GONE;
    else if (value && !strcmp(value, SUSPEND_REQUEST))
        r = REQUEST_STANDS;
    free(value);
    return r;
}

bool suspend_withdraw(struct xs_handle *xsh, const char *path)
{
    xs_transaction_t t;
    enum request r;

    for (;;) {
        t = xs_transaction_start(xsh);
        if (t == XBT_NULL)
            return false;
        r = read_request(xsh, t, path);
        if (r != REQUEST_STANDS) {
            xs_transaction_end(xsh, t, true);
            return r == REQUEST_GONE;
        }
        xs_write(xsh, t, path, "", 0);
        if (xs_transaction_end(xsh, t, false))
            return true;
        if (errno != EAGAIN)
            return false;
    }
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
