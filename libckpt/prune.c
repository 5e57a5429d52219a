/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Retention: which checkpoints may go, by count and age, and that they do;
 * then the room that nothing needs.  A checkpoint needs no other to be
 * restored, so any may go; what is shared goes with the last that has it.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "checkpoint.h"
#include "ctx.h"
#include "mount.h"
#include "op.h"
#include "owed.h"
#include "store.h"

static bool is_wanted_domain(const struct ckpt_info *info, const char *domain)
{
    return !domain || !strcmp(info->domain_name, domain) ||
           !strcasecmp(info->domain_uuid, domain);
}

/* How many of the same domain are younger than list[at]; oldest first. */
static unsigned nr_younger(const struct ckpt_info *list, size_t nr, size_t at)
{
    unsigned found = 0;

    for (size_t i = at + 1; i < nr; i++)
        found += !strcmp(list[i].domain_uuid, list[at].domain_uuid);
    return found;
}

static bool is_protected(const struct ckpt_info *info)
{
    return info->is_head || info->keep || info->tags[0];
}

static bool is_to_go(const struct ckpt_info *list, size_t nr, size_t at,
                     const struct ckpt_prune_opts *opts)
{
    const struct ckpt_info *info = &list[at];
    const int64_t age_us = now_unix_us() - info->created_unix_us;

    if (!opts->keep_last && !opts->keep_within_s)
        return false;
    if (!is_wanted_domain(info, opts->domain) || is_protected(info))
        return false;
    if (opts->keep_last && nr_younger(list, nr, at) < opts->keep_last)
        return false;
    return !opts->keep_within_s ||
           (age_us >= 0 && (uint64_t)age_us / 1000000 >= opts->keep_within_s);
}

/* One allocation: pointers, then ids. */
static int make_ids(struct ckpt *c, size_t room, char ***ids_out)
{
    *ids_out = calloc(1, (room + 1) * (sizeof(char *) + CKPT_ID_LEN + 1));
    return *ids_out ? 0 : fail(c, -ENOMEM, "prune");
}

static void add_id(char **ids, size_t room, size_t n, const char *id)
{
    ids[n] = (char *)&ids[room + 1] + n * (CKPT_ID_LEN + 1);
    memcpy(ids[n], id, CKPT_ID_LEN + 1);
}

/* The list is as old as what was removed before took. */
static int may_still_go(struct ckpt *c, const struct ckpt_info *info)
{
    return is_protected(info)
               ? fail(c, -EBUSY, "it was marked, or rolled back to, meanwhile.")
               : 0;
}

/* What went, of those that are to go, and what did not. */
struct pruned {
    char **ids; /* owned */
    size_t nr, nr_failed;
    int rc; /* of the first that failed */
};

/* One that is busy, or is gone or marked since, is no failure; and one that
 * cannot be removed does not stop the others. */
static int remove_one(struct ckpt *c, const struct ckpt_info *info,
                      struct pruned *p, bool *is_gone)
{
    int rc = remove_inner(c, info, may_still_go);

    *is_gone = !rc;
    if (!rc || rc == -ECANCELED || rc == -ENOMEM || rc == -EROFS)
        return rc;
    if (rc == -EBUSY || rc == -ENOENT) {
        warn(c, "checkpoint %s stays: %s", info->id, c->error);
    } else {
        warn(c, "checkpoint %s: %s", info->id, c->error);
        p->rc = p->nr_failed++ ? p->rc : rc;
    }
    c->error[0] = '\0';
    return 0;
}

static int remove_all(struct ckpt *c, const struct ckpt_info *list, size_t nr,
                      const struct ckpt_prune_opts *opts, struct pruned *p)
{
    const bool is_dry = opts->flags & CKPT_PRUNE_DRY_RUN;
    int rc = 0;

    for (size_t i = 0; !rc && i < nr; i++) {
        bool is_gone = is_dry;

        if (!is_to_go(list, nr, i, opts))
            continue;
        rc = is_dry ? 0 : remove_one(c, &list[i], p, &is_gone);
        if (!rc && is_gone)
            add_id(p->ids, nr, p->nr++, list[i].id);
        if (!rc)
            rc = check_cancel(c);
    }
    return rc;
}

/* All but the heads: those are read by the next take, fork or rollback. */
static int compress(struct ckpt *c, uint64_t *saved_bytes)
{
    struct ckpt_info *list;
    char **heads = NULL;
    size_t nr, nr_heads = 0;
    int rc;

    rc = checkpoint_list(c, &list, &nr);
    if (rc)
        return rc;
    rc = make_ids(c, nr, &heads);
    for (size_t i = 0; !rc && i < nr; i++) {
        if (list[i].is_head)
            add_id(heads, nr, nr_heads++, list[i].id);
    }
    ckpt_list_free(list, nr);
    if (!rc)
        rc = store_compress(c->store, (const char *const *)heads, saved_bytes);
    free(heads);
    return rc;
}

int ckpt_prune(ckpt *c, const struct ckpt_prune_opts *opts,
               struct ckpt_prune_result *result_out)
{
    const bool is_dry = opts->flags & CKPT_PRUNE_DRY_RUN;
    struct store_space space = {.freed_bytes = 0};
    struct pruned pruned = {.ids = NULL};
    struct ckpt_prune_result result;
    struct owed owed = {.nr = 0};
    struct ckpt_info *list;
    size_t nr;
    uint64_t before, after;
    int rc;

    ctx_begin(c);
    memset(result_out, 0, sizeof(*result_out));
    rc = checkpoint_list(c, &list, &nr);
    if (rc)
        return rc;
    rc = make_ids(c, nr, &pruned.ids);
    if (!rc)
        rc = store_free_bytes(c->store, &before);
    if (!rc)
        rc = remove_all(c, list, nr, opts, &pruned);
    ckpt_list_free(list, nr);
    if (!rc)
        rc = is_dry ? owed_count(c, &owed) : owed_collect(c, &owed);
    if (!rc && !is_dry)
        rc = mount_collect(c);
    if (!rc && !is_dry)
        rc = store_prune(c->store, &space);
    if (!rc && !is_dry && opts->flags & CKPT_PRUNE_COMPRESS)
        rc = compress(c, &space.freed_bytes);
    if (!rc)
        rc = store_free_bytes(c->store, &after);
    if (rc) {
        free(pruned.ids);
        return rc;
    }
    result.ids = pruned.ids;
    /* What others wrote meanwhile hides some of it, never adds to it. */
    result.space.freed_bytes = after > before ? after - before : 0;
    if (result.space.freed_bytes < space.freed_bytes)
        result.space.freed_bytes = space.freed_bytes;
    result.space.pending_bytes = space.pending_bytes;
    result.owed = owed.nr;
    result.owed_bytes = owed.bytes;
    *result_out = result;
    return pruned.rc ? fail(c, pruned.rc,
                            "%zu checkpoint%s could not be deleted (said as "
                            "warnings); the first",
                            pruned.nr_failed, pruned.nr_failed == 1 ? "" : "s")
                     : 0;
}

int ckpt_space(ckpt *c, const char *checkpoint, struct ckpt_space *space_out)
{
    struct store_space space;
    struct ckpt_info info;
    int rc;

    ctx_begin(c);
    memset(space_out, 0, sizeof(*space_out));
    rc = checkpoint_find(c, NULL, checkpoint, &info);
    if (rc)
        return rc;
    rc = store_space(c->store, info.id, &space);
    ckpt_info_fini(&info);
    if (rc)
        return rc;
    space_out->freed_bytes = space.freed_bytes;
    space_out->pending_bytes = space.pending_bytes;
    space_out->shared_bytes = space.shared_bytes;
    return 0;
}
