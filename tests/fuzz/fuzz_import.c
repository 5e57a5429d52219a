/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Any bytes as the file of `xl save`.  The first byte says what is put before
 * them: nothing, the head and a configuration, or all up to the records of
 * the libxc stream.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ckpt.h"
#include "export.h"
#include "fake/scratch.h"
#include "libxc_stream.h"

#define CONFIG                                                                 \
    "{\"c_info\":{\"type\":\"hvm\",\"name\":\"web\","                          \
    "\"uuid\":\"11111111-1111-1111-1111-111111111111\"}}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static struct ckpt *c;
static char *dir;
static int fd = -1;

static void clean_up(void)
{
    close(fd);
    ckpt_close(c);
    scratch_remove(dir);
}

static void put(const void *data, size_t len_bytes)
{
    if (write(fd, data, len_bytes) != (ssize_t)len_bytes)
        exit(99);
}

static void put_head(void)
{
    struct xl_save_head head = {.byteorder = XL_SAVE_BYTEORDER,
                                .mandatory = XL_SAVE_JSON | XL_SAVE_STREAM_V2,
                                .optional_data_len = 4 + sizeof(CONFIG)};
    const uint32_t len = sizeof(CONFIG);

    memcpy(head.magic, XL_SAVE_MAGIC, sizeof(head.magic));
    put(&head, sizeof(head));
    put(&len, sizeof(len));
    put(CONFIG, sizeof(CONFIG));
}

static void put_stream(void)
{
    const struct xl_header xl = {.ident = htobe64(XL_IDENT),
                                 .version = htonl(XL_VERSION)};
    const struct xc_record context = {.type = XL_REC_LIBXC_CONTEXT};
    const struct xc_image_header image = {.marker = XC_MARKER,
                                          .id = htonl(XC_ID),
                                          .version = htonl(XC_VERSION)};
    const struct xc_domain_header domain = {.type = XC_DOMAIN_HVM,
                                            .page_shift = 12};

    put(&xl, sizeof(xl));
    put(&context, sizeof(context));
    put(&image, sizeof(image));
    put(&domain, sizeof(domain));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
    struct ckpt_info info;

    if (!dir) {
        dir = scratch_dir();
        c = (struct ckpt *)scratch_open(dir);
        fd = memfd_create("import", MFD_CLOEXEC);
        atexit(clean_up);
    }
    if (!len_bytes)
        return 0;
    if (ftruncate(fd, 0) || lseek(fd, 0, SEEK_SET))
        exit(99);
    if (data[0] & 1)
        put_head();
    if ((data[0] & 3) == 3)
        put_stream();
    put(data + 1, len_bytes - 1);
    lseek(fd, 0, SEEK_SET);
    if (!ckpt_import(c, fd, "x", &info)) {
        scratch_drop(c, info.id);
        ckpt_info_fini(&info);
    }
    return 0;
}
