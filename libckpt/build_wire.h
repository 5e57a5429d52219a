/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_BUILD_WIRE_H
#define CKPT_BUILD_WIRE_H
/* What build.c and the builder (helper/build.c) say to each other on the
 * control socket; the configuration follows the request. */
#include <stdint.h>

#define BUILD_MAGIC 0x444c4243u
#define BUILD_CONFIG_MAX (1u << 20)

struct build_request {
    uint32_t magic;
    uint32_t config_bytes; /* with its NUL */
    uint32_t has_stream;   /* else the domain is booted */
    uint32_t res;
};

struct build_answer {
    uint32_t magic;
    int32_t rc; /* 0 or -errno */
    uint32_t domid;
    uint32_t res;
    char words[256];
};

struct build_verdict {
    uint32_t magic;
    uint32_t keep;
};

#endif
