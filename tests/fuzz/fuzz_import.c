/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Any bytes as the file of `xl save`.  The first byte says what is put before
 * them: nothing, the head and a configuration, or all up to the records of
 * the libxc stream.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "export.h"
#include "libxc_stream.h"
#include "stream.h"

#define CONFIG                                                                 \
    "{\"c_info\":{\"type\":\"hvm\",\"name\":\"web\","                          \
    "\"uuid\":\"11111111-1111-1111-1111-111111111111\"}}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static void put_head(void)
{
    struct xl_save_head head = {.byteorder = XL_SAVE_BYTEORDER,
                                .mandatory = XL_SAVE_JSON | XL_SAVE_STREAM_V2,
                                .optional_data_len = 4 + sizeof(CONFIG)};
    const uint32_t len = sizeof(CONFIG);

    memcpy(head.magic, XL_SAVE_MAGIC, sizeof(head.magic));
    stream_put(&head, sizeof(head));
    stream_put(&len, sizeof(len));
    stream_put(CONFIG, sizeof(CONFIG));
}

static void put_stream(void)
{
    const struct xl_header xl = {.ident = htobe64(XL_IDENT),
                                 .version = htonl(XL_VERSION)};
    const struct xc_record context = {.type = XL_REC_LIBXC_CONTEXT};
    const struct xc_image_header image = {
        .marker = XC_MARKER, .id = htonl(XC_ID), .version = htonl(XC_VERSION)};
    const struct xc_domain_header domain = {.type = XC_DOMAIN_HVM,
                                            .page_shift = 12};

    stream_put(&xl, sizeof(xl));
    stream_put(&context, sizeof(context));
    stream_put(&image, sizeof(image));
    stream_put(&domain, sizeof(domain));
}

static int import(struct ckpt *c, int fd, struct ckpt_info *info_out)
{
    return ckpt_import(c, fd, "x", info_out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
    if (!len_bytes)
        return 0;
    stream_begin();
    if (data[0] & 1)
        put_head();
    if ((data[0] & 3) == 3)
        put_stream();
    stream_put(data + 1, len_bytes - 1);
    stream_end(import);
    return 0;
}
