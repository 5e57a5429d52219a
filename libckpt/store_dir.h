/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STORE_DIR_H
#define CKPT_STORE_DIR_H
/*
 * What the files of the directory store share: store_dir.c (the folders),
 * store_dir_text.c (names and small texts), store_dir_write.c and
 * store_dir_read.c (one checkpoint).
 */
#include "store_driver.h"

#define DIR_PAGES "pages"
#define DIR_INDEX "index"
#define DIR_BLOB "blob."
#define DIR_MANIFEST "manifest.json"

struct dir_store {
    struct store base;
    char *path; /* owned; for words */
    int fd;
    int checkpoints_fd;
    int tmp_fd;
    int locks_fd;
    int values_fd;
};

/* Held while a folder in tmp/ is made and while dead ones are swept, so that
 * nobody sees a folder before its writer has locked it. */
int dir_tmp_lock(struct dir_store *st, bool wait, int *fd_out);
/* Removes @name from tmp/ unless its writer lives. Needs dir_tmp_lock(). */
void dir_sweep(struct dir_store *st, const char *name);

/* -ENOENT when there is none. */
int dir_open_checkpoint(struct dir_store *st, const char *id, int *fd_out);

/* --- the driver's verbs in the other files ------------------------------- */

int dir_list(struct store *st, enum store_text what, char ***names_out);
int dir_text_get(struct store *st, enum store_text what, const char *name,
                 char **text_out);
int dir_text_set(struct store *st, enum store_text what, const char *name,
                 const char *text);
int dir_create(struct store *st, const char *id, struct image **img_out);
int dir_image(struct store *st, const char *id, struct image **img_out);

/* A text, unwrapped and owned by the caller; @dirfd and @name as given. */
int dir_text_read(struct ckpt *c, enum store_text what, int dirfd,
                  const char *name, char **text_out);

#endif
