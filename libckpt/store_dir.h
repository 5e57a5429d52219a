/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STORE_DIR_H
#define CKPT_STORE_DIR_H
/*
 * What the files of the directory store share: store_dir.c (the folders and
 * locks), store_dir_names.c (which pack is where), store_dir_text.c (small
 * texts), store_dir_write.c and store_dir_read.c (one checkpoint),
 * store_dir_drop.c and store_dir_refs.c (removing), store_dir_compress.c,
 * store_dir_dump.c, store_dir_sharers.c.
 */
#include "store_driver.h"

/* The folders a pack can be in.  It only ever moves down this list. */
enum dir_place {
    DIR_LIVE,    /* checkpoints/: a checkpoint */
    DIR_DROPPED, /* dropped/: none any more, but still counted as one */
    DIR_PACKS,   /* packs/: has pages that checkpoints use */
};
#define DIR_NR_PLACES 3

/* A pack by its file's name, ID.NUMBER; number 0: a checkpoint of format 1. */
struct dir_name {
    uint64_t id;
    uint32_t number;
    enum dir_place place;
};
#define DIR_NAME_LEN (CKPT_ID_LEN + 1 + 8)

struct pack_head;

struct dir_store {
    struct store base;
    char *path; /* owned; for words */
    unsigned format;
    bool is_read_only;
    bool is_mapped; /* packs are written through mappings of them */
    int fd;
    int place_fds[DIR_NR_PLACES];
    int tmp_fd;
    int locks_fd;
    int values_fd;
    int manifests_fd;
    struct dir_name *names; /* by number, then id; owned */
    size_t nr_names;
};

static inline struct dir_store *dir_of(struct store *st)
{
    return (struct dir_store *)st;
}

/* Held while a file in tmp/ is made and while dead ones are swept, so that
 * nobody sees a file before its writer has locked it. */
int dir_tmp_lock(struct dir_store *st, bool wait, int *fd_out);
/* Removes @name from tmp/ unless its writer lives. Needs dir_tmp_lock(). */
void dir_sweep(struct dir_store *st, const char *name);
/* Readies an older store for what this version writes. */
int dir_upgrade(struct dir_store *st);
/* A flock on locks/@name, shared or not, waiting or -EWOULDBLOCK. */
int dir_lock_file(struct dir_store *st, const char *name, int how, int *fd_out);
/* Takes under way hold it shared: what they may refer to must not go. */
#define DIR_USE_LOCK ".use"

/* --- store_dir_names.c --------------------------------------------------- */

void dir_name_print(char text[DIR_NAME_LEN + 1], const struct dir_name *n);
bool dir_name_parse(const char *text, struct dir_name *n_out);
/* Reads the folders anew. */
int dir_scan(struct dir_store *st);
/* As last read. */
bool dir_is_known(const struct dir_store *st, uint32_t number);
/* A number for a new pack; -EEXIST when @id is taken. Needs dir_tmp_lock(). */
int dir_new_name(struct dir_store *st, const char *id, struct dir_name *n_out);
/* Borrowed until the next scan; NULL when there is none even after one. */
const struct dir_name *dir_by_number(struct dir_store *st, uint32_t number);
const struct dir_name *dir_by_id(struct dir_store *st, const char *id);
/* -ENOENT, without words, when it is nowhere.  *name_out may be NULL. */
int dir_open_number(struct dir_store *st, uint32_t number, int *fd_out,
                    struct dir_name *name_out);
/* A checkpoint's pack, or the folder of one of format 1; -ENOENT. */
int dir_open_id(struct dir_store *st, const char *id, int *fd_out,
                struct dir_name *name_out);

/* --- the driver's verbs in the other files ------------------------------- */

int dir_list(struct store *st, enum store_text what, char ***names_out);
int dir_text_get(struct store *st, enum store_text what, const char *name,
                 char **text_out);
int dir_text_set(struct store *st, enum store_text what, const char *name,
                 const char *text);
int dir_create(struct store *st, const char *id, struct image **img_out);
int dir_image(struct store *st, const char *id, struct image **img_out);
int v1_image(struct store *st, const char *id, int dirfd,
             struct image **img_out);
int dir_drop(struct store *st, const char *id, struct store_space *space_out);
int dir_prune(struct store *st, struct store_space *space_out);
int dir_space(struct store *st, const char *id, struct store_space *space_out);
/* DIR_USE_LOCK for itself; -EBUSY with words while a take is under way. */
int dir_use_alone(struct dir_store *st, int *fd_out);
int dir_compress(struct store *st, const char *const *raw_ids,
                 uint64_t *saved_bytes);
int dir_sharers(struct store *st, const char *id,
                const struct ckpt_frames *lost, size_t nr, char ***ids_out);
int dir_dump(struct store *st, const char *word, store_line_fn *fn, void *arg);

/* The manifest of what is open as @fd. */
int dir_manifest(struct dir_store *st, int fd, const struct dir_name *name,
                 char **text_out);
/* Opens a checkpoint and holds it: nothing of it is removed until *fd_out is
 * closed.  @head_out is not filled for one of format 1, number 0. */
int dir_pin(struct dir_store *st, const char *id, int *fd_out,
            struct dir_name *name_out, struct pack_head *head_out);
/* A text, unwrapped and owned by the caller; @dirfd and @name as given. */
int dir_text_read(struct ckpt *c, enum store_text what, int dirfd,
                  const char *name, char **text_out);

#endif
