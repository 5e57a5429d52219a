/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_RBD_NAME_H
#define CKPT_RBD_NAME_H
/*
 * How an RBD image is named, as in QEMU's "rbd:" (after which this begins):
 *
 *   POOL[/NAMESPACE]/IMAGE[@SNAPSHOT][:OPTION=VALUE...]
 *
 * with the options id, conf, keyring and mon_host.  Others belong into a
 * ceph.conf: a text may come from a checkpoint that was made elsewhere, and
 * some options of Ceph name programs to be loaded and files to be written.
 */
#include <stddef.h>

#define RBD_TEXT_MAX 256

struct ckpt;

struct rbd_name {
    char pool[RBD_TEXT_MAX];
    char space[RBD_TEXT_MAX];    /* "" for none */
    char image[RBD_TEXT_MAX];    /* its name, or its id */
    char snapshot[RBD_TEXT_MAX]; /* "" for none */
    char options[RBD_TEXT_MAX];  /* "" or ":OPTION=VALUE..." */
};

/* -EINVAL with words. */
int rbd_name_read(struct ckpt *c, const char *text, struct rbd_name *out);
/* -ENAMETOOLONG with words. */
int rbd_name_write(struct ckpt *c, const struct rbd_name *n,
                   char out[RBD_TEXT_MAX]);
/* The same of a snapshot of ours, the image named by its id: -EPERM else. */
int rbd_name_read_ours(struct ckpt *c, const char *text, struct rbd_name *out);

#endif
