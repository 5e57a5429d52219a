/* SPDX-License-Identifier: LGPL-2.1-only */
#include "guard_undo.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ctx.h"
#include "disk.h"
#include "dm.h"
#include "lvm.h"
#include "watch.h"
#include "xen_undo.h"

static int undo_log_dirty(struct ckpt *c, struct harm *h)
{
    (void)c;
    return xen_undo_log_dirty(h->r.domid);
}

static int undo_cow(struct ckpt *c, struct harm *h)
{
    (void)c;
    return xen_undo_cow(h->r.domid);
}

static int undo_qemu_dirty(struct ckpt *c, struct harm *h)
{
    (void)c;
    return xen_undo_qemu_dirty(h->r.domid);
}

static int undo_suspend(struct ckpt *c, struct harm *h)
{
    (void)c;
    return h->pending ? xen_pending_look(h->pending)
                      : xen_undo_suspend(h->r.domid, h->r.arg, &h->pending);
}

static int undo_still(struct ckpt *c, struct harm *h)
{
    (void)c;
    return xen_undo_still(h->r.domid, h->r.arg);
}

static int undo_monitor(struct ckpt *c, struct harm *h)
{
    const int pidfd = h->pidfd;

    if (pidfd < 0 && !h->has_left)
        return 0; /* it cannot be told */
    h->pidfd = -1;
    h->has_left = true;
    return watch_replace(c, h->r.domid, pidfd);
}

static int undo_unpaused(struct ckpt *c, struct harm *h)
{
    (void)c;
    return xen_undo_unpaused(h->r.domid);
}

/* Not a harm but a condition: see forget_committed(). */
static int undo_nothing(struct ckpt *c, struct harm *h)
{
    (void)c, (void)h;
    return 0;
}

static int undo_pause(struct ckpt *c, struct harm *h)
{
    (void)c;
    return xen_undo_pause(h->r.domid);
}

static int undo_domain(struct ckpt *c, struct harm *h)
{
    (void)c;
    return xen_undo_domain(h->r.domid);
}

static int undo_domain_name(struct ckpt *c, struct harm *h)
{
    (void)c;
    return xen_undo_domain_name(h->r.domid, h->r.arg);
}

static int undo_dm_suspend(struct ckpt *c, struct harm *h)
{
    return dm_undo_suspend(c, h->r.arg);
}

static int undo_lv_remove(struct ckpt *c, struct harm *h)
{
    return lvm_undo_remove(c, h->r.arg);
}

static int undo_lv_rename(struct ckpt *c, struct harm *h)
{
    return lvm_undo_rename(c, h->r.arg);
}

static int undo_disk(struct ckpt *c, struct harm *h)
{
    return disk_take_back(c, h->r.arg);
}

static int undo_disk_remove(struct ckpt *c, struct harm *h)
{
    int rc = disk_remove(c, h->r.arg);

    return rc == -EBUSY ? 0 : rc; /* it is owed: written down in the store */
}

enum kind {
    DOMAIN,
    DEVICE,
    VOLUME,
    DISK
};

/* clang-format off */
static const struct {
    int (*undo)(struct ckpt *c, struct harm *h);
    enum kind kind;
    const char *what;    /* then the domain's id, or the words of arg */
    const char *by_hand; /* the same */
} rows[GUARD_NR] = {
    [GUARD_LOG_DIRTY] = { undo_log_dirty, DOMAIN,
        "log-dirty mode of domain", "xl save -c, or restart domain" },
    [GUARD_COW] = { undo_cow, DOMAIN,
        "the capture of domain", "restart domain" },
    [GUARD_QEMU_DIRTY] = { undo_qemu_dirty, DOMAIN,
        "the device model's log of domain", "xl save -c, or restart domain" },
    [GUARD_SUSPEND] = { undo_suspend, DOMAIN,
        "the suspension of domain", "once it is suspended: restart domain" },
    [GUARD_MONITOR] = { undo_monitor, DOMAIN,
        "the loss of xl's monitor, if it has left, of domain",
        "on_reboot and its kin are not followed; restart domain" },
    [GUARD_STILL] = { undo_still, DOMAIN,
        "the suspension of domain", "restart domain" },
    [GUARD_PAUSE] = { undo_pause, DOMAIN,
        "the pause of domain", "xl unpause" },
    [GUARD_UNPAUSED] = { undo_unpaused, DOMAIN,
        "the unpausing of domain", "xl pause" },
    [GUARD_DM_SUSPEND] = { undo_dm_suspend, DEVICE,
        "the suspension of device", "dmsetup resume" },
    [GUARD_LV_REMOVE] = { undo_lv_remove, VOLUME,
        "the making of the logical volume", "lvremove" },
    [GUARD_LV_RENAME] = { undo_lv_rename, VOLUME,
        "the renaming of the logical volume", "lvrename" },
    [GUARD_DISK_MADE] = { undo_disk, DISK,
        "a snapshot being made by driver", "see xl-checkpoint(1):" },
    [GUARD_DISK_MOVED] = { undo_disk, DISK,
        "a change of a disk by driver", "see xl-checkpoint(1):" },
    [GUARD_DISK_REMOVE] = { undo_disk_remove, DISK,
        "the removal by driver", "see xl-checkpoint(1):" },
    [GUARD_DOMAIN] = { undo_domain, DOMAIN,
        "the half-built domain", "xl destroy" },
    [GUARD_DOMAIN_NAME] = { undo_domain_name, DOMAIN,
        "the name of domain", "xl rename" },
    [GUARD_UNLESS_FILE] = { undo_nothing, DEVICE,
        "the wait for", "ls" },
};
/* clang-format on */

void harm_name(const struct harm *h, char *text, size_t room_bytes)
{
    const struct guard_record *r = &h->r;
    const char *space = strrchr(r->arg, ' ');

    switch (rows[r->harm].kind) {
    case DOMAIN:
        snprintf(text, room_bytes, "%u%s%s", r->domid,
                 r->harm == GUARD_DOMAIN_NAME ? " " : "",
                 r->harm == GUARD_DOMAIN_NAME ? r->arg : "");
        break;
    case DEVICE: /* "uuid name" */
        snprintf(text, room_bytes, "%s", space ? space + 1 : r->arg);
        break;
    case DISK: /* "driver words" */
        snprintf(text, room_bytes, "%s", r->arg);
        break;
    case VOLUME: /* "names", "names uuid" */
        snprintf(text, room_bytes, "%.*s",
                 space ? (int)(space - r->arg) : (int)strlen(r->arg), r->arg);
        break;
    }
}

const char *harm_what(const struct harm *h)
{
    return rows[h->r.harm].what;
}

const char *harm_by_hand(const struct harm *h)
{
    return rows[h->r.harm].by_hand;
}

bool harm_is_volume(const struct harm *h)
{
    return rows[h->r.harm].kind >= VOLUME;
}

void harm_init(struct harm *h, const struct guard_record *r)
{
    memset(h, 0, sizeof(*h));
    h->r = *r;
    h->r.arg[GUARD_ARG_MAX - 1] = '\0';
    h->pidfd = -1;
    if (r->harm != GUARD_MONITOR)
        return;
    /* Now: later its number may be another's. */
    h->pidfd = (int)syscall(SYS_pidfd_open, atoi(h->r.arg), 0);
    h->has_left = h->pidfd < 0 && errno == ESRCH;
    if (h->pidfd >= 0)
        fcntl(h->pidfd, F_SETFD, FD_CLOEXEC);
}

void harm_fini(struct harm *h)
{
    xen_pending_close(h->pending);
    if (h->pidfd >= 0)
        close(h->pidfd);
}

void harm_undo(struct harm *h)
{
    const char *words;
    struct ckpt c;
    int rc;

    memset(&c, 0, sizeof(c));
    rc = rows[h->r.harm].undo(&c, h);
    h->is_undone = rc == 0;
    if (h->is_undone) {
        xen_pending_close(h->pending);
        h->pending = NULL;
    }
    words = h->pending && rc == -EAGAIN
                ? "it acknowledged the request, but did not suspend"
                : c.error;
    if (rc)
        snprintf(h->error, sizeof(h->error), "%s",
                 words[0] ? words : strerror(-rc));
}
