/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Several domains at one instant.  Each has its own take (take.c), and they go
 * step by step together: all are ready before the first is asked to stand
 * still, and none goes on before the last is cut.
 *
 *   step      a        b        c          group.ID in the store
 *   ...       armed    armed    armed
 *   cut       still .. still .. still
 *   commit    hidden   hidden   hidden     "UUIDs": pending
 *             there    there    there      removed: the one commit of all
 *
 * A member of a group that is pending is not there for anybody.  If we die
 * before the mark is removed, the next group that is taken sweeps the members
 * away, and their disks' snapshots with them; that nobody works on the group
 * any more is known by the lock of its first domain, which is held throughout.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "ctx.h"
#include "disk_beats.h"
#include "steps.h"
#include "store_driver.h"
#include "take.h"

struct group {
    struct ckpt *c;
    const char *name;
    char id[CKPT_ID_LEN + 1];
    struct take *takes; /* owned */
    size_t nr;
    bool is_marked;
};

/* --- what died in the making ----------------------------------------------- */

static int sweep_members(struct ckpt *c, const char *group_id)
{
    struct ckpt_info info;
    char **ids, *text;
    int rc;

    rc = store_list(c->store, &ids);
    if (rc)
        return rc;
    for (size_t i = 0; !rc && ids[i]; i++) {
        if (store_manifest(c->store, ids[i], &text))
            continue;
        memset(&info, 0, sizeof(info));
        if (!checkpoint_from_json(c, "manifest", text, &info) &&
            info.group_id && !strcmp(info.group_id, group_id))
            rc = remove_inner(c, &info, NULL);
        ckpt_info_fini(&info);
        free(text);
    }
    free(ids);
    return rc;
}

static int sweep(struct ckpt *c, const char *key)
{
    struct store_lock *lock = NULL;
    char *uuids;
    int rc;

    rc = store_get(c->store, key, &uuids);
    if (rc)
        return rc;
    uuids[strcspn(uuids, " ")] = '\0';
    rc = store_lock(c->store, uuids, &lock, NULL);
    free(uuids);
    if (rc)
        return 0; /* is being taken just now */
    store_unlock(lock);
    say(c, "removing what is left of a group that was not finished");
    rc = sweep_members(c, key + strlen(CHECKPOINT_GROUP_KEY));
    return rc ? rc : store_set(c->store, key, NULL);
}

static void sweep_all(struct ckpt *c)
{
    char **keys;

    if (store_keys(c->store, &keys))
        return;
    for (size_t i = 0; keys[i]; i++)
        if (!strncmp(keys[i], CHECKPOINT_GROUP_KEY,
                     strlen(CHECKPOINT_GROUP_KEY)) &&
            sweep(c, keys[i]))
            warn(c, "an unfinished group stays: %s", c->error);
    free(keys);
    c->error[0] = '\0';
}

/* --- the steps ------------------------------------------------------------- */

static int each(struct group *g, int (*fn)(void *take))
{
    int rc = 0;

    for (size_t i = 0; !rc && i < g->nr; i++) {
        rc = fn(&g->takes[i]);
        if (rc)
            fail_prefix(g->c, rc, "\"%s\"", g->takes[i].domain);
    }
    return rc;
}

static void each_undo(struct group *g, void (*fn)(void *take))
{
    for (size_t i = g->nr; i-- > 0;)
        fn(&g->takes[i]);
}

static int group_find(void *arg)
{
    struct group *g = arg;
    struct take *t;
    int rc;

    rc = checkpoint_new_id(g->c, g->id);
    if (!rc)
        rc = each(g, take_find);
    for (size_t i = 0; !rc && i < g->nr; i++) {
        t = &g->takes[i];
        t->info.group = strdup(g->name);
        t->info.group_id = strdup(g->id);
        if (!t->info.group || !t->info.group_id)
            rc = fail(g->c, -ENOMEM, "group \"%s\"", g->name);
    }
    return rc;
}

static int group_disks_find(void *arg)
{
    return each(arg, take_disks_find);
}

static int group_room(void *arg)
{
    return each(arg, take_room);
}

static void group_room_undo(void *arg)
{
    each_undo(arg, take_room_undo);
}

static int group_mem_arm(void *arg)
{
    return each(arg, take_mem_arm);
}

static void group_mem_undo(void *arg)
{
    each_undo(arg, take_mem_undo);
}

static int group_disks_arm(void *arg)
{
    return each(arg, take_disks_arm);
}

static void group_disks_undo(void *arg)
{
    each_undo(arg, take_disks_undo);
}

static int group_cut(void *arg)
{
    struct group *g = arg;
    struct take *list[CKPT_GROUP_MAX];

    for (size_t i = 0; i < g->nr; i++)
        list[i] = &g->takes[i];
    return take_cut_all(list, g->nr);
}

/* All disks first: from the cut on all guests wait for theirs. */
static int group_disks_drain(void *arg)
{
    struct group *g = arg;
    int rc = 0, r;

    for (size_t i = 0; i < g->nr; i++) {
        r = take_disks_drain(&g->takes[i]);
        rc = rc ? rc : r;
    }
    return rc;
}

static int group_mem_drain(void *arg)
{
    return each(arg, take_mem_drain);
}

static int group_mark(void *arg)
{
    struct group *g = arg;
    char uuids[CKPT_GROUP_MAX * 40] = "";
    size_t len = 0;
    int rc;

    for (size_t i = 0; i < g->nr; i++)
        len += (size_t)snprintf(uuids + len, sizeof(uuids) - len, "%s%s",
                                i ? " " : "", g->takes[i].op.dom.uuid);
    rc = checkpoint_set_group_pending(g->c, g->id, uuids);
    g->is_marked = !rc;
    return rc;
}

static int group_commit(void *arg)
{
    return each(arg, take_commit);
}

static int group_unmark(void *arg)
{
    struct group *g = arg;
    int rc = checkpoint_set_group_pending(g->c, g->id, NULL);

    g->is_marked = rc != 0;
    return rc;
}

/* clang-format off */
static const struct step group_steps[] = {
    { "domains found",  group_find,        NULL             },
    { "disks found",    group_disks_find,  group_disks_undo },
    { "room found",     group_room,        group_room_undo  },
    { "memory armed",   group_mem_arm,     group_mem_undo   },
    { "disks armed",    group_disks_arm,   group_disks_undo },
    { "cut",            group_cut,         NULL             }, /* the pause */
    { "disks stored",   group_disks_drain, NULL             },
    { "memory stored",  group_mem_drain,   NULL             },
    { "marked",         group_mark,        NULL             },
    { "each committed", group_commit,      NULL             },
    { "committed",      group_unmark,      NULL             }, /* for all */
    { NULL,             NULL,              NULL             },
};
/* clang-format on */

/* Two names of one domain would lock each other out; that is said better. */
static int check_words(struct ckpt *c, const char *group,
                       const char *const *domains, size_t nr)
{
    const size_t len = strlen(group);

    if (!len || len > 64 ||
        group[strspn(group, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "abcdefghijklmnopqrstuvwxyz0123456789._-")])
        return fail(c, -EINVAL,
                    "\"%.80s\" cannot be the name of a group: 1 to 64 "
                    "letters, digits, '.', '_' and '-'.",
                    group);
    if (!nr || nr > CKPT_GROUP_MAX)
        return fail(c, -EINVAL, "a group has 1 to %d domains.", CKPT_GROUP_MAX);
    for (size_t i = 0; i < nr; i++)
        for (size_t j = 0; j < i; j++)
            if (!strcmp(domains[i], domains[j]))
                return fail(c, -EINVAL, "domain \"%s\" is named twice.",
                            domains[i]);
    return 0;
}

int ckpt_take_group(ckpt *c, const char *group, const char *const *domains,
                    size_t nr, const struct ckpt_take_opts *opts,
                    struct ckpt_info *infos_out)
{
    struct group g = {.c = c, .name = group, .nr = nr};
    int rc;

    ctx_begin(c);
    rc = check_words(c, group, domains, nr);
    if (rc)
        return rc;
    g.takes = calloc(nr, sizeof(*g.takes));
    if (!g.takes)
        return fail(c, -ENOMEM, "group \"%s\"", group);
    sweep_all(c);
    for (size_t i = 0; i < nr; i++)
        take_init(&g.takes[i], c, domains[i], opts ? &opts[i] : NULL);
    rc = steps_run(c, "group", group_steps, &g);
    for (size_t i = 0; i < nr; i++)
        take_fini(&g.takes[i], rc, infos_out ? &infos_out[i] : NULL);
    free(g.takes);
    if (g.is_marked) {
        char error[sizeof(c->error)];

        memcpy(error, c->error, sizeof(error));
        sweep_all(c);
        memcpy(c->error, error, sizeof(error));
    }
    return rc;
}
