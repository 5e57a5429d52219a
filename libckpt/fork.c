/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * New domains out of one: from a checkpoint, or from a running domain by way
 * of a checkpoint that is deleted again afterwards.  A fork is another
 * machine: its own name, UUID, MACs and generation id, its disks copy-on-write
 * clones.  The original is not touched beyond what a take does.
 *
 * Names, memory and disks of all children are checked before the first is
 * built; a child that fails is taken back whole, those before it stay.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "checkpoint.h"
#include "ctx.h"
#include "disk_beats.h"
#include "guard.h"
#include "op.h"
#include "steps.h"
#include "store.h"
#include "xen_config.h"

struct fork {
    struct ckpt *c;
    const char *source;
    const struct ckpt_fork_opts *opts;
    unsigned count;
    bool own_checkpoint; /* made for this fork only */
    struct op op;
    struct ckpt_info info;
    struct image *img;
    struct disks disks;
    char *config;
    char stem[200]; /* of the children's names */
    struct ckpt_domain *out;
    unsigned nr; /* children made */
    /* The child under way. */
    char name[256];
    char **targets; /* of its disks, owned */
    char *child_config;
    struct build *build;
    uint32_t domid;
};

/* A running domain is checkpointed first, unless there is none of the name. */
static int fork_source(void *arg)
{
    struct fork *f = arg;
    struct ckpt_take_opts take = {
        .description = "made for a fork",
        .suspend_timeout_ms = f->opts->suspend_timeout_ms,
    };
    struct xen_dom dom;
    int rc;

    rc = op_find(f->c, f->source, &dom);
    xen_dom_fini(&dom);
    if (rc == -ENOENT)
        return checkpoint_find(f->c, NULL, f->source, &f->info);
    if (rc)
        return rc;
    rc = take_inner(f->c, f->source, &take, &f->info);
    f->own_checkpoint = !rc;
    return rc;
}

/* Once the fork is over, well or not, and has let go of the domain's lock.  The
 * disks' clones do not need it, and the memory has been copied. */
static void own_checkpoint_end(struct fork *f)
{
    char error[sizeof(f->c->error)];

    if (!f->own_checkpoint)
        return;
    memcpy(error, f->c->error, sizeof(error));
    atomic_store(&f->c->cancelled, 0); /* the fork was, this is not */
    if (remove_inner(f->c, &f->info, checkpoint_may_go))
        warn(f->c, "the checkpoint made for the fork stays: %s", f->c->error);
    memcpy(f->c->error, error, sizeof(error));
}

/* A disk without a snapshot that can be written would be written by two. */
static int check_shared(struct fork *f)
{
    size_t i;

    for (i = 0; i < f->info.nr_disks; i++) {
        const struct ckpt_disk *d = &f->info.disks[i];

        if (checkpoint_is_left_out(d))
            return fail(f->c, -ENOTSUP,
                        "checkpoint %s has no snapshot of disk %s (%s, %s): a "
                        "fork would write to the same disk as the original. "
                        "Fork from a checkpoint that has one.",
                        f->info.id, d->vdev, d->target,
                        d->why_none ? d->why_none : "none");
    }
    return 0;
}

static int fork_open(void *arg)
{
    struct fork *f = arg;
    size_t len;
    void *json;
    int rc;

    rc = check_shared(f);
    if (!rc)
        rc = op_open_uuid(&f->op, f->c, f->info.domain_uuid);
    if (!rc)
        rc = disks_open_info(&f->disks, &f->op, &f->info);
    if (!rc)
        rc = image_open(f->c->store, f->info.id, &f->img);
    if (!rc)
        rc = image_blob(f->img, "config", &json, &len);
    if (rc)
        return rc;
    f->config = json;
    rc = xen_config_check_fork(f->op.x, f->config);
    if (rc)
        return rc;
    f->targets = calloc(f->disks.nr + 1, sizeof(*f->targets));
    if (!f->targets)
        return fail(f->c, -ENOMEM, "the list of disks");
    return 0;
}

/* The name of child @n of the count; with a name and one child, that name. */
static void child_name(struct fork *f, unsigned n)
{
    if (f->opts->name && f->count == 1)
        snprintf(f->name, sizeof(f->name), "%s", f->stem);
    else
        snprintf(f->name, sizeof(f->name), "%s-%u", f->stem, n);
}

/* Without a name given, the first free of SOURCE-fork-1, -2, … for each. */
static int next_name(struct fork *f, unsigned *n)
{
    int rc;

    for (;; (*n)++) {
        child_name(f, *n);
        rc = xen_name_free(f->op.x, f->name);
        if (rc != -EEXIST || f->opts->name)
            return rc;
    }
}

static int fork_check(void *arg)
{
    struct fork *f = arg;
    uint64_t need, have;
    unsigned i, n = 1;
    int rc;

    if (f->opts->name)
        snprintf(f->stem, sizeof(f->stem), "%s", f->opts->name);
    else
        snprintf(f->stem, sizeof(f->stem), "%.180s-fork", f->info.domain_name);
    for (i = 0; i < f->count; i++, n++) {
        rc = next_name(f, &n);
        if (rc)
            return rc;
    }
    rc = xen_config_memory(f->op.x, f->config, &need);
    if (!rc)
        rc = xen_free_bytes(f->op.x, &have);
    if (rc)
        return rc;
    need *= f->count;
    if (have < need)
        return fail(f->c, -ENOMEM,
                    "Xen has %llu MiB free, %u new domain%s need%s %llu MiB.",
                    (unsigned long long)have >> 20, f->count,
                    f->count == 1 ? "" : "s", f->count == 1 ? "s" : "",
                    (unsigned long long)need >> 20);
    return 0;
}

static int child_disks(struct fork *f)
{
    struct disk *d;
    size_t i;
    int rc = 0;

    for (i = 0; !rc && i < f->disks.nr; i++) {
        d = &f->disks.disk[i];
        rc = d->drv->fork(d, d->snapshot, f->name, &f->targets[i]);
        if (rc)
            fail_prefix(f->c, rc, "disk %s", d->vdev);
    }
    return rc;
}

static int child_build(struct fork *f, struct ckpt_domain *out)
{
    struct xen_identity id = { .name = f->name, .fresh = true };
    const char **vdevs;
    size_t i;
    int rc;

    vdevs = calloc(f->disks.nr + 1, sizeof(*vdevs));
    if (!vdevs)
        return fail(f->c, -ENOMEM, "the list of disks");
    for (i = 0; i < f->disks.nr; i++)
        vdevs[i] = f->disks.disk[i].vdev;
    id.vdevs = vdevs;
    id.targets = (const char *const *)f->targets;
    id.nr_disks = f->disks.nr;
    id.no_network = f->opts->flags & CKPT_FORK_NO_NETWORK;
    rc = xen_config_rewrite(f->op.x, f->config, &id, &f->child_config,
                            out->uuid);
    free(vdevs);
    if (!rc)
        rc = build_start(f->c, f->child_config,
                         f->info.has_memory ? f->img : NULL, &f->build,
                         &f->domid);
    return rc;
}

/* The child stands: it and its disks stay, and it is let go.  Not when there is
 * no guard any more: its disks are kept only once it can be let go. */
static int child_keep(struct fork *f, struct ckpt_domain *out)
{
    unsigned token = 0;
    int rc;

    rc = guard_hold(f->op.g);
    if (!rc && !(f->opts->flags & CKPT_FORK_LEAVE_PAUSED))
        rc = guard_add(f->op.g, GUARD_PAUSE, f->domid, NULL, &token);
    if (rc)
        return rc;
    disks_keep(f->disks.disk, f->disks.nr);
    if (guard_flush(f->op.g))
        warn(f->c, "%s: the fork is finished without it", f->c->error);
    rc = build_keep(f->c, f->build);
    f->build = NULL;
    if (!rc && token)
        rc = xen_unpause(f->op.x, f->domid);
    if (rc)
        return rc;
    guard_del(f->op.g, token);
    out->domid = f->domid;
    out->name = strdup(f->name);
    return 0;
}

/* Ends the child's turn; of one that does not stand nothing is left. */
static void child_end(struct fork *f, bool stands)
{
    size_t i;

    if (!stands) {
        build_abort(f->build);
        f->build = NULL;
        disks_undo(f->disks.disk, f->disks.nr);
    }
    for (i = 0; i < f->disks.nr; i++) {
        free(f->targets[i]);
        f->targets[i] = NULL;
    }
    free(f->child_config);
    f->child_config = NULL;
}

static int fork_children(void *arg)
{
    struct fork *f = arg;
    unsigned n = 1;
    int rc = 0;

    for (; !rc && f->nr < f->count; n++) {
        struct ckpt_domain *out = &f->out[f->nr];

        memset(out, 0, sizeof(*out));
        rc = next_name(f, &n);
        if (!rc)
            rc = child_disks(f);
        if (!rc)
            rc = steps_fault(f->c, "fork", "child disks");
        if (!rc)
            rc = child_build(f, out);
        if (!rc)
            rc = steps_fault(f->c, "fork", "child built");
        if (!rc)
            rc = child_keep(f, out);
        child_end(f, !rc);
        if (!rc)
            f->nr++;
    }
    return rc;
}

/* clang-format off */
static const struct step fork_steps[] = {
    { "source found",   fork_source,   NULL }, /* see own_checkpoint_end() */
    { "source opened",  fork_open,     NULL },
    { "room found",     fork_check,    NULL },
    { "children built", fork_children, NULL },
    { NULL,             NULL,          NULL },
};
/* clang-format on */

int ckpt_fork(ckpt *c, const char *source, const struct ckpt_fork_opts *opts,
              struct ckpt_domain *doms_out, unsigned *nr_out)
{
    static const struct ckpt_fork_opts defaults;
    struct fork f = { .c = c, .source = source, .out = doms_out };
    int rc;

    ctx_begin(c);
    f.opts = opts ? opts : &defaults;
    f.count = f.opts->count ? f.opts->count : 1;
    if (f.count > CKPT_FORK_MAX)
        rc = fail(c, -EINVAL, "at most %d forks at a time.", CKPT_FORK_MAX);
    else
        rc = steps_run(c, "fork", fork_steps, &f);
    *nr_out = f.nr;
    image_close(f.img);
    disks_close(&f.disks);
    op_close(&f.op);
    free(f.config);
    free(f.targets);
    own_checkpoint_end(&f);
    ckpt_info_fini(&f.info);
    return rc;
}
