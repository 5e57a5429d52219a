/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What is made out of snapshots of RBD images.  Nothing is copied: RBD's own
 * rollback goes through all objects of the image and cannot be taken back, so
 * a clone of the snapshot comes to stand where the image stood.
 *
 *   rollback   clone ID@SNAPSHOT           IMAGE.ckpt-new
 *              rename IMAGE                IMAGE.ckpt-old-ITSID
 *              rename IMAGE.ckpt-new       IMAGE
 *              map it anew, if the kernel serves it
 *   its end    IMAGE.ckpt-old-ITSID is removed, or, when it has snapshots,
 *              emptied and kept for them; or all of it backwards
 *   fork       clone ID@SNAPSHOT           fork-NAME-VDEV
 *
 * Where each rollback is to a checkpoint that was taken after the one before,
 * the clones become clones of clones.  Of those the kernel reads CHAIN_MAX in a
 * row: the next is a copy, made under a name of its own (.ckpt-made-).
 *
 * Who has an image open does not mind its being renamed.  The deeds name it by
 * its id, or by our name for it and the snapshot that it has to be a clone of.
 */
#include "disk_rbd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_deed.h"
#include "disk_name.h"

#define REMOVE_TIMEOUT_MS 1800000u /* goes through all objects */
#define COPY_TIMEOUT_MS 86400000u
#define CHAIN_MAX 16u /* the kernel maps no image with more above it */

/* --- taking back ----------------------------------------------------------- */

/* One of "VERB NAME", "VERB NAME ID", "VERB NAME ID SNAPSHOT". */
struct words {
    char verb[16];
    struct rbd_name name;
    char id[RBD_TEXT_MAX];
    char snapshot[RBD_TEXT_MAX];
};

static int read_words(struct ckpt *c, const char *text, struct words *w)
{
    char name[RBD_TEXT_MAX];

    memset(w, 0, sizeof(*w));
    if (sscanf(text, "%15s %255s %255s %255s", w->verb, name, w->id,
               w->snapshot) < 2)
        return fail(c, -EINVAL, "rbd: no deed: %s.", text);
    return rbd_name_read(c, name, &w->name);
}

/* The kernel's device of it goes first. */
static int remove_made(struct ckpt *c, struct rbd_talk *t,
                       const struct words *w)
{
    char id[RBD_TEXT_MAX] = "";
    int rc;

    rc = rbd_talk_ask(t, RBD_TIMEOUT_MS, NULL, NULL, "look %s", w->name.image);
    if (rc == -ENOENT)
        return 0;
    if (!rc && sscanf(rbd_talk_answer(t), "%255s", id) == 1)
        rc = rbd_kernel_unmap(c, id);
    if (rc)
        return rc;
    return strcmp(w->verb, "made")
               ? rbd_talk_ask(t, REMOVE_TIMEOUT_MS, NULL, NULL,
                              "unclone %s %s %s", w->name.image, w->id,
                              w->snapshot)
               : rbd_talk_ask(t, REMOVE_TIMEOUT_MS, NULL, NULL, "unmake %s",
                              w->name.image);
}

static int take_back(struct ckpt *c, struct rbd_talk *t, const struct words *w)
{
    int rc;

    if (!strcmp(w->verb, "snapshot"))
        return rbd_talk_ask(t, RBD_TIMEOUT_MS, NULL, NULL, "snapdrop %s %s",
                            w->name.image, w->name.snapshot);
    if (!strcmp(w->verb, "clone") || !strcmp(w->verb, "made"))
        return remove_made(c, t, w);
    if (!strcmp(w->verb, "rename"))
        return rbd_talk_ask(t, RBD_TIMEOUT_MS, NULL, NULL, "rename %s %s",
                            w->id, w->name.image);
    if (strcmp(w->verb, "old"))
        return fail(c, -EINVAL, "rbd: no deed: %s.", w->verb);
    rc = rbd_kernel_unmap(c, w->id);
    return rc ? rc
              : rbd_talk_ask(t, REMOVE_TIMEOUT_MS, NULL, NULL, "olddrop %s",
                             w->id);
}

int rbd_take_back(struct ckpt *c, const char *text)
{
    struct rbd_talk *t = NULL;
    struct words w;
    int rc;

    rc = read_words(c, text, &w);
    if (!rc)
        rc = rbd_talk_begin(c, &w.name, &t);
    if (!rc)
        rc = take_back(c, t, &w);
    rbd_talk_end(t);
    return rc;
}

/* --- names and deeds ------------------------------------------------------- */

int rbd_name_beside(struct disk *d, const struct rbd_name *n,
                    const char *suffix, const char *id, struct rbd_name *out)
{
    const size_t len = strlen(n->image);

    *out = *n;
    if (len + strlen(suffix) + strlen(id) >= sizeof(out->image))
        return fail(d->c, -ENAMETOOLONG, "%s%s%s", n->image, suffix, id);
    sprintf(out->image + len, "%s%s", suffix, id);
    return 0;
}

int rbd_name_made(struct disk *d, const struct rbd_name *n,
                  struct rbd_name *out)
{
    char token[48];

    snprintf(token, sizeof(token), "%d-%" PRIx64, (int)getpid(), now_us());
    return rbd_name_beside(d, n, RBD_MADE, token, out);
}

int rbd_deed(struct disk *d, enum guard_harm harm, const char *verb,
             const struct rbd_name *n, const char *id, const char *snapshot)
{
    char words[GUARD_ARG_MAX], text[RBD_TEXT_MAX];
    int rc = rbd_name_write(d->c, n, text);

    if (!rc && (size_t)snprintf(words, sizeof(words), "%s %s %s %s", verb, text,
                                id, snapshot) >= sizeof(words))
        rc = fail(d->c, -ENAMETOOLONG, "%s", text);
    if (rc)
        return rc;
    return strcmp(verb, "old") ? disk_deed_words(d, harm, words)
                               : disk_deed_words_after(d, words);
}

int rbd_move(struct disk *d, enum guard_harm harm, struct rbd_talk *t,
             const char *id, const struct rbd_name *from,
             const struct rbd_name *to)
{
    int rc = rbd_deed(d, harm, "rename", from, id, "");

    return rc ? rc
              : rbd_talk_ask(t, RBD_TIMEOUT_MS, NULL, NULL, "rename %s %s", id,
                             to->image);
}

/* --- clones ----------------------------------------------------------------- */

static int make_clone(struct disk *d, struct rbd_talk *t,
                      const struct rbd_name *of, const struct rbd_name *n,
                      char id[RBD_TEXT_MAX])
{
    int rc;

    rc = rbd_talk_ask(t, RBD_TIMEOUT_MS, NULL, NULL, "clone %s %s %s",
                      of->image, of->snapshot, n->image);
    if (!rc && sscanf(rbd_talk_answer(t), "%255s", id) != 1)
        rc = fail(d->c, -EPROTO, "%s: ckpt-rbd", n->image);
    return rc;
}

/* Nobody waits for it but us: the domain runs. */
static int copy(struct disk *d, struct rbd_talk *t, const struct rbd_name *of,
                const struct rbd_name *n, char id[RBD_TEXT_MAX])
{
    struct rbd_name made;
    int rc;

    say(d->c, "%s: copied, for of clones there are %u in a row", n->image,
        CHAIN_MAX);
    rc = rbd_name_made(d, n, &made);
    if (!rc)
        rc = rbd_deed(d, GUARD_DISK_MOVED, "made", &made, "", "");
    if (!rc)
        rc = make_clone(d, t, of, &made, id);
    if (!rc)
        rc = rbd_talk_ask(t, COPY_TIMEOUT_MS, NULL, NULL, "flatten %s",
                          made.image);
    return rc ? rc : rbd_move(d, GUARD_DISK_MOVED, t, id, &made, n);
}

static int has_room(struct rbd_talk *t, const struct rbd_name *of,
                    bool *has_room_out)
{
    int rc = rbd_talk_ask(t, RBD_TIMEOUT_MS, NULL, NULL, "chain %s %s",
                          of->image, of->snapshot);

    *has_room_out = !rc && strtoul(rbd_talk_answer(t), NULL, 10) < CHAIN_MAX;
    return rc;
}

/* An image that has the name already is not ours to take back, be it a clone
 * of the same snapshot. */
static int clone(struct disk *d, struct rbd_talk *t, const struct rbd_name *of,
                 const struct rbd_name *n, char id[RBD_TEXT_MAX])
{
    bool may_clone;
    int rc;

    rc = rbd_talk_ask(t, RBD_TIMEOUT_MS, NULL, NULL, "look %s", n->image);
    if (rc != -ENOENT)
        return rc ? rc : -EEXIST;
    rc = has_room(t, of, &may_clone);
    if (!rc && !may_clone)
        return copy(d, t, of, n, id);
    if (!rc)
        rc = rbd_deed(d, GUARD_DISK_MOVED, "clone", n, of->image, of->snapshot);
    if (!rc)
        rc = make_clone(d, t, of, n, id);
    if (rc == -EEXIST)
        disk_deed_strike(d);
    return rc;
}

/* --- rollback -------------------------------------------------------------- */

static int exchange(struct disk *d, struct rbd *r, const struct rbd_name *of)
{
    char new_id[RBD_TEXT_MAX], target[RBD_TEXT_MAX];
    struct rbd_name new_name, old_name;
    int rc;

    rc = rbd_name_beside(d, &r->name, RBD_NEW, "", &new_name);
    if (!rc)
        rc = rbd_name_beside(d, &r->name, RBD_OLD, r->id, &old_name);
    if (!rc)
        rc = clone(d, r->talk, of, &new_name, new_id);
    if (rc == -EEXIST)
        fail(d->c, rc,
             "%s/%s is there already, left by a rollback that was "
             "interrupted: remove it (rbd remove).",
             new_name.pool, new_name.image);
    if (!rc)
        rc = rbd_move(d, GUARD_DISK_MOVED, r->talk, r->id, &r->name, &old_name);
    if (!rc)
        rc =
            rbd_move(d, GUARD_DISK_MOVED, r->talk, new_id, &new_name, &r->name);
    if (!rc && r->is_kernel)
        rc = rbd_kernel_map(d->c, &r->name, new_id, target);
    return rc ? rc : rbd_deed(d, GUARD_DISK_MOVED, "old", &old_name, r->id, "");
}

int rbd_rollback(struct disk *d, const char *snapshot)
{
    struct rbd r = {.talk = NULL};
    struct rbd_name of;
    int rc;

    rc = rbd_name_read_ours(d->c, snapshot, &of);
    if (!rc)
        rc = rbd_find(d, &r);
    if (!rc && (strcmp(of.pool, r.name.pool) || strcmp(of.space, r.name.space)))
        rc = fail(d->c, -ENOTSUP, "%s: its snapshot %s is in another pool.",
                  d->target, snapshot);
    if (!rc)
        rc = exchange(d, &r, &of);
    rbd_end(&r);
    return rc;
}

/* What served the old domain may need a moment to let go: then it is the
 * guard's, which tries for some minutes. */
int rbd_rollback_end(struct disk *d, bool keep_new)
{
    int rc;

    if (!keep_new)
        return disk_deed_undo_all(d);
    disk_keep(d);
    rc = disk_deed_undo_after(d);
    if (rc == -EBUSY && d->g) {
        say(d->c, "%s: what it was before is removed later: %s", d->target,
            d->c->error);
        rc = 0;
    }
    return rc ? fail_prefix(d->c, rc, "%s: the content before the rollback",
                            d->target)
              : 0;
}

/* --- fork, remove, check --------------------------------------------------- */

static int write_target(struct disk *d, const struct rbd_name *n,
                        const char *id, char **target_out)
{
    char text[RBD_TEXT_MAX], *target = NULL;
    int rc;

    if (!strncmp(d->target, RBD_URL, strlen(RBD_URL))) {
        rc = rbd_name_write(d->c, n, text);
        if (!rc && asprintf(&target, RBD_URL "%s", text) < 0)
            target = NULL;
    } else {
        rc = rbd_kernel_map(d->c, n, id, text);
        if (!rc)
            target = strdup(text);
    }
    if (!rc && !target)
        rc = fail(d->c, -ENOMEM, "%s", n->image);
    *target_out = target;
    return rc;
}

int rbd_fork(struct disk *d, const char *snapshot, const char *name,
             char **target_out)
{
    char id[RBD_TEXT_MAX];
    struct rbd_talk *t = NULL;
    struct rbd_name of, n;
    int rc;

    rc = rbd_name_read_ours(d->c, snapshot, &of);
    if (rc)
        return rc;
    n = of;
    n.snapshot[0] = '\0';
    disk_name_fork(name, d->vdev, n.image, sizeof(n.image));
    rc = rbd_talk_begin(d->c, &of, &t);
    if (!rc)
        rc = clone(d, t, &of, &n, id);
    if (rc == -EEXIST)
        fail(d->c, rc,
             "%s/%s is another fork's disk; remove it (rbd remove), or choose "
             "another name.",
             n.pool, n.image);
    if (!rc)
        rc = write_target(d, &n, id, target_out);
    rbd_talk_end(t);
    return rc;
}

static int ask_of(struct ckpt *c, const char *snapshot, const char *verb)
{
    struct rbd_talk *t = NULL;
    struct rbd_name n;
    int rc;

    rc = rbd_name_read_ours(c, snapshot, &n);
    if (!rc)
        rc = rbd_talk_begin(c, &n, &t);
    if (!rc)
        rc = rbd_talk_ask(t, REMOVE_TIMEOUT_MS, NULL, NULL, "%s %s %s", verb,
                          n.image, n.snapshot);
    rbd_talk_end(t);
    return rc ? fail_prefix(c, rc, "the snapshot %s", snapshot) : 0;
}

int rbd_remove(struct ckpt *c, const char *snapshot)
{
    return ask_of(c, snapshot, "snapdrop");
}

int rbd_check(struct ckpt *c, const char *snapshot)
{
    return ask_of(c, snapshot, "check");
}
