/* SPDX-License-Identifier: LGPL-2.1-only */
/* The public function that writes a checkpoint into somebody else's format. */
#include "export.h"

#include <string.h>

#include "checkpoint.h"
#include "ctx.h"
#include "store.h"

int ckpt_export(ckpt *c, const char *checkpoint, enum ckpt_format format,
                int fd)
{
    struct ckpt_info info;
    struct image *img = NULL;
    int rc;

    ctx_begin(c);
    rc = checkpoint_find(c, NULL, checkpoint, &info);
    if (rc)
        return rc;
    if (!info.has_memory)
        rc = fail(c, -EINVAL, "Checkpoint %s has no memory, only disks.",
                  info.id);
    if (!rc)
        rc = image_open(c->store, info.id, &img);
    if (!rc) {
        switch (format) {
        case CKPT_FORMAT_XL:
            rc = export_xl(c, &info, img, fd);
            break;
        case CKPT_FORMAT_VMCORE:
            rc = export_vmcore(c, &info, img, fd);
            break;
        default:
            rc = fail(c, -EINVAL, "A format that is not known.");
        }
    }
    image_close(img);
    ckpt_info_fini(&info);
    return rc;
}
