/* SPDX-License-Identifier: LGPL-2.1-only */
/* Images: opened, looked at, renamed. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

int image_open(struct session *s, const char *id, bool is_written,
               rbd_image_t *out)
{
    int rc = is_written ? rbd_open_by_id(s->io, id, out, NULL)
                        : rbd_open_by_id_read_only(s->io, id, out, NULL);

    if (rc)
        *out = NULL;
    return rc;
}

int image_others(rbd_image_t image, size_t *nr_out)
{
    rbd_image_watcher_t few[16];
    size_t nr = sizeof(few) / sizeof(few[0]);
    int rc = rbd_watchers_list(image, few, &nr);

    if (!rc)
        rbd_watchers_list_cleanup(few, nr);
    if (rc && rc != -ERANGE)
        return rc;
    *nr_out = nr ? nr - 1 : 0; /* one is ours */
    return 0;
}

/* Whatever writes has to have it, be it a write of nothing. */
int image_take_lock(rbd_image_t image)
{
    uint64_t features;
    ssize_t n;
    int is_ours = 0, rc;

    rc = rbd_get_features(image, &features);
    if (rc || !(features & RBD_FEATURE_EXCLUSIVE_LOCK))
        return rc;
    n = rbd_write(image, 0, 0, "");
    rc = n < 0 ? (int)n : rbd_is_exclusive_lock_owner(image, &is_ours);
    if (rc == -EROFS || (!rc && !is_ours))
        return -EBUSY;
    return rc;
}

int image_name(struct session *s, rbd_image_t image, char out[NAME_MAX_BYTES])
{
    size_t len = NAME_MAX_BYTES;
    int rc = rbd_get_name(image, out, &len);

    return rc ? no(s, rc, "the name of an image") : 0;
}

int image_count_snapshots(rbd_image_t image)
{
    rbd_snap_info_t *list = NULL;
    int max = 0, rc;

    do { /* until it is long enough */
        free(list);
        list = calloc((size_t)max + 1, sizeof(*list));
        if (!list)
            return -ENOMEM;
        rc = rbd_snap_list(image, list, &max);
    } while (rc == -ERANGE);
    if (rc > 0)
        rbd_snap_list_end(list);
    free(list);
    return rc;
}

int image_look(struct session *s, char *const args[])
{
    char id[ID_MAX] = "";
    rbd_image_t image;
    uint64_t size;
    int rc;

    rc = rbd_open_read_only(s->io, args[0], &image, NULL);
    if (rc)
        return no(s, rc, "the image %s", args[0]);
    rc = rbd_get_id(image, id, sizeof(id));
    if (!rc)
        rc = rbd_get_size(image, &size);
    rbd_close(image);
    if (rc) /* an image of format 1 has no id */
        return no(s, rc, "the image %s (of format 2?)", args[0]);
    snprintf(s->result, sizeof(s->result), "%s %" PRIu64, id, size);
    return 0;
}

int image_rename(struct session *s, char *const args[])
{
    char name[NAME_MAX_BYTES];
    rbd_image_t image;
    int rc;

    rc = image_open(s, args[0], false, &image);
    if (rc)
        return no(s, rc, "the image %s, to be renamed to %s", args[0], args[1]);
    rc = image_name(s, image, name);
    rbd_close(image);
    if (rc || !strcmp(name, args[1]))
        return rc;
    if (atomic_load(&s->is_over))
        return no(s, -ECANCELED, "rename");
    rc = rbd_rename(s->io, name, args[1]);
    return rc ? no(s, rc, "renaming the image %s to %s", name, args[1]) : 0;
}

int image_check(struct session *s, char *const args[])
{
    rbd_image_t image;
    bool is_there = false;
    int rc;

    rc = image_open(s, args[0], false, &image);
    if (!rc) {
        rc = rbd_snap_exists(image, args[1], &is_there);
        rbd_close(image);
    }
    if (rc && rc != -ENOENT)
        return no(s, rc, "the snapshot %s", args[1]);
    return is_there ? 0 : no(s, -EUCLEAN, "the snapshot is gone.");
}
