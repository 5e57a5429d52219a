/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_EXPORT_H
#define CKPT_EXPORT_H
/* A checkpoint as others write and read it; one function a format. */
#include "ckpt.h"

struct image;

/* The file of `xl save`: export_xl.c. */
int export_xl(struct ckpt *c, const struct ckpt_info *info, struct image *img,
              int fd);
/* An ELF core of the memory, as kdump writes it: export_vmcore.c. */
int export_vmcore(struct ckpt *c, const struct ckpt_info *info,
                  struct image *img, int fd);

/* The head of the file of `xl save`: 48 octets, then optional_data_len more. */
#define XL_SAVE_MAGIC "Xen saved domain, xl format\n \0 \r"
#define XL_SAVE_BYTEORDER 0x01020304u
#define XL_SAVE_JSON (1u << 0)
#define XL_SAVE_STREAM_V2 (1u << 1)
struct xl_save_head {
    char magic[32];
    uint32_t byteorder;
    uint32_t mandatory;
    uint32_t optional;
    uint32_t optional_data_len;
};
/* The optional data begins with the configuration, its length in 4 octets. */
#define XL_SAVE_OPTIONAL_MAX (16u << 20)

#endif
