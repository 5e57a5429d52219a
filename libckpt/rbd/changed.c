/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * In which bytes two snapshots may differ, as the cluster tells it.
 *
 *   image A   --S1----S2-----S3
 *                      \
 *   image B             -----T1----T2      a clone of S2 by a rollback
 *
 * Both have a path to the image that is no clone.  Where the paths meet, the
 * two snapshots there are compared (S3 and T1: S2 to S3); of each image before
 * that, all objects it has of its own count as changed.  The answer is the same
 * in both directions; its extents are in no order, and may overlap.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "session.h"

#define DEPTH_MAX 64u

/* An image on the way, and at which of its snapshots. */
struct place {
    char id[ID_MAX];
    char snapshot[NAME_MAX_BYTES]; /* "": deleted, so it has no name */
    uint64_t snapshot_id;
};
struct path {
    struct place place[DEPTH_MAX];
    size_t nr;
};

static int print_extent(uint64_t offset, size_t len, int exists, void *arg)
{
    struct session *s = arg;

    (void)exists;
    return fprintf(s->out, "- %" PRIu64 " %zu\n", offset, len) < 0 ? -EPIPE : 0;
}

/* --- paths ----------------------------------------------------------------- */

static int copy(char *out, size_t room_bytes, const char *text)
{
    return (size_t)snprintf(out, room_bytes, "%s", text) < room_bytes
               ? 0
               : -ENAMETOOLONG;
}

/* From @at to the place its image is a clone of.  1: of none here. */
static int step_up(struct session *s, const struct place *at, struct place *up)
{
    char pool[NAME_MAX_BYTES] = "";
    rbd_linked_image_spec_t parent;
    rbd_snap_spec_t snap;
    rbd_image_t image;
    int rc;

    rc = image_open(s, at->id, false, &image);
    if (rc)
        return rc;
    rc = rbd_snap_set_by_id(image, at->snapshot_id);
    if (!rc)
        rc = rbd_get_parent(image, &parent, &snap);
    rbd_close(image);
    if (rc)
        return rc == -ENOENT ? 1 : rc;
    rc = rados_ioctx_get_pool_name(s->io, pool, sizeof(pool));
    if (rc >= 0)
        rc = strcmp(pool, parent.pool_name) != 0;
    if (!rc)
        rc = copy(up->id, sizeof(up->id), parent.image_id);
    if (!rc && snap.namespace_type == RBD_SNAP_NAMESPACE_TYPE_USER)
        rc = copy(up->snapshot, sizeof(up->snapshot), snap.name);
    up->snapshot_id = snap.id;
    rbd_linked_image_spec_cleanup(&parent);
    rbd_snap_spec_cleanup(&snap);
    return rc;
}

static int find_path(struct session *s, const char *id, const char *snapshot,
                     struct path *p)
{
    struct place *first = &p->place[0];
    rbd_image_t image;
    int rc;

    memset(p, 0, sizeof(*p));
    p->nr = 1;
    rc = image_open(s, id, false, &image);
    if (rc)
        return rc;
    rc = rbd_snap_get_id(image, snapshot, &first->snapshot_id);
    rbd_close(image);
    if (!rc)
        rc = copy(first->id, sizeof(first->id), id);
    if (!rc)
        rc = copy(first->snapshot, sizeof(first->snapshot), snapshot);
    while (!rc && p->nr < DEPTH_MAX) {
        rc = step_up(s, &p->place[p->nr - 1], &p->place[p->nr]);
        p->nr += rc == 0;
    }
    return rc < 0 ? rc : 0;
}

static bool do_meet(const struct path *a, const struct path *b, size_t *i_out,
                    size_t *j_out)
{
    for (*i_out = 0; *i_out < a->nr; (*i_out)++)
        for (*j_out = 0; *j_out < b->nr; (*j_out)++)
            if (!strcmp(a->place[*i_out].id, b->place[*j_out].id))
                return true;
    return false;
}

/* --- pieces ---------------------------------------------------------------- */

/* All objects that are not its parent's: emptied ones are among them. */
static int print_own(struct session *s, const struct place *at)
{
    uint64_t size;
    rbd_image_t image;
    int rc;

    rc = image_open(s, at->id, false, &image);
    if (rc)
        return rc;
    rc = rbd_snap_set_by_id(image, at->snapshot_id);
    if (!rc)
        rc = rbd_get_size(image, &size);
    if (!rc)
        rc = rbd_diff_iterate2(image, NULL, 0, size, 0, 1, print_extent, s);
    rbd_close(image);
    return rc;
}

static int print_between(struct session *s, rbd_image_t image,
                         const struct place *older, const struct place *newer)
{
    uint64_t before, size;
    int rc;

    if (!older->snapshot[0])
        return -EOPNOTSUPP;
    rc = rbd_snap_set_by_id(image, older->snapshot_id);
    if (!rc)
        rc = rbd_get_size(image, &before);
    if (!rc)
        rc = rbd_snap_set_by_id(image, newer->snapshot_id);
    if (!rc)
        rc = rbd_get_size(image, &size);
    if (rc)
        return rc;
    rc = rbd_diff_iterate2(image, older->snapshot, 0, size, 0, 0, print_extent,
                           s);
    if (!rc && before > size)
        rc = print_extent(size, before - size, 0, s);
    return rc;
}

static int print_meeting(struct session *s, const struct place *a,
                         const struct place *b)
{
    rbd_image_t image;
    int rc;

    if (a->snapshot_id == b->snapshot_id)
        return 0;
    rc = image_open(s, a->id, false, &image);
    if (rc)
        return rc;
    rc = a->snapshot_id < b->snapshot_id ? print_between(s, image, a, b)
                                         : print_between(s, image, b, a);
    rbd_close(image);
    return rc;
}

int changed(struct session *s, char *const args[])
{
    static struct path a, b; /* large */
    size_t i, j;
    int rc;

    rc = find_path(s, args[0], args[1], &a);
    if (!rc)
        rc = find_path(s, args[2], args[3], &b);
    if (!rc && !do_meet(&a, &b, &i, &j))
        return no(s, -EOPNOTSUPP,
                  "the images of the two snapshots have nothing in common "
                  "(any more).");
    for (size_t n = 0; !rc && n < i; n++)
        rc = print_own(s, &a.place[n]);
    for (size_t n = 0; !rc && n < j; n++)
        rc = print_own(s, &b.place[n]);
    if (!rc)
        rc = print_meeting(s, &a.place[i], &b.place[j]);
    if (rc == -EOPNOTSUPP)
        return no(s, rc,
                  "between the two lies a rollback to a checkpoint that is "
                  "deleted.");
    return rc ? no(s, rc, "comparing %s and %s", args[1], args[3]) : 0;
}
