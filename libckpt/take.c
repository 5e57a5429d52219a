/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Makes a checkpoint.
 *
 * Everything slow happens while the guest runs: before the cut its memory is
 * copied in passes and the disks are made ready, after it the rest is written
 * and made durable.  What is between is in take_cut.c.  The checkpoint exists
 * from the rename in the last step on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <time.h>

#include "checkpoint.h"
#include "ctx.h"
#include "disk_beats.h"
#include "guard.h"
#include "mem.h"
#include "steps.h"
#include "store.h"
#include "take.h"
#include "watch.h"
#include "xen_config.h"
#include "xen_ring.h"

#define CONFIG_BLOB "config"

static int copy_string(struct take *t, char **to, const char *from)
{
    *to = strdup(from ? from : "");
    return *to ? 0 : fail(t->c, -ENOMEM, "the manifest");
}

/* "20261121-004510"; with "-2", … when the domain has one of that second. */
static int default_name(struct take *t, char *name, size_t size)
{
    time_t now = time(NULL);
    char stem[32];
    struct tm tm;
    unsigned n;
    int rc;

    strftime(stem, sizeof(stem), "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
    snprintf(name, size, "%s", stem);
    for (n = 2; n < 1000; n++) {
        rc = checkpoint_name_check(t->c, t->op.dom.uuid, name);
        if (rc != -EEXIST)
            return rc;
        snprintf(name, size, "%s-%u", stem, n);
    }
    return rc;
}

static int name_it(struct take *t)
{
    char name[64];
    int rc;

    if (t->opts->name) {
        rc = checkpoint_name_check(t->c, t->op.dom.uuid, t->opts->name);
        if (!rc)
            rc = copy_string(t, &t->info.name, t->opts->name);
    } else {
        rc = default_name(t, name, sizeof(name));
        if (!rc)
            rc = copy_string(t, &t->info.name, name);
    }
    return rc;
}

/* Meanwhile its parent may have been deleted, and its name is another; where that
 * is taken, the first one is as good. */
static int after_standing_by(struct take *t)
{
    const char *name = t->opts->name;
    int rc;

    if (!t->opts->stand_by)
        return 0;
    rc = checkpoint_head(t->c, t->op.dom.uuid, t->info.parent);
    if (rc || !name || !strcmp(name, t->info.name) ||
        checkpoint_name_check(t->c, t->op.dom.uuid, name))
        return rc;
    free(t->info.name);
    return copy_string(t, &t->info.name, name);
}

static int check_opts(const struct take *t)
{
    if (t->opts->flags & CKPT_TAKE_QUIESCE && !t->opts->freeze)
        return fail(t->c, -ENOTSUP,
                    "nobody is here who can have the guest freeze its "
                    "filesystems: that is done by ckptd, which does not run.");
    if (t->opts->ring_mib > CKPT_RING_MIB_MAX)
        return fail(t->c, -EINVAL,
                    "a ring of %u MiB is larger than Xen makes one: %u at "
                    "most.",
                    t->opts->ring_mib, CKPT_RING_MIB_MAX);
    if ((unsigned)t->opts->when_full > CKPT_WHEN_FULL_GIVE_UP)
        return fail(t->c, -EINVAL,
                    "when the ring is full the guest waits or the checkpoint "
                    "is given up; there is no %u.",
                    (unsigned)t->opts->when_full);
    return 0;
}

/* --- the steps ------------------------------------------------------------ */

int take_find(void *arg)
{
    struct take *t = arg;
    struct ckpt_info *info = &t->info;
    int rc;

    rc = check_opts(t);
    if (!rc)
        rc = op_open(&t->op, t->c, t->domain, &t->stamp);
    if (!rc)
        rc = name_it(t);
    if (!rc)
        rc = checkpoint_new_id(t->c, info->id);
    if (!rc)
        rc = checkpoint_head(t->c, t->op.dom.uuid, info->parent);
    if (!rc)
        rc = copy_string(t, &info->description, t->opts->description);
    if (!rc)
        rc = copy_string(t, &info->domain_name, t->op.dom.name);
    if (!rc)
        rc = copy_string(t, &info->domain_type, xen_type_name(t->op.dom.type));
    if (!rc)
        rc = copy_string(t, &info->xen_version, xen_version(t->op.x));
    if (rc)
        return rc;
    memcpy(info->domain_uuid, t->op.dom.uuid, sizeof(info->domain_uuid));
    info->has_memory = t->has_memory;
    info->memory_bytes = t->has_memory ? t->op.dom.memory_bytes : 0;
    t->monitor = xen_monitor(t->op.x, &t->op.dom, &t->monitor_fd);
    return 0;
}

int take_disks_find(void *arg)
{
    struct take *t = arg;

    return disks_open(&t->disks, &t->op, t->opts->exclude_disks);
}

void take_disks_undo(void *arg)
{
    struct take *t = arg;

    disks_undo(t->disks.disk, t->disks.nr);
}

/* Everything could turn out to be neither zero nor known. */
int take_room(void *arg)
{
    struct take *t = arg;
    uint64_t need;
    int rc;

    need = t->info.memory_bytes + t->info.memory_bytes / 128 + (4u << 20);
    rc = checkpoint_quota(t->c, t->op.dom.uuid, need);
    if (!rc)
        rc = image_create(t->c->store, t->info.id, &t->img);
    return rc ? rc : image_reserve(t->img, need);
}

void take_room_undo(void *arg)
{
    struct take *t = arg;

    image_abort(t->img);
    t->img = NULL;
}

int take_mem_arm(void *arg)
{
    struct take *t = arg;
    struct mem *m = &t->mem;

    if (!t->has_memory)
        return 0;
    m->c = t->c;
    m->x = t->op.x;
    m->dom = &t->op.dom;
    m->g = t->op.g;
    m->img = t->img;
    m->id = t->info.id;
    m->head = t->info.parent;
    m->ring_mib = t->opts->ring_mib;
    m->give_up = t->opts->when_full == CKPT_WHEN_FULL_GIVE_UP;
    m->flat_only = t->opts->stand_by;
    return mem_arm(m);
}

void take_mem_undo(void *arg)
{
    struct take *t = arg;

    if (t->mem.drv)
        t->mem.drv->undo(&t->mem);
}

int take_disks_arm(void *arg)
{
    struct take *t = arg;
    char path[512];
    int rc;

    rc = image_commit_path(t->img, path, sizeof(path));
    if (!rc)
        rc = guard_add(t->op.g, GUARD_UNLESS_FILE, 0, path, NULL);
    if (!rc)
        rc = disks_arm(t->disks.disk, t->disks.nr, t->info.id);
    if (!rc && xen_rings_open(t->op.x, &t->op.dom, &t->rings)) {
        warn(t->c, "the disks' requests are not waited for: %s", t->c->error);
        t->c->error[0] = '\0';
    }
    return rc;
}

/* Others have the domain meanwhile; the store keeps what the image refers to. */
/* What takes calls to xenstore at the cut is done now.  As long as it is not
 * asked there is nothing to guard, but what an earlier take has left. */
static int claim_ahead(struct take *t)
{
    int rc;

    if (!t->has_memory)
        return 0;
    rc = take_claim(t);
    if (!rc)
        rc = xen_suspend_hold(t->op.x, &t->op.dom, &t->suspend);
    if (rc || t->suspend.follows_another)
        return rc;
    guard_del(t->op.g, t->token);
    t->token = 0;
    return 0;
}

static int wait_standing_by(struct take *t)
{
    int rc;

    store_lock_yield(t->op.lock);
    rc = t->opts->stand_by(t->opts->stand_by_arg);
    if (rc)
        return fail(t->c, rc, "the checkpoint is given up before its cut.");
    t->c->begin_us = now_us();
    if (store_lock_again(t->op.lock))
        return fail(t->c, -ESTALE, "domain \"%s\": an operation is under way.",
                    t->op.dom.name);
    return xen_dom_again(t->op.x, &t->op.dom);
}

static int take_stand_by(void *arg)
{
    struct take *t = arg;
    int rc;

    if (!t->opts->stand_by)
        return 0;
    rc = claim_ahead(t);
    if (!rc)
        rc = wait_standing_by(t);
    if (rc)
        take_call_off(t);
    return rc;
}

static int take_cut(void *arg)
{
    struct take *t = arg;

    return take_cut_all(&t, 1);
}

int take_disks_drain(void *arg)
{
    struct take *t = arg;
    int rc = 0, r;

    /* First what the guest waits for: its disks; then its fast writes. */
    r = disks_drain(t->disks.disk, t->disks.nr);
    xen_rings_close(t->rings); /* the guest may want to give them up */
    t->rings = NULL;
    if (t->not_drained[0])
        warn(t->c, "%s", t->not_drained);
    if (t->has_memory)
        rc = t->mem.drv->disarm(&t->mem);
    return r ? r : rc;
}

int take_mem_drain(void *arg)
{
    struct take *t = arg;
    struct ckpt_info *info = &t->info;
    int rc;

    if (t->has_memory) {
        rc = t->mem.drv->drain(&t->mem);
        if (!rc)
            rc = machine_store(&t->mem.machine, t->img);
        if (rc)
            return rc;
        info->passes = t->mem.passes;
        info->pages_in_pause = t->mem.pages_in_pause;
        info->capture = t->mem.capture;
    }
    rc = xen_config_resize(t->op.x, t->op.dom.domid, t->suspend.nr_pages,
                           &t->op.config);
    if (!rc)
        rc = image_put_blob(t->img, CONFIG_BLOB, t->op.config,
                            strlen(t->op.config) + 1);
    if (!rc)
        rc = image_sync(t->img);
    image_stats(t->img, &info->pages_stored, &info->pages_zero,
                &info->stored_bytes);
    return rc;
}

int take_commit(void *arg)
{
    struct take *t = arg;
    struct ckpt_info *info = &t->info;
    char *json = NULL;
    int rc;

    rc = copy_string(t, &info->mem_driver,
                     t->has_memory ? t->mem.drv->name : "none");
    if (!rc)
        rc = after_standing_by(t);
    if (!rc)
        rc = copy_string(t, &info->mem_why, t->mem.why);
    if (!rc)
        rc = copy_string(t, &info->base_why, t->mem.base_why);
    if (!rc)
        rc = copy_string(t, &info->tags, "");
    memcpy(info->base, t->mem.base, sizeof(info->base));
    if (!rc)
        rc = disks_describe(&t->disks, info);
    info->durable_us = now_us() - t->c->begin_us;
    if (!rc)
        rc = checkpoint_to_json(t->c, info, &json);
    if (rc)
        goto out;
    rc = image_commit(t->img, json);
    t->img = NULL;
    if (rc)
        goto out;
    (void)steps_fault(t->c, "take", "published"); /* only to die there */
    disks_keep(t->disks.disk, t->disks.nr);
    if (t->has_memory && t->mem.drv->keep &&
        !(t->opts->flags & CKPT_TAKE_NO_TRACK))
        t->mem.drv->keep(&t->mem);
    info->is_head = true;
    info->durable_us = now_us() - t->c->begin_us;
    if (checkpoint_set_head(t->c, info->domain_uuid, info->id))
        warn(t->c, "the checkpoint is safe, but not marked as the latest: %s",
             t->c->error);
out:
    free(json);
    return rc;
}

/* clang-format off */
static const struct step take_steps[] = {
    { "domain found",  take_find,        NULL            },
    { "disks found",   take_disks_find,  take_disks_undo },
    { "room found",    take_room,        take_room_undo  },
    { "memory armed",  take_mem_arm,     take_mem_undo   },
    { "disks armed",   take_disks_arm,   take_disks_undo },
    { "stood by",      take_stand_by,    NULL            },
    { "cut",           take_cut,         NULL            }, /* the pause */
    { "disks stored",  take_disks_drain, NULL            },
    { "memory stored", take_mem_drain,   NULL            },
    { "committed",     take_commit,      NULL            }, /* one rename */
    { NULL,            NULL,             NULL            },
};
/* clang-format on */

void take_init(struct take *t, struct ckpt *c, const char *domain,
               const struct ckpt_take_opts *opts)
{
    static const struct ckpt_take_opts defaults;

    memset(t, 0, sizeof(*t));
    t->c = c;
    t->domain = domain;
    t->monitor_fd = -1;
    t->op.lock_fd = -1;
    t->opts = opts ? opts : &defaults;
    t->has_memory = !(t->opts->flags & CKPT_TAKE_DISK_ONLY);
}

static void take_monitor_fini(struct take *t)
{
    if (t->token_monitor && !t->pending) { /* else it may leave yet */
        /* There are never two: see xen_watch(). */
        if (!watch_replace(t->c, t->op.dom.domid, t->monitor_fd))
            guard_del(t->op.g, t->token_monitor);
    } else if (t->monitor_fd >= 0) {
        close(t->monitor_fd);
    }
    t->monitor_fd = -1;
}

void take_fini(struct take *t, int rc, struct ckpt_info *info_out)
{
    if (t->mem.drv)
        t->mem.drv->undo(&t->mem);
    xen_rings_close(t->rings);
    machine_fini(&t->mem.machine);
    disks_close(&t->disks);
    xen_stamp_free(t->stamp);
    take_monitor_fini(t);
    op_close(&t->op);
    if (rc || !info_out)
        ckpt_info_fini(&t->info);
    else
        *info_out = t->info;
}

int take_inner(struct ckpt *c, const char *domain,
               const struct ckpt_take_opts *opts, struct ckpt_info *info_out)
{
    struct take t;
    int rc;

    take_init(&t, c, domain, opts);
    rc = steps_run(c, "take", take_steps, &t);
    take_fini(&t, rc, info_out);
    return rc;
}

int ckpt_take(ckpt *c, const char *domain, const struct ckpt_take_opts *opts,
              struct ckpt_info *info_out)
{
    ctx_begin(c);
    return take_inner(c, domain, opts, info_out);
}
