/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STORE_DRIVER_H
#define CKPT_STORE_DRIVER_H
/*
 * What a kind of store fills in.  Ids, keys, blob names and the order of
 * calls are checked by store.c before a driver sees them; every slot is
 * filled, and every failure has its words in the handle.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckpt.h"
#include "store.h"

/* The two sorts of small texts, and so of names. */
enum store_text {
    STORE_MANIFEST, /* by checkpoint id */
    STORE_VALUE,    /* by key */
};
#define STORE_MANIFEST_MAX (1u << 20)
#define STORE_VALUE_MAX 4096u
#define STORE_NAME_MAX 128u
#define STORE_BLOB_NAME_MAX 32u

struct store_driver {
    const char *scheme; /* "dir", before the colon of a URL */
    int (*open)(struct ckpt *c, const char *path, unsigned flags,
                struct store **st_out);
    void (*close)(struct store *st);
    int (*free_bytes)(struct store *st, uint64_t *bytes_out);
    /* A descriptor that holds the lock while any copy of it is open. */
    int (*lock)(struct store *st, const char *key, int *fd_out);
    int (*list)(struct store *st, enum store_text what, char ***names_out);
    int (*drop)(struct store *st, const char *id,
                struct store_space *space_out);
    int (*prune)(struct store *st, struct store_space *space_out);
    int (*compress)(struct store *st, const char *const *raw_ids,
                    uint64_t *saved_bytes);
    int (*dump)(struct store *st, const char *word, store_line_fn *fn,
                void *arg);
    int (*sharers)(struct store *st, const char *id,
                   const struct ckpt_frames *lost, size_t nr, char ***ids_out);
    int (*space)(struct store *st, const char *id,
                 struct store_space *space_out);
    int (*text_get)(struct store *st, enum store_text what, const char *name,
                    char **text_out);
    /* @text NULL removes a value. */
    int (*text_set)(struct store *st, enum store_text what, const char *name,
                    const char *text);
    int (*create)(struct store *st, const char *id, struct image **img_out);
    int (*image)(struct store *st, const char *id, struct image **img_out);
};

struct image_writer {
    int (*base)(struct image *img, const char *id);
    int (*reserve)(struct image *img, uint64_t bytes);
    int (*put)(struct image *img, const struct page_batch *b);
    int (*put_blob)(struct image *img, const char *name, const void *data,
                    size_t len_bytes);
    int (*sync)(struct image *img);
    int (*commit_path)(struct image *img, char *path, size_t path_bytes);
    int (*commit)(struct image *img, const char *manifest); /* then abort */
    void (*abort)(struct image *img); /* frees; harmless after a commit */
};

struct image_reader {
    int (*get)(struct image *img, uint64_t gfn, void *page, uint8_t *type_out);
    int (*seek)(struct image *img, uint64_t *gfn);
    int (*home)(struct image *img, uint64_t gfn, struct image_home *home);
    int (*next)(struct image *img, uint64_t *cursor, struct page_batch *b);
    int (*blob)(struct image *img, unsigned n, void **data_out);
    void (*close)(struct image *img);
};

/* A driver's own store and image begin with these. */
struct store {
    const struct store_driver *drv;
    struct ckpt *c; /* borrowed */
    char *root;     /* owned; absolute path of a store of files, else NULL */
};

struct image_blob {
    char name[STORE_BLOB_NAME_MAX + 1];
    uint64_t len_bytes;
    uint64_t sum;
};

struct image {
    const struct image_writer *w; /* one of the two is set */
    const struct image_reader *r;
    struct ckpt *c; /* borrowed */
    char id[CKPT_ID_LEN + 1];
    int error; /* of the first failed write: nothing more is accepted */
    uint64_t pages_stored;
    uint64_t pages_zero;
    uint64_t stored_bytes;
    uint64_t nr_gfns; /* of a reader */
    char *manifest;   /* of a reader, owned */
    struct image_blob blobs[STORE_BLOBS_MAX];
    unsigned nr_blobs;
};

/* All drivers, ended by NULL. */
extern const struct store_driver *const store_drivers[];
extern const struct store_driver store_dir;
extern const struct store_driver store_pmem; /* the same, mapped */

/* 16 lower-case hexadecimal digits. */
bool store_is_id(const char *id);
/* [a-z0-9.-]+, not beginning with a dot. */
bool store_is_key(const char *key);

#endif
