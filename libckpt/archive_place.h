/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_ARCHIVE_PLACE_H
#define CKPT_ARCHIVE_PLACE_H
/*
 * Where a disk of an archive goes: a new file or a new volume, which the
 * operator names.  Nothing that is there is ever written to, and no name comes
 * from the archive.  Its content is then snapshotted by the driver for that
 * storage, as that of any disk, so that the checkpoint can be gone back to.
 *
 *     PATH                raw file on XFS or btrfs
 *     qcow2:PATH          qcow2 file
 *     thin:VG/POOL/NAME   thin volume of LVM
 *     dmthin:POOL/NAME    thin volume without LVM
 *     rbd:POOL/IMAGE      image in a Ceph cluster, as QEMU names it
 *     none                left out
 *
 * The order of calls: open, make, write (rising), finish; then keep or undo;
 * fini.
 */
#include "disk.h"

struct place_kind;
struct guard;

struct place {
    const struct place_kind *kind; /* NULL: left out */
    struct disk disk;
    char *where; /* owned; what follows the prefix */
    int fd;      /* takes the content, or -1 */
    uint64_t size_bytes;
    /* Of a thin volume; see thin_stale_bytes().  Nothing is stale below clean. */
    uint64_t block_bytes, device_bytes, clean_bytes;
};

/* @text is PLACE of the operator's "VDEV=PLACE".  Nothing is touched. */
int place_open(struct place *p, struct ckpt *c, const char *vdev,
               const char *text);
/* Room for @data_bytes of content, or -ENOSPC; all zeros so far. */
int place_make(struct place *p, struct guard *g, uint64_t size_bytes,
               uint64_t data_bytes);
int place_write(struct place *p, uint64_t offset, const void *data,
                size_t len_bytes);
/* Durable, and snapshotted as the disk of checkpoint @id. */
int place_finish(struct place *p, const char *id);
/* Its format in a configuration: "raw", "qcow2". */
const char *place_format(const struct place *p);
/* And its backend there, or NULL: xl finds out. */
const char *place_backend(const struct place *p);
void place_keep(struct place *p);
void place_undo(struct place *p);
void place_fini(struct place *p); /* harmless on zero bytes */

#endif
