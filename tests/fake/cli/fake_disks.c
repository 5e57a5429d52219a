/* SPDX-License-Identifier: LGPL-2.1-only */
/* The library's answers about disks and groups, from the script
 * (fake_script.h). */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "fake_script.h"

int ckpt_mount(ckpt *c, const char *checkpoint, const char *vdev,
               const char *dir)
{
    script_note("mount checkpoint=%s vdev=%s dir=%s", checkpoint,
                vdev ? vdev : "(only)", dir);
    return script_answer(c, "mount", checkpoint);
}

int ckpt_unmount(ckpt *c, const char *dir)
{
    script_note("unmount dir=%s", dir);
    return script_answer(c, "unmount", dir);
}

int ckpt_diff(ckpt *c, const char *from, const char *to,
              struct ckpt_disk_diff **diffs_out, size_t *nr_out)
{
    struct ckpt_disk_diff *d;
    int rc;

    script_note("diff from=%s to=%s", from, to);
    rc = script_long_answer(c, "diff", from);
    if (rc)
        return rc;
    d = calloc(1, sizeof(*d));
    d->vdev = strdup("xvda");
    d->driver = strdup("lvmthin");
    d->size_bytes = 20ull << 30;
    d->changed_bytes = 196608;
    d->nr_extents = 2;
    d->extents = calloc(2, sizeof(*d->extents));
    d->extents[0] = (struct ckpt_extent){65536, 65536};
    d->extents[1] = (struct ckpt_extent){1048576, 131072};
    *diffs_out = d;
    *nr_out = 1;
    return 0;
}

void ckpt_diff_free(struct ckpt_disk_diff *diffs, size_t nr)
{
    for (size_t i = 0; i < nr; i++) {
        free(diffs[i].vdev);
        free(diffs[i].driver);
        free(diffs[i].extents);
    }
    free(diffs);
}

/* As the library: whoever freezes does before the first is taken. */
static void freeze_all(const char *const *domains, size_t nr,
                       const struct ckpt_take_opts *opts, int *frozen)
{
    for (size_t i = 0; i < nr; i++) {
        frozen[i] = opts[i].freeze ? opts[i].freeze(opts[i].freeze_arg)
                                   : -ENOTSUP;
        if (opts[i].freeze)
            script_note("freeze of %s", domains[i]);
    }
}

static void thaw_all(size_t nr, const struct ckpt_take_opts *opts, int *held)
{
    for (size_t i = 0; i < nr; i++)
        held[i] = opts[i].thaw ? opts[i].thaw(opts[i].freeze_arg) : -ENOTSUP;
}

static int take_each(ckpt *c, const char *group, const char *const *domains,
                     size_t nr, const struct ckpt_take_opts *opts,
                     struct ckpt_info *infos_out)
{
    struct ckpt_take_opts quiet;
    int rc = 0;
    size_t i;

    for (i = 0; i < nr; i++) {
        quiet = opts[i];
        quiet.freeze = quiet.thaw = NULL;
        rc = ckpt_take(c, domains[i], &quiet, &infos_out[i]);
        if (rc)
            break;
        infos_out[i].group = strdup(group);
        infos_out[i].group_id = strdup("a0000000000000ff");
        free(infos_out[i].domain_name);
        infos_out[i].domain_name = strdup(domains[i]);
        infos_out[i].id[CKPT_ID_LEN - 1] = "0123456789abcdef"[i % 16];
    }
    while (rc && i--)
        ckpt_info_fini(&infos_out[i]);
    return rc;
}

int ckpt_take_group(ckpt *c, const char *group, const char *const *domains,
                    size_t nr, const struct ckpt_take_opts *opts,
                    struct ckpt_info *infos_out)
{
    int frozen[CKPT_GROUP_MAX], held[CKPT_GROUP_MAX];
    int rc;

    script_note("group name=%s count=%zu", group, nr);
    freeze_all(domains, nr, opts, frozen);
    if (!(opts->flags & CKPT_TAKE_DISK_ONLY))
        thaw_all(nr, opts, held);
    rc = take_each(c, group, domains, nr, opts, infos_out);
    if (!(opts->flags & CKPT_TAKE_DISK_ONLY))
        return rc;
    thaw_all(nr, opts, held);
    for (size_t i = 0; !rc && i < nr; i++)
        if (!frozen[i] && !held[i])
            infos_out[i].consistency = CKPT_CONSISTENCY_FS_FROZEN;
    return rc;
}
