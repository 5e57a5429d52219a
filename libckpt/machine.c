/* SPDX-License-Identifier: LGPL-2.1-only */
/* A domain's state besides pages and disks, as bytes (machine.h). */
#include "machine.h"

#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "libxc_stream.h"
#include "store.h"

/* Generous: HVM contexts are some 10 KiB a vCPU, QEMU's state is 0.3 MiB. */
#define BLOB_MAX (64u << 20)

int blob_add(struct ckpt *c, struct blob *b, const void *data,
             size_t len_bytes)
{
    size_t room = b->room_bytes ? b->room_bytes : 65536;
    uint8_t *grown;

    if (len_bytes > BLOB_MAX || b->len_bytes + len_bytes > BLOB_MAX)
        return fail(c, -E2BIG, "machine state of more than %u MiB",
                    BLOB_MAX >> 20);
    while (room < b->len_bytes + len_bytes)
        room *= 2;
    if (room != b->room_bytes) {
        grown = realloc(b->data, room);
        if (!grown)
            return fail(c, -ENOMEM, "machine state of %zu bytes", room);
        b->data = grown;
        b->room_bytes = room;
    }
    if (data)
        memcpy(b->data + b->len_bytes, data, len_bytes);
    else
        memset(b->data + b->len_bytes, 0, len_bytes);
    b->len_bytes += len_bytes;
    return 0;
}

int blob_add_record(struct ckpt *c, struct blob *b, uint32_t type,
                    const void *data, size_t len_bytes)
{
    struct xc_record rec = { .type = type, .length = (uint32_t)len_bytes };
    int rc;

    if (len_bytes > BLOB_MAX)
        return fail(c, -E2BIG, "machine state record %#x", type);
    rc = blob_add(c, b, &rec, sizeof(rec));
    if (!rc && len_bytes)
        rc = blob_add(c, b, data, len_bytes);
    if (!rc && len_bytes % 8)
        rc = blob_add(c, b, NULL, 8 - len_bytes % 8);
    return rc;
}

void blob_fini(struct blob *b)
{
    free(b->data);
    memset(b, 0, sizeof(*b));
}

void machine_fini(struct machine *m)
{
    blob_fini(&m->head);
    blob_fini(&m->tail);
    blob_fini(&m->emulator);
}

int machine_store(struct machine *m, struct image *img)
{
    int rc;

    rc = image_put_blob(img, MACHINE_BLOB_HEAD, m->head.data,
                        m->head.len_bytes);
    if (!rc)
        rc = image_put_blob(img, MACHINE_BLOB_TAIL, m->tail.data,
                            m->tail.len_bytes);
    if (!rc && m->emulator.len_bytes)
        rc = image_put_blob(img, MACHINE_BLOB_EMULATOR, m->emulator.data,
                            m->emulator.len_bytes);
    return rc;
}

static int load(struct image *img, const char *name, struct blob *b)
{
    void *data;
    int rc;

    rc = image_blob(img, name, &data, &b->len_bytes);
    if (rc)
        return rc;
    b->data = data;
    b->room_bytes = b->len_bytes;
    return 0;
}

int machine_load(struct ckpt *c, struct image *img, struct machine *m)
{
    int rc;

    (void)c;
    memset(m, 0, sizeof(*m));
    rc = load(img, MACHINE_BLOB_HEAD, &m->head);
    if (!rc)
        rc = load(img, MACHINE_BLOB_TAIL, &m->tail);
    if (!rc) {
        rc = load(img, MACHINE_BLOB_EMULATOR, &m->emulator);
        if (rc == -ENOENT)
            rc = 0; /* no device model */
    }
    if (rc)
        machine_fini(m);
    return rc;
}
