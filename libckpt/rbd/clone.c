/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Clones of a snapshot: in the second format, so that the snapshot needs no
 * protection and may be deleted before them.  A clone has the features, the
 * striping and the data pool of the image it is made of.
 */
#include <errno.h>
#include <string.h>

#include "session.h"

/* Those that are chosen when an image is made; the rest follows. */
#define CHOSEN                                                                 \
    (RBD_FEATURE_LAYERING | RBD_FEATURE_STRIPINGV2 |                           \
     RBD_FEATURE_EXCLUSIVE_LOCK | RBD_FEATURE_OBJECT_MAP |                     \
     RBD_FEATURE_FAST_DIFF | RBD_FEATURE_DEEP_FLATTEN |                        \
     RBD_FEATURE_JOURNALING)

static int set_data_pool(struct session *s, rbd_image_t from,
                         rbd_image_options_t options)
{
    const int64_t pool = rbd_get_data_pool_id(from);
    char name[NAME_MAX_BYTES];
    int len;

    if (pool < 0 || pool == rados_ioctx_get_id(s->io))
        return 0;
    len = rados_pool_reverse_lookup(s->cluster, pool, name, sizeof(name));
    if (len < 0)
        return len;
    return rbd_image_options_set_string(options, RBD_IMAGE_OPTION_DATA_POOL,
                                        name);
}

static int set_options(struct session *s, rbd_image_t from,
                       rbd_image_options_t options)
{
    uint64_t features, unit = 0, count = 0;
    rbd_image_info_t info;
    int rc;

    rc = rbd_get_features(from, &features);
    if (!rc)
        rc = rbd_stat(from, &info, sizeof(info));
    if (!rc)
        rc = rbd_get_stripe_unit(from, &unit);
    if (!rc)
        rc = rbd_get_stripe_count(from, &count);
    if (rc)
        return rc;
    const struct {
        int option;
        uint64_t value;
    } set[] = {
        {RBD_IMAGE_OPTION_CLONE_FORMAT, 2},
        {RBD_IMAGE_OPTION_FEATURES, (features | RBD_FEATURE_LAYERING) & CHOSEN},
        {RBD_IMAGE_OPTION_ORDER, (uint64_t)info.order},
        {RBD_IMAGE_OPTION_STRIPE_UNIT, unit},
        {RBD_IMAGE_OPTION_STRIPE_COUNT, count},
    };

    for (size_t i = 0; !rc && i < sizeof(set) / sizeof(set[0]); i++)
        rc = rbd_image_options_set_uint64(options, set[i].option, set[i].value);
    return rc ? rc : set_data_pool(s, from, options);
}

static int clone(struct session *s, rbd_image_t from, const char *snapshot,
                 const char *name)
{
    char from_name[NAME_MAX_BYTES];
    rbd_image_options_t options;
    int rc;

    rc = image_name(s, from, from_name);
    if (rc)
        return rc;
    rbd_image_options_create(&options);
    rc = set_options(s, from, options);
    if (!rc && atomic_load(&s->is_over))
        rc = -ECANCELED;
    if (!rc)
        rc = rbd_clone3(s->io, from_name, snapshot, s->io, name, options);
    rbd_image_options_destroy(options);
    if (rc == -EEXIST)
        return no(s, rc, "there is an image %s already.", name);
    return rc ? no(s, rc, "cloning %s@%s to %s", from_name, snapshot, name) : 0;
}

int clone_make(struct session *s, char *const args[])
{
    rbd_image_t from;
    int rc;

    rc = image_open(s, args[0], false, &from);
    if (rc)
        return no(s, rc, "the image of snapshot %s", args[1]);
    rc = clone(s, from, args[1], args[2]);
    rbd_close(from);
    return rc ? rc : image_look(s, args + 2);
}

/* Of another's image that happens to have the name nothing is touched. */
static int check_parent(struct session *s, rbd_image_t image, const char *name,
                        const char *id, const char *snapshot)
{
    rbd_linked_image_spec_t parent;
    rbd_snap_spec_t snap;
    bool is_of_it;
    int rc;

    rc = rbd_get_parent(image, &parent, &snap);
    if (rc && rc != -ENOENT)
        return no(s, rc, "the image %s", name);
    if (rc)
        return no(s, -EPERM, "the image %s is no clone, so not of our making.",
                  name);
    /* A deleted snapshot that clones still need has another name. */
    is_of_it = !strcmp(parent.image_id, id) &&
               (snap.namespace_type == RBD_SNAP_NAMESPACE_TYPE_TRASH ||
                !strcmp(snap.name, snapshot));
    rbd_linked_image_spec_cleanup(&parent);
    rbd_snap_spec_cleanup(&snap);
    return is_of_it
               ? 0
               : no(s, -EPERM, "the image %s is a clone of another's.", name);
}

int clone_remove(struct session *s, char *const args[])
{
    rbd_image_t image;
    int rc;

    rc = rbd_open_read_only(s->io, args[0], &image, NULL);
    if (rc == -ENOENT)
        return 0;
    if (rc)
        return no(s, rc, "the image %s", args[0]);
    rc = check_parent(s, image, args[0], args[1], args[2]);
    rbd_close(image);
    if (rc)
        return rc;
    rc = rbd_remove(s->io, args[0]);
    return rc && rc != -ENOENT ? no(s, rc, "removing the image %s", args[0])
                               : 0;
}

/* --- clones of clones ------------------------------------------------------- */

/* What @image, at the snapshot set in it, is a clone of, maybe in another pool.
 * -ENOENT: of none. */
static int open_parent(struct session *s, rbd_image_t image,
                       rados_ioctx_t *io_out, rbd_image_t *out)
{
    rbd_linked_image_spec_t parent;
    rbd_snap_spec_t snap;
    rados_ioctx_t io = NULL;
    int rc;

    rc = rbd_get_parent(image, &parent, &snap);
    if (rc)
        return rc;
    rc = rados_ioctx_create2(s->cluster, parent.pool_id, &io);
    if (!rc)
        rados_ioctx_set_namespace(io, parent.pool_namespace);
    if (!rc)
        rc = rbd_open_by_id_read_only(io, parent.image_id, out, NULL);
    if (!rc) {
        rc = rbd_snap_set_by_id(*out, snap.id);
        if (rc)
            rbd_close(*out);
    }
    if (rc && io)
        rados_ioctx_destroy(io);
    rbd_linked_image_spec_cleanup(&parent);
    rbd_snap_spec_cleanup(&snap);
    *io_out = io;
    return rc;
}

int clone_chain(struct session *s, char *const args[])
{
    rados_ioctx_t io = NULL, up_io;
    rbd_image_t image, up;
    unsigned nr = 0;
    int rc;

    rc = image_open(s, args[0], false, &image);
    if (rc)
        return no(s, rc, "the image of snapshot %s", args[1]);
    rc = rbd_snap_set(image, args[1]);
    if (rc) {
        rbd_close(image);
        return no(s, rc, "the snapshot %s", args[1]);
    }
    while (!(rc = open_parent(s, image, &up_io, &up))) {
        rbd_close(image);
        if (io)
            rados_ioctx_destroy(io);
        image = up;
        io = up_io;
        nr++;
    }
    rbd_close(image);
    if (io)
        rados_ioctx_destroy(io);
    if (rc != -ENOENT)
        return no(s, rc, "what the snapshot %s is a clone of", args[1]);
    snprintf(s->result, sizeof(s->result), "%u", nr);
    return 0;
}

int clone_flatten(struct session *s, char *const args[])
{
    rbd_image_t image;
    int rc;

    rc = rbd_open(s->io, args[0], &image, NULL);
    if (rc)
        return no(s, rc, "the image %s", args[0]);
    rc = rbd_flatten(image);
    rbd_close(image);
    return rc ? no(s, rc, "copying what %s is a clone of", args[0]) : 0;
}
