/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_DMSNAP_H
#define CKPT_DISK_DMSNAP_H
/*
 * The parts of the dmsnap driver: disk_dmsnap.c makes snapshots, with the three
 * beats; disk_dmsnap_use.c uses them; disk_dmsnap_look.c tells what is what;
 * disk_dmsnap_deed.c is what was done, and how it is taken back;
 * disk_dmsnap_changed.c reads what the kernel keeps.
 *
 * A snapshot is the path of the file that it keeps old blocks in,
 * "FOLDER/NAME.ckpt-ID-VDEV"; the device that shows it has the file's name.
 */
#include "disk.h"
#include "disk_file.h"
#include "dm.h"
#include "dm_lines.h"

#define DMSNAP_REAL ".ckpt-real"
#define DMSNAP_OLD ".ckpt-old"
#define DMSNAP_NEW ".ckpt-new"
#define DMSNAP_MERGE ".ckpt-merge"
/* Of the filesystem with the files: beyond it nothing is begun. */
#define DMSNAP_FULL_PERCENT 95.0

/* A guest's disk. */
struct dmsnap_origin {
    struct dm_device device;
    struct dm_device real;  /* its blocks; no name: there is none yet */
    struct dm_lines *lines; /* owned; its table while it is its own, or NULL:
                               it is the snapshot-origin of real */
    uint64_t size_bytes;
};

/* A line of the kernel's dm-snapshot; any other table has no type. */
struct dmsnap_table {
    bool is_empty; /* no table at all */
    char type[16]; /* "snapshot", "snapshot-origin", "snapshot-merge" */
    dev_t origin, cow;
    unsigned chunk_sectors;
    uint64_t size_bytes;
};

struct dmsnap_snapshot {
    char name[DM_NAME_MAX];        /* of its device, and of its file */
    char origin_name[DM_NAME_MAX]; /* of the guest's */
    struct dm_device device;
    struct dmsnap_table table;
};

/* --- disk_dmsnap_look.c --- */
/* Where new files go; made if it is not there. */
int dmsnap_folder(struct ckpt *c, char out[DISK_FILE_MAX]);
/* What a configuration's @target is; -ENOTSUP: not one of ours. @o is zero
 * before, and for fini after, also when it failed. */
int dmsnap_look(struct ckpt *c, int dm_fd, const char *target,
                struct dmsnap_origin *o);
void dmsnap_origin_fini(struct dmsnap_origin *o);
/* "NAME.ckpt-real" and the like, of a length that device-mapper takes. */
int dmsnap_join(struct ckpt *c, const char *name, const char *suffix,
                char out[DM_NAME_MAX]);
/* Without words. */
int dmsnap_read_table(int dm_fd, dev_t dev, struct dmsnap_table *out);
bool dmsnap_is(const struct dmsnap_table *t, const char *type, dev_t origin);
/* How many devices have @dev in their tables, @but not counted (0: none). */
int dmsnap_holders(struct ckpt *c, dev_t dev, dev_t but, unsigned *nr_out);
/* Names only: nothing is asked. */
int dmsnap_split(struct ckpt *c, const char *snapshot,
                 struct dmsnap_snapshot *out);
/* It is there, and has missed nothing. */
int dmsnap_find_whole(struct ckpt *c, int dm_fd, const char *snapshot,
                      struct dmsnap_snapshot *out);
/* -EUCLEAN: the kernel has given it up; @what is for the words. */
int dmsnap_check_status(struct ckpt *c, int dm_fd, dev_t dev, const char *what);

/* How much is copied at once, and how large a snapshot's file may get. */
unsigned dmsnap_chunk_sectors(uint64_t size_bytes);
uint64_t dmsnap_file_bytes(uint64_t size_bytes, unsigned chunk_sectors);

/* --- disk_dmsnap_deed.c --- */
/* @o gets its real device. */
int dmsnap_make_real(struct disk *d, int dm_fd, struct dmsnap_origin *o);
/* An empty file, open for reading and writing. */
int dmsnap_make_file(struct disk *d, enum guard_harm harm, const char *path,
                     int *fd_out);
/* A device without a table; taken back if what it shows is upon @origin_name. */
int dmsnap_make_device(struct disk *d, int dm_fd, enum guard_harm harm,
                       const char *name, const char *origin_name,
                       dev_t *dev_out);
/* The table of a snapshot of @t->origin with the file @file_fd, loaded. */
int dmsnap_load(struct ckpt *c, int dm_fd, dev_t dev, int file_fd,
                const char *path, struct dmsnap_table *t, bool is_read_only);
/* Only the deed. */
int dmsnap_deed_device(struct disk *d, enum guard_harm harm, const char *name,
                       const char *origin_name);
/* NAME.ckpt-new takes @o's name, and @o is NAME.ckpt-old. */
int dmsnap_exchange(struct disk *d, const struct dmsnap_origin *o);
/* Once all is kept, @o's blocks are made what NAME shows; @base: FOLDER/NAME. */
int dmsnap_settle_after(struct disk *d, const struct dmsnap_origin *o,
                        const char *base);
/* If nothing is a snapshot of @name any more it gets its own table back. */
int dmsnap_release(struct ckpt *c, int dm_fd, const char *name);
int dmsnap_take_back(struct ckpt *c, const char *words);

/* --- disk_dmsnap_use.c --- */
int dmsnap_rollback(struct disk *d, const char *snapshot);
int dmsnap_fork(struct disk *d, const char *snapshot, const char *name,
                char **target_out);
int dmsnap_remove(struct ckpt *c, const char *snapshot);
int dmsnap_check(struct ckpt *c, const char *snapshot);
int dmsnap_open(struct ckpt *c, const char *snapshot, struct disk_content *out);
int dmsnap_show(struct ckpt *c, const char *snapshot, const char *tag,
                struct disk_shown *out);

/* --- disk_dmsnap_changed.c --- */
int dmsnap_changed(struct ckpt *c, const char *from, const char *to,
                   disk_extent_fn *fn, void *arg);
int dmsnap_changed_files(struct ckpt *c, const char *from, const char *to,
                         uint64_t disk_bytes, disk_extent_fn *fn, void *arg);

#endif
