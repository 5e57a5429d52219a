/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_MACHINE_H
#define CKPT_MACHINE_H
/*
 * Everything of a domain at an instant that is not its pages or its disks, in
 * the form Xen's own restore reads: the records of a libxc migration stream
 * (docs/specs/libxc-migration-stream in Xen's tree) with the PAGE_DATA records
 * left out.  What came before the pages is the head, what comes after them
 * the tail.  Each goes into the store as a blob.
 */
#include <stddef.h>
#include <stdint.h>

struct ckpt;
struct image;

/* A growing piece of bytes; all zero is empty. */
struct blob {
    uint8_t *data; /* owned */
    size_t len_bytes;
    size_t room_bytes;
};

struct machine {
    struct blob head;     /* image header, domain header, static data */
    struct blob tail;     /* vCPUs or HVM context, params, TSC; without END */
    struct blob emulator; /* device model's state; empty without one */
};

/* Blob names in an image. */
#define MACHINE_BLOB_HEAD "machine.head"
#define MACHINE_BLOB_TAIL "machine.tail"
#define MACHINE_BLOB_EMULATOR "emulator"

int blob_add(struct ckpt *c, struct blob *b, const void *data,
             size_t len_bytes);
/* A record: type, length, data, padded to 8 octets with zeros. */
int blob_add_record(struct ckpt *c, struct blob *b, uint32_t type,
                    const void *data, size_t len_bytes);
void blob_fini(struct blob *b);
void machine_fini(struct machine *m);

int machine_store(struct machine *m, struct image *img);
int machine_load(struct ckpt *c, struct image *img, struct machine *m);

#endif
