/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Content of thin snapshots, and new thin volumes for content from elsewhere.
 *
 * A snapshot is activated, read-only, while it is read; if we die it stays so
 * and is removed all the same.  What was ever written to it the pool's metadata
 * says (thin_dump); where that cannot be had, all of it is read.
 */
#include "disk_lvmthin.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_content.h"
#include "disk_name.h"

/* --- open, close ----------------------------------------------------------- */

static int find_data(struct ckpt *c, const char *vg, const struct lvm_volume *v,
                     struct disk_content *out)
{
    dev_t pool;
    int fd, rc;

    rc = lvmthin_pool(c, vg, v->pool, &fd, &pool);
    if (rc)
        return rc;
    rc = thin_content(c, fd, pool, v->thin_id, v->name, out);
    close(fd);
    return rc;
}

static int open_active(struct ckpt *c, const char *vg,
                       const struct lvm_volume *v, struct disk_content *out)
{
    char path[LVM_PATH_MAX + 8];
    int fd, rc;

    snprintf(path, sizeof(path), "/dev/%s/%s", vg, v->name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(c, -errno, "%s", path);
    rc = disk_content_of_file(c, fd, path, out);
    return rc ? rc : find_data(c, vg, v, out);
}

int lvmthin_open(struct ckpt *c, const char *snapshot, struct disk_content *out)
{
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX];
    const char *names[] = {lv, NULL};
    struct lvm_list l;
    char *volume;
    int rc;

    rc = lvmthin_check(c, snapshot);
    if (!rc)
        rc = lvm_split(c, snapshot, vg, lv);
    if (!rc)
        rc = lvm_list(c, vg, names, &l);
    if (rc)
        return rc;
    volume = strdup(snapshot);
    if (!volume || !lvm_in(&l, lv))
        rc = fail(c, volume ? -EUCLEAN : -ENOMEM, "%s", snapshot);
    if (!rc)
        rc = lvm_activate(c, vg, lv, true);
    if (!rc) {
        rc = open_active(c, vg, lvm_in(&l, lv), out);
        if (rc) {
            disk_content_close(c, out);
            lvm_activate(c, vg, lv, false);
        }
    }
    lvm_list_fini(&l);
    if (rc)
        free(volume);
    else
        out->volume = volume;
    return rc;
}

/* It stays active when another reads it, too. */
void lvmthin_close(struct ckpt *c, struct disk_content *content)
{
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX], words[sizeof(c->error)];
    char *volume = content->volume;

    content->volume = NULL;
    disk_content_close(c, content);
    memcpy(words, c->error, sizeof(words));
    if (volume &&
        (lvm_split(c, volume, vg, lv) || lvm_activate(c, vg, lv, false)))
        say(c, "%s stays active: %s", volume, c->error);
    memcpy(c->error, words, sizeof(words));
    free(volume);
}

/* --- show, hide ------------------------------------------------------------ */

int lvmthin_show(struct ckpt *c, const char *snapshot, const char *tag,
                 struct disk_shown *out)
{
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX];
    int rc = lvm_split(c, snapshot, vg, lv);

    (void)tag;
    if (rc)
        return rc;
    out->format = "raw";
    snprintf(out->image, sizeof(out->image), "/dev/%s/%s", vg, lv);
    return lvm_activate(c, vg, lv, true);
}

int lvmthin_hide(struct ckpt *c, const char *snapshot, const char *tag)
{
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX], device[LVM_PATH_MAX + 8];
    int rc = lvm_split(c, snapshot, vg, lv);

    (void)tag;
    if (rc)
        return rc;
    snprintf(device, sizeof(device), "/dev/%s/%s", vg, lv);
    return access(device, F_OK) ? 0 : lvm_activate(c, vg, lv, false);
}

/* --- a new one ------------------------------------------------------------- */

int lvmthin_create(struct disk *d, const char *vg, const char *pool,
                   const char *name, uint64_t size_bytes)
{
    const char *names[] = {name, NULL};
    const struct lvm_volume *p;
    struct lvm_list l;
    int rc;

    rc = lvmthin_check_name(d->c, vg, name);
    if (!rc)
        rc = lvm_list(d->c, vg, names, &l);
    if (rc)
        return rc;
    p = lvm_in(&l, pool);
    if (!p || p->attr[0] != 't')
        rc = fail(d->c, -ENOENT, "%s/%s is no thin pool.", vg, pool);
    else if (lvm_in(&l, name))
        rc = fail(d->c, -EEXIST, "%s/%s is there already.", vg, name);
    lvm_list_fini(&l);
    if (!rc)
        rc = lvmthin_deed_remove(d, vg, name);
    return rc ? rc : lvm_create_thin(d->c, vg, pool, name, size_bytes);
}
