/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_QCOW2_FILE_H
#define CKPT_QCOW2_FILE_H
/*
 * qcow2 files at rest: what their header says, the chain of files beneath
 * one, and qemu-img for what changes them.  (QEMU's docs/interop/qcow2.txt.)
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disk_file.h"

#define QCOW2_HEAD_MAX 65536u /* bytes of a file that are looked at */
#define QCOW2_CHAIN_MAX 1024u

struct qcow2_head {
    uint64_t size_bytes;   /* of the disk */
    uint32_t nr_snapshots; /* internal ones */
    bool is_encrypted;
    bool has_data_file;      /* its content is in another file */
    char backing[1024];      /* as it is written there; "" for none */
    char backing_format[16]; /* "qcow2", "raw"; "" when not said */
};

/* The first @len_bytes of a file.  -ENOTSUP: no qcow2; -EUCLEAN: a bad one. */
int qcow2_parse(const uint8_t *bytes, size_t len_bytes, struct qcow2_head *out);
/* The same of the file @path, with words. */
int qcow2_read(struct ckpt *c, const char *path, struct qcow2_head *out);
/* The file beneath @path; "" for none.  -ENOTSUP when it is no local file, or
 * its format is not said: a guest could make a raw file look like qcow2. */
int qcow2_backing(struct ckpt *c, const char *path, char out[DISK_FILE_MAX],
                  char format_out[16]);

/* Whether it is a qcow2 file, whole or not, in whose first bytes @name is to be
 * read: the name of what is beneath it is. */
int qcow2_mentions(struct ckpt *c, const char *path, const char *name,
                   bool *out);
/* Until *fd_out is closed no file in the folder of @path comes to lie above
 * another one, or changes its name in a way that one who looks through the
 * folder could miss it.  For moments only. */
int qcow2_names_lock(struct ckpt *c, const char *path, int *fd_out);

struct qcow2_chain {
    char (*path)[DISK_FILE_MAX]; /* owned; the top one first */
    size_t nr;
};
int qcow2_chain_read(struct ckpt *c, const char *path, struct qcow2_chain *out);
void qcow2_chain_fini(struct qcow2_chain *chain);

/* Makes the file @path, which is there already and empty, an overlay over
 * @backing, a file of the same folder, of @size_bytes. */
int qcow2_make_overlay(struct ckpt *c, const char *path, const char *backing,
                       uint64_t size_bytes);

#endif
