/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_FILE_H
#define CKPT_DISK_FILE_H
/*
 * What the drivers of disks that are files share: names, the exchange of one
 * file for another under its name, and the deeds of both.
 *
 *   PATH                  the guest's disk
 *   PATH.ckpt-ID-VDEV     its snapshot of checkpoint ID
 *   PATH.ckpt-new         made by us, soon to be PATH; then what PATH was
 *   DIR/fork-NAME-VDEV    a clone, in the folder of the snapshot
 *
 * PATH is the configuration's target with its symbolic links followed: a link
 * stays a link, and what it leads to is exchanged.
 */
#include <sys/stat.h>

#include "disk.h"

#define DISK_FILE_MAX 384 /* a path, its NUL included: it fits in a deed */
#define DISK_FILE_NEW ".ckpt-new"

/* Both are of one file, whatever it is called. */
static inline bool disk_file_is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* -ENOTSUP with words when @target is no regular file. */
int disk_file_find(struct ckpt *c, const char *target,
                   char path_out[DISK_FILE_MAX], struct stat *st_out);
/* The names above. */
int disk_file_name_snapshot(struct disk *d, const char *path, const char *id,
                            char out[DISK_FILE_MAX]);
int disk_file_name_new(struct ckpt *c, const char *path,
                       char out[DISK_FILE_MAX]);
int disk_file_name_fork(struct ckpt *c, const char *snapshot,
                        const char *domain, const char *vdev,
                        char out[DISK_FILE_MAX]);
/* -EPERM when @path is not named as a snapshot of ours: what is in a manifest
 * is not deleted on its word alone. */
int disk_file_check_ours(struct ckpt *c, const char *path);

/* -ENOSPC with figures when @path's filesystem is @limit_percent full. */
int disk_file_check_room(struct ckpt *c, const char *path,
                         double limit_percent);
/* Creates @path, which must not be there, mode @mode; it is unlinked again if
 * the deed is taken back.  *fd_out is open for reading and writing. */
int disk_file_create(struct disk *d, enum guard_harm harm, const char *path,
                     mode_t mode, int *fd_out);
/* As @st: owner, mode. */
int disk_file_dress(struct ckpt *c, int fd, const char *path,
                    const struct stat *st);
/* PATH.ckpt-new takes PATH's place in one step; what was there is then
 * PATH.ckpt-new, and unlinked when all is kept. */
int disk_file_exchange(struct disk *d, const char *path);
/* 0 also when it is gone already; the folder is synced. */
int disk_file_unlink(struct ckpt *c, const char *path);
int disk_file_sync_dir(struct ckpt *c, const char *path);

/* For the drivers' tables. */
void disk_file_undo(struct disk *d);
/* "unlink INODE PATH", "exchange INODE PATH"; -ENOENT without words: another
 * deed, the driver's own. */
int disk_file_take_back(struct ckpt *c, const char *words);

#endif
