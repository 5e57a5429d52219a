/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Puts a domain back to a checkpoint.
 *
 * On a stock Xen that means another domain of the same name and UUID, built
 * from the checkpoint beside the old one, which stands paused meanwhile with
 * everything it had.  Only when the new one stands is the old one destroyed;
 * until then every step has its way back, and after it the guard finishes
 * what we cannot.  What can be checked is checked before anything is done, and
 * the disks are switched before the pause: the old one still runs then, on the
 * volumes it holds open.
 *
 * With too little memory for both, or with something of the host that only one
 * can have, the old one has to go first; that is done when asked for
 * (CKPT_ROLLBACK_DESTROY_FIRST), and only then.
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

struct rollback {
    struct ckpt *c;
    const char *domain, *checkpoint;
    unsigned flags;
    struct op op;
    bool has_old; /* the domain runs: else it is only brought back */
    struct ckpt_info info;
    struct image *img;
    struct disks disks;
    char *config;                     /* of the new one */
    char name[256];                   /* which both have in turn */
    char aside[300];                  /* the old one's meanwhile */
    bool old_goes_first;              /* asked for */
    unsigned token_pause, token_name; /* of the old one */
    struct build *build;
    uint32_t new_domid;
    unsigned token_new, token_let_go; /* of the new one */
    uint64_t down_begin_us;
    struct ckpt_domain *out;
};

/* A domain that is not running is looked for among the checkpoints. */
static int find_gone(struct rollback *r)
{
    struct ckpt_info *list;
    char uuid[37] = "";
    size_t i, nr;
    int rc;

    rc = checkpoint_list(r->c, &list, &nr);
    if (rc)
        return rc;
    for (i = 0; i < nr; i++)
        if (!strcmp(list[i].domain_name, r->domain))
            memcpy(uuid, list[i].domain_uuid, sizeof(uuid));
    ckpt_list_free(list, nr);
    if (!uuid[0])
        return fail(r->c, -ENOENT,
                    "there is no domain \"%s\", and no checkpoint of one.",
                    r->domain);
    rc = op_open_uuid(&r->op, r->c, uuid);
    memcpy(r->op.dom.uuid, uuid, sizeof(uuid));
    /* One that was renamed runs on those disks. */
    return rc ? rc : xen_uuid_free(r->op.x, uuid);
}

/* Memory of then over a disk of now destroys what is on it.  Who excluded a
 * disk at the take was told so; of one that is missing otherwise nobody chose
 * that. */
static int check_disks(struct rollback *r)
{
    for (size_t i = 0; i < r->info.nr_disks; i++) {
        const struct ckpt_disk *d = &r->info.disks[i];

        if (checkpoint_is_left_out(d) &&
            !(d->why_none && !strcmp(d->why_none, "excluded")))
            return fail(r->c, -ENOTSUP,
                        "checkpoint %s has no snapshot of disk %s (%s), which "
                        "the guest writes. If nothing has written it since, "
                        "xl checkpoint-export and xl restore bring the domain "
                        "back on it as it is.",
                        r->info.id, d->vdev, d->target);
    }
    return 0;
}

static int rollback_find(void *arg)
{
    struct rollback *r = arg;
    int rc;

    rc = op_open(&r->op, r->c, r->domain, NULL);
    r->has_old = !rc;
    if (rc == -ENOENT && !r->op.lock) {
        op_close(&r->op);
        rc = find_gone(r);
    }
    if (!rc)
        rc = checkpoint_find(r->c, r->op.dom.uuid, r->checkpoint, &r->info);
    if (!rc)
        rc = check_disks(r);
    if (rc)
        return rc;
    snprintf(r->name, sizeof(r->name), "%.250s",
             r->has_old ? r->op.dom.name : r->info.domain_name);
    snprintf(r->aside, sizeof(r->aside), "%s--rolling-back", r->name);
    return disks_open_info(&r->disks, &r->op, &r->info);
}

static int rollback_verify(void *arg)
{
    struct rollback *r = arg;

    return op_verify(r->c, &r->info);
}

/* The configuration of the checkpoint, under the name the domain has now. */
static int make_config(struct rollback *r)
{
    struct xen_identity id = {.name = r->name};
    char uuid[37];
    size_t len;
    void *json;
    int rc;

    rc = image_blob(r->img, "config", &json, &len);
    if (rc)
        return rc;
    rc = xen_config_rewrite(r->op.x, json, &id, &r->config, uuid);
    free(json);
    return rc;
}

static int no_room(struct rollback *r, uint64_t have, uint64_t need)
{
    if (r->old_goes_first)
        return fail(r->c, -ENOMEM,
                    "Xen has %llu MiB for the new domain once the old one is "
                    "gone, and it needs %llu MiB.",
                    (unsigned long long)have >> 20,
                    (unsigned long long)need >> 20);
    return fail(r->c, -ENOMEM,
                "Xen has %llu MiB free, the new domain needs %llu MiB beside "
                "the old one. Free some, or let the old one be destroyed "
                "before the new one stands (--destroy-first).",
                (unsigned long long)have >> 20, (unsigned long long)need >> 20);
}

static int rollback_room(void *arg)
{
    struct rollback *r = arg;
    uint64_t need, have;
    int rc;

    r->old_goes_first =
        r->has_old && r->flags & CKPT_ROLLBACK_DESTROY_FIRST;
    rc = image_open(r->c->store, r->info.id, &r->img);
    if (!rc)
        rc = make_config(r);
    if (!rc && r->has_old && !r->old_goes_first)
        rc = xen_config_check_beside(r->op.x, r->config);
    if (!rc)
        rc = xen_config_memory(r->op.x, r->config, &need);
    if (!rc)
        rc = xen_free_bytes(r->op.x, &have);
    if (rc)
        return rc;
    if (r->old_goes_first)
        have += r->op.dom.memory_bytes;
    return have >= need ? 0 : no_room(r, have, need);
}

static void rollback_room_undo(void *arg)
{
    struct rollback *r = arg;

    image_close(r->img);
    r->img = NULL;
}

static int rollback_pause(void *arg)
{
    struct rollback *r = arg;
    int rc;

    r->down_begin_us = now_us();
    if (!r->has_old)
        return 0;
    rc =
        guard_add(r->op.g, GUARD_PAUSE, r->op.dom.domid, NULL, &r->token_pause);
    return rc ? rc : xen_pause(r->op.x, r->op.dom.domid);
}

static void rollback_pause_undo(void *arg)
{
    struct rollback *r = arg;

    if (!r->token_pause)
        return;
    if (!xen_unpause(r->op.x, r->op.dom.domid)) {
        guard_del(r->op.g, r->token_pause);
        r->token_pause = 0;
    }
}

static int rollback_disks(void *arg)
{
    struct rollback *r = arg;
    struct disk *d;
    size_t i;
    int rc = 0;

    for (i = 0; !rc && i < r->disks.nr; i++) {
        d = &r->disks.disk[i];
        rc = d->drv->rollback(d, d->snapshot);
        if (rc)
            fail_prefix(r->c, rc, "disk %s", d->vdev);
    }
    return rc;
}

static void rollback_disks_undo(void *arg)
{
    struct rollback *r = arg;

    disks_undo(r->disks.disk, r->disks.nr);
}

static int rollback_aside(void *arg)
{
    struct rollback *r = arg;
    int rc;

    if (!r->has_old || r->old_goes_first)
        return 0;
    rc = guard_add(r->op.g, GUARD_DOMAIN_NAME, r->op.dom.domid, r->name,
                   &r->token_name);
    return rc ? rc : xen_rename(r->op.x, r->op.dom.domid, r->name, r->aside);
}

static void rollback_aside_undo(void *arg)
{
    struct rollback *r = arg;

    if (!r->token_name)
        return;
    if (!xen_rename(r->op.x, r->op.dom.domid, r->aside, r->name)) {
        guard_del(r->op.g, r->token_name);
        r->token_name = 0;
    }
}

/*
 * Until now our death undoes it all, from here on the guard finishes it: the
 * new one, if it stands already, is let go, and the old one destroyed.  Nothing
 * is forgotten before the guard has all of that: of one that is gone we undo
 * everything ourselves.  Should it go in the instant that is left, what the
 * disks had can be put back no more, and all is finished without it.
 */
static int turn(struct rollback *r, unsigned *token_old_out)
{
    struct guard *g = r->op.g;
    int rc;

    *token_old_out = 0;
    rc = guard_hold(g);
    if (!rc && r->token_new && !(r->flags & CKPT_ROLLBACK_LEAVE_PAUSED))
        rc = guard_add(g, GUARD_PAUSE, r->new_domid, NULL, &r->token_let_go);
    if (!rc)
        rc = guard_del(g, r->token_new);
    if (!rc && r->has_old)
        rc = guard_add(g, GUARD_DOMAIN, r->op.dom.domid, NULL, token_old_out);
    if (!rc)
        rc = guard_del(g, r->token_pause);
    if (!rc)
        rc = guard_del(g, r->token_name);
    if (rc)
        return rc;
    disks_keep(r->disks.disk, r->disks.nr);
    r->token_pause = r->token_name = r->token_new = 0;
    if (guard_flush(g))
        warn(r->c, "%s: the rollback is finished without it", r->c->error);
    return 0;
}

static int old_destroyed(struct rollback *r)
{
    struct xen_vm_node *node = NULL;
    unsigned token;
    int rc;

    rc = turn(r, &token);
    if (!rc)
        rc = steps_fault(r->c, "rollback", "turned");
    if (rc || !r->has_old)
        return rc;
    /* Both have the UUID, and the old one takes its folder along. */
    if (!r->old_goes_first)
        rc = xen_vm_node_save(r->op.x, r->op.dom.uuid, &node);
    if (!rc)
        rc = xen_destroy(r->op.x, r->op.dom.domid);
    if (!rc)
        guard_del(r->op.g, token);
    if (!rc && node)
        rc = xen_vm_node_write(r->op.x, node);
    xen_vm_node_free(node);
    return rc;
}

static int rollback_make_room(void *arg)
{
    struct rollback *r = arg;

    return r->old_goes_first ? old_destroyed(r) : 0;
}

static int rollback_build(void *arg)
{
    struct rollback *r = arg;

    return build_start(r->c, r->config, r->info.has_memory ? r->img : NULL,
                       &r->build, &r->new_domid);
}

static void rollback_build_undo(void *arg)
{
    struct rollback *r = arg;

    build_abort(r->build);
    r->build = NULL;
    /* No longer its builder's to destroy: see rollback_switch(). */
    if (r->token_new && !xen_destroy(r->op.x, r->new_domid)) {
        guard_del(r->op.g, r->token_new);
        r->token_new = 0;
    }
}

/*
 * The new one stands.  Its builder would destroy it if we died, and the guard
 * the old one: one death must not do both.  So the new one becomes the guard's
 * first, and the guard is told in one breath which of the two it is to be.
 */
static int rollback_switch(void *arg)
{
    struct rollback *r = arg;
    struct ckpt *c = r->c;
    int rc;

    rc = guard_add(r->op.g, GUARD_DOMAIN, r->new_domid, NULL, &r->token_new);
    if (rc)
        return rc;
    rc = build_keep(c, r->build);
    r->build = NULL;
    if (!rc)
        rc = steps_fault(c, "rollback", "new one kept");
    if (r->old_goes_first)
        r->has_old = false; /* destroyed in an earlier step */
    if (!rc)
        rc = old_destroyed(r);
    if (!rc && r->token_let_go)
        rc = xen_unpause(r->op.x, r->new_domid);
    if (!rc)
        guard_del(r->op.g, r->token_let_go);
    return rc;
}

static int rollback_finish(void *arg)
{
    struct rollback *r = arg;
    size_t i;
    int rc = 0;

    r->out->down_us = now_us() - r->down_begin_us;
    for (i = 0; i < r->disks.nr; i++) {
        struct disk *d = &r->disks.disk[i];
        int e = d->drv->rollback_end(d, true);

        rc = rc ? rc : e;
    }
    if (rc)
        warn(r->c, "rolled back, but not all is tidy: %s", r->c->error);
    if (checkpoint_set_head(r->c, r->info.domain_uuid, r->info.id))
        warn(r->c, "rolled back, but the tree does not show it: %s",
             r->c->error);
    r->out->domid = r->new_domid;
    memcpy(r->out->uuid, r->info.domain_uuid, sizeof(r->out->uuid));
    r->out->name = strdup(r->name);
    return 0;
}

/* clang-format off */
static const struct step rollback_steps[] = {
    { "domain found",        rollback_find,      NULL                },
    { "checkpoint verified", rollback_verify,    NULL                },
    { "room found",          rollback_room,      rollback_room_undo  },
    { "disks switched",      rollback_disks,     rollback_disks_undo },
    { "domain paused",       rollback_pause,     rollback_pause_undo },
    { "name given up",       rollback_aside,     rollback_aside_undo },
    { "room made",           rollback_make_room, NULL                },
    { "domain built",        rollback_build,     rollback_build_undo },
    { "domain switched",     rollback_switch,    NULL                },
    { "tidied",              rollback_finish,    NULL                },
    { NULL,                  NULL,               NULL                },
};
/* clang-format on */

int ckpt_rollback(ckpt *c, const char *domain, const char *checkpoint,
                  const struct ckpt_rollback_opts *opts,
                  struct ckpt_domain *dom_out)
{
    struct ckpt_domain unused = {0};
    struct rollback r = {.c = c,
                         .domain = domain,
                         .checkpoint = checkpoint,
                         .flags = opts ? opts->flags : 0,
                         .out = dom_out ? dom_out : &unused};
    int rc;

    ctx_begin(c);
    memset(r.out, 0, sizeof(*r.out));
    rc = steps_run(c, "rollback", rollback_steps, &r);
    image_close(r.img);
    free(r.config);
    disks_close(&r.disks);
    op_close(&r.op);
    ckpt_info_fini(&r.info);
    ckpt_domain_fini(&unused);
    return rc;
}
