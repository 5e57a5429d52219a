/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What is not needed any more.  A snapshot lies in the image that it was made
 * of; so an image that a rollback put another in the place of, NAME.ckpt-old-ID,
 * stays for as long as it has snapshots, though without content of its own:
 * cut to 0 bytes, which its snapshots do not mind.  Whoever removes a snapshot
 * removes what such images are without any then.
 *
 * A snapshot that has clones goes out of sight when it is removed, and away
 * with the last of them; librbd sees to that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

static bool is_old_name(const char *name, const char *id)
{
    const size_t len = strlen(name), id_len = strlen(id);
    const size_t tail = strlen(OLD_INFIX) + id_len;

    return len > tail && !strcmp(name + len - id_len, id) &&
           !strncmp(name + len - tail, OLD_INFIX, strlen(OLD_INFIX));
}

/* --- images that only were there for their snapshots ------------------------ */

static int list_images(struct session *s, rbd_image_spec_t **list_out,
                       size_t *nr_out)
{
    rbd_image_spec_t *list = NULL;
    size_t nr = 64;
    int rc;

    do {
        free(list);
        list = calloc(nr, sizeof(*list));
        if (!list)
            return -ENOMEM;
        rc = rbd_list2(s->io, list, &nr);
    } while (rc == -ERANGE);
    if (rc < 0) {
        free(list);
        return rc;
    }
    *list_out = list;
    *nr_out = nr;
    return 0;
}

/* One whose rollback has not ended has its content still. */
static bool is_spent(struct session *s, const char *id)
{
    rbd_image_t image;
    uint64_t size = 1;
    bool is_it;

    if (image_open(s, id, false, &image))
        return false;
    is_it = !rbd_get_size(image, &size) && size == 0 &&
            image_count_snapshots(image) == 0;
    rbd_close(image);
    return is_it;
}

static size_t sweep_once(struct session *s)
{
    rbd_image_spec_t *list;
    size_t nr, nr_gone = 0;

    if (list_images(s, &list, &nr))
        return 0;
    for (size_t i = 0; i < nr; i++)
        if (is_old_name(list[i].name, list[i].id) && is_spent(s, list[i].id))
            nr_gone += !rbd_remove(s->io, list[i].name);
    rbd_image_spec_list_cleanup(list, nr);
    free(list);
    return nr_gone;
}

/* One may have been a clone of another.  A failure is the next one's to mend. */
static void sweep(struct session *s)
{
    while (sweep_once(s))
        ;
}

/* --- verbs ----------------------------------------------------------------- */

int drop_snapshot(struct session *s, char *const args[])
{
    rbd_image_t image;
    int rc;

    atomic_store(&s->may_hold, true);
    rc = image_open(s, args[0], true, &image);
    if (rc == -ENOENT)
        return 0;
    if (rc)
        return no(s, rc, "the image of snapshot %s", args[1]);
    rc = rbd_snap_remove(image, args[1]);
    if (rc == -ENOENT) { /* unless a cut that was cut off is making it */
        rc = image_take_lock(image);
        if (!rc || rc == -EBUSY) /* who keeps the lock keeps it from cuts too */
            rc = rbd_snap_remove(image, args[1]);
    }
    rbd_close(image);
    if (rc == -EBUSY)
        return no(s, rc,
                  "the snapshot %s is protected or in use: clones of the "
                  "first format (rbd children) have to be flattened before.",
                  args[1]);
    if (rc && rc != -ENOENT)
        return no(s, rc, "removing the snapshot %s", args[1]);
    sweep(s);
    return 0;
}

static int empty_or_remove(struct session *s, rbd_image_t image, bool *is_spent)
{
    size_t nr_others;
    int rc;

    rc = image_others(image, &nr_others);
    if (!rc && nr_others)
        return no(s, -EBUSY, "it is still open somewhere (rbd status).");
    if (!rc)
        rc = image_count_snapshots(image);
    *is_spent = rc == 0;
    if (rc > 0)
        rc = rbd_resize(image, 0);
    return rc < 0 ? no(s, rc, "emptying it") : 0;
}

int drop_old(struct session *s, char *const args[])
{
    char name[NAME_MAX_BYTES];
    rbd_image_t image;
    bool is_it = false;
    int rc;

    rc = image_open(s, args[0], true, &image);
    if (rc == -ENOENT)
        return 0;
    if (rc)
        return no(s, rc, "the image %s", args[0]);
    rc = image_name(s, image, name);
    if (!rc && !is_old_name(name, args[0]))
        rc = no(s, -EPERM, "the image %s was not put aside by a rollback.",
                name);
    if (!rc)
        rc = empty_or_remove(s, image, &is_it);
    rbd_close(image);
    if (!rc && is_it)
        rc = rbd_remove(s->io, name) ? no(s, -EIO, "removing %s", name) : 0;
    if (!rc)
        sweep(s);
    return rc;
}
