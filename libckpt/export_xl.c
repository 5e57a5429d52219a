/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The file of `xl save`, which plain `xl restore` reads:
 *
 *     head | length, configuration in JSON | the libxl stream
 *
 * It has no disks: restored, the domain uses those its configuration names, as
 * they are then.
 */
#include "export.h"

#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "safe_io.h"
#include "store.h"
#include "stream_write.h"

int export_xl(struct ckpt *c, const struct ckpt_info *info, struct image *img,
              int fd)
{
    struct xl_save_head head = {
        .byteorder = XL_SAVE_BYTEORDER,
        .mandatory = XL_SAVE_JSON | XL_SAVE_STREAM_V2,
    };
    uint32_t config_len;
    struct iovec iov[3];
    void *config;
    size_t len;
    int rc;

    rc = image_blob(img, "config", &config, &len);
    if (rc)
        return rc;
    if (len > XL_SAVE_OPTIONAL_MAX - sizeof(config_len)) {
        free(config);
        return fail(c, -EFBIG, "checkpoint %s: configuration", info->id);
    }
    config_len = (uint32_t)len;
    memcpy(head.magic, XL_SAVE_MAGIC, sizeof(head.magic));
    head.optional_data_len = (uint32_t)sizeof(config_len) + config_len;
    iov[0] = (struct iovec){&head, sizeof(head)};
    iov[1] = (struct iovec){&config_len, sizeof(config_len)};
    iov[2] = (struct iovec){config, len};
    rc = safe_writev_all(fd, iov, 3);
    free(config);
    if (rc)
        return fail(c, rc, "writing checkpoint %s", info->id);
    rc = stream_write(c, img, fd);
    return rc && !c->error[0] ? fail(c, rc, "writing checkpoint %s", info->id)
                              : rc;
}
