/* SPDX-License-Identifier: LGPL-2.1-only */
/* Building a domain with libxl (xen_build.h). */
#include "xen_build.h"

#include <stdio.h>

#include "xen_private.h"

static int create(libxl_ctx *ctx, libxl_domain_config *config, int stream_fd,
                  uint32_t *domid_out)
{
    libxl_domain_restore_params params;
    int r;

    *domid_out = INVALID_DOMID;
    if (stream_fd < 0)
        return libxl_domain_create_new(ctx, config, domid_out, NULL, NULL);
    libxl_domain_restore_params_init(&params);
    params.checkpointed_stream = LIBXL_CHECKPOINTED_STREAM_NONE;
    params.stream_version = 2;
    r = libxl_domain_create_restore(ctx, config, domid_out, stream_fd, -1,
                                    &params, NULL, NULL);
    libxl_domain_restore_params_dispose(&params);
    return r;
}

static int to_errno(int r)
{
    switch (r) {
    case 0:
        return 0;
    case ERROR_NOMEM:
        return -ENOMEM;
    case ERROR_INVAL:
        return -EINVAL;
    default:
        return -EIO;
    }
}

int xen_build(const char *json, int stream_fd, uint32_t *domid_out,
              char *words, size_t words_bytes)
{
    libxl_domain_config config;
    struct xen_log log;
    libxl_ctx *ctx = NULL;
    int r;

    xen_log_init(&log, NULL);
    words[0] = '\0';
    if (libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, &log.vtable)) {
        snprintf(words, words_bytes, "libxl cannot start: %.200s", log.last);
        return -EIO;
    }
    libxl_domain_config_init(&config);
    r = libxl_domain_config_from_json(ctx, &config, json);
    if (!r)
        r = create(ctx, &config, stream_fd, domid_out);
    if (r)
        snprintf(words, words_bytes, "%.250s", log.first);
    libxl_domain_config_dispose(&config);
    libxl_ctx_free(ctx);
    return to_errno(r);
}

int xen_build_destroy(uint32_t domid)
{
    struct xen_log log;
    libxl_ctx *ctx = NULL;
    int r;

    xen_log_init(&log, NULL);
    if (libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, &log.vtable))
        return -EIO;
    r = libxl_domain_destroy(ctx, domid, NULL);
    libxl_ctx_free(ctx);
    return to_errno(r);
}
