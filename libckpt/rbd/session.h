/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_RBD_SESSION_H
#define CKPT_RBD_SESSION_H
/*
 * What the parts of ckpt-rbd share.  A session is one connection to one pool
 * of one cluster; main.c reads what is asked, one verb at a time.
 *
 * Images are named by their ids, which stay when they are renamed.
 */
#include <rados/librados.h>
#include <rbd/librbd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#define ID_MAX 64
#define NAME_MAX_BYTES 256 /* of an image or a snapshot, its NUL included */

#define DATA_MAX_BYTES (1u << 20) /* of one read or write */

/* Which name an image has that was put aside, before its id; and one that is
 * not yet what it is to be. */
#define OLD_INFIX ".ckpt-old-"
#define MADE_INFIX ".ckpt-made-"

struct session {
    rados_t cluster; /* NULL: not connected */
    rados_ioctx_t io;
    atomic_bool may_hold; /* the lock of an image that a guest has */
    atomic_bool is_over;  /* nobody listens any more */
    FILE *in, *out;   /* questions; answers */
    char words[400];  /* of the last failure */
    char result[160]; /* of a success */
    const void *payload; /* bytes behind a success */
    size_t payload_bytes;
    struct cut *cut;     /* from arm to drain */
    rbd_image_t content; /* of open or make; NULL */
    bool is_filled;      /* of make */
};

/* 0 or -errno, with words. */
typedef int verb_fn(struct session *s, char *const args[]);

/* Fills the words, with strerror(-rc) unless @fmt ends in a full stop; there
 * is none at their end. */
int no(struct session *s, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* --- cluster.c: POOL NAMESPACE|- OPTIONS|-; the cluster's fsid */
verb_fn cluster_connect;
void cluster_close(struct session *s);

/* --- cut.c: ID SNAPSHOT; nothing; nothing */
verb_fn cut_arm, cut_cut, cut_drain;
/* Lets go of the image, whatever was begun. */
void cut_end(struct session *s);

/* --- image.c */
/* -ENOENT without words when it is not there. */
int image_open(struct session *s, const char *id, bool is_written,
               rbd_image_t *out);
/* Others that have it open, which was opened by us to be written. */
int image_others(rbd_image_t image, size_t *nr_out);
/* Waits until who has its lock has let go of it, or is given up for dead.  -EBUSY:
 * he keeps it.  An image that has no such feature has no lock to take: 0. */
int image_take_lock(rbd_image_t image);
int image_name(struct session *s, rbd_image_t image, char out[NAME_MAX_BYTES]);
/* All of its snapshots, those too that only clones still need. */
int image_count_snapshots(rbd_image_t image);
verb_fn image_look;   /* NAME; "ID BYTES" */
verb_fn image_rename; /* ID NAME */
verb_fn image_check;  /* ID SNAPSHOT */

/* --- clone.c */
verb_fn clone_make;   /* ID SNAPSHOT NAME; the clone's id */
verb_fn clone_remove; /* NAME ID SNAPSHOT: if it is a clone of that */
verb_fn clone_chain;   /* ID SNAPSHOT; how many images are above it */
verb_fn clone_flatten; /* NAME: it becomes a clone of none */

/* --- drop.c */
verb_fn drop_snapshot; /* ID SNAPSHOT */
verb_fn drop_old;      /* ID: an image put aside by a rollback */

/* --- changed.c: ID SNAPSHOT ID SNAPSHOT; lines "- OFFSET BYTES", in no order */
verb_fn changed;

/* --- content.c */
verb_fn content_open;  /* ID SNAPSHOT; lines "- OFFSET BYTES"; its size */
verb_fn content_read;  /* OFFSET BYTES; bytes */
verb_fn content_name;  /* ID; the image's name */
verb_fn content_make;  /* NAME BYTES; "ID BYTES" */
verb_fn content_write; /* OFFSET BYTES, bytes */
verb_fn content_made;  /* nothing; all of it is there */
/* NAME, which has to be one for an image that is being made */
verb_fn content_unmake;
void content_end(struct session *s);

#endif
