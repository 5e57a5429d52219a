/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DM_H
#define CKPT_DM_H
/*
 * The few device-mapper calls we need, by the kernel's own interface
 * (linux/dm-ioctl.h).  libdevmapper is not used: it prints, it is not for
 * threads, and it allocates in the middle of the cut.
 *
 * Results are 0 or -errno without words, except where a ckpt is passed.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ckpt;

#define DM_NAME_MAX 128 /* the kernel's DM_NAME_LEN, NUL included */
#define DM_UUID_MAX 129

struct dm_device {
    dev_t dev;
    char name[DM_NAME_MAX];
    char uuid[DM_UUID_MAX];
    bool is_suspended;
};

struct dm_target {
    uint64_t size_bytes;
    char type[16];
    char params[512];
};

/* A descriptor for the calls below, closed with close(2). */
int dm_open(int *fd_out);
/* -ENXIO: @dev is no device of device-mapper. */
int dm_info(int fd, dev_t dev, struct dm_device *out);
/* By its name. */
int dm_find(int fd, const char *name, struct dm_device *out);
/* The only line of the table, or of the status.  -ENOTSUP: there are more.
 * The status is asked for without making a thin pool commit. */
int dm_table(int fd, dev_t dev, struct dm_target *out);
int dm_status(int fd, dev_t dev, struct dm_target *out);
/* What is under way is finished and the rest held back until dm_resume().
 * May wait for the device; -EINTR after a signal: then nothing is held. */
int dm_suspend(int fd, dev_t dev);
/* With a table loaded, of one that is not suspended: the switch, at once. */
int dm_resume(int fd, dev_t dev);
/* The same for a device of our own beneath or beside a guest's disk: udev does
 * not look into it, so that its content is not found twice. */
int dm_resume_hidden(int fd, dev_t dev);
int dm_message(int fd, dev_t dev, const char *text);
/* A device without a table. */
int dm_create(int fd, const char *name, dev_t *dev_out);
/* @t becomes the table at the next dm_resume(). */
int dm_load(int fd, dev_t dev, const struct dm_target *t, bool is_read_only);
/* What was loaded is forgotten. */
int dm_clear(int fd, dev_t dev);
/* Would the kernel take this table?  Tried on a device @name, which is gone
 * again when this returns. */
int dm_try(int fd, const char *name, const struct dm_target *t);
/* For a device that has none. */
int dm_set_uuid(int fd, const char *name, const char *uuid);

/* Letters, digits and "+_.-#:=@": fit for a table, a path and a record. */
bool dm_is_plain_name(const char *s);
/* "254:3" as in tables; false: it is something else. */
bool dm_parse_dev(const char *text, dev_t *dev_out);
/* "vg0-my--lv" into "vg0" and "my-lv"; false: not LVM's way of naming. */
bool dm_split_name(const char *name, char vg_out[DM_NAME_MAX],
                   char lv_out[DM_NAME_MAX]);
/* The reverse; false: longer than device-mapper can take. */
bool dm_join_name(const char *vg, const char *lv, char name_out[DM_NAME_MAX]);

/* "UUID NAME", with "-" for one without a uuid. */
void dm_suspend_arg(const struct dm_device *dev,
                    char out[DM_UUID_MAX + DM_NAME_MAX]);
/* Undoes GUARD_DM_SUSPEND (that text); 0 also when nothing is held, or the
 * device is gone. */
int dm_undo_suspend(struct ckpt *c, const char *arg);

#endif
