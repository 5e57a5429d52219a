/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_PACKS_H
#define CKPT_PACKS_H
/*
 * The packs of a store, open for reading as references lead to them: a fixed
 * number of files and of blocks is held, whatever the store's size (and those
 * of which pages are lent).  Every block is checked when it comes from its file.
 */
#include <stddef.h>

#include "pack_sum.h"
#include "store_format.h"

struct dir_store;

#define PACKS_OPEN 256u   /* files; a slot for each last octet of a number */
#define PACKS_GROUPS 64u  /* 4 MiB of what was decompressed */
/* 16 MiB of nodes and checksums, used as needed.  (A sanitizer pays for all of
 * it at every opening: it is told a smaller number.) */
#ifndef PACKS_BLOCKS
#define PACKS_BLOCKS 4096u
#endif

struct pack_file {
    int fd;
    const char *map; /* all of it, where packs_page() was asked; or NULL */
    bool is_unmappable;
    uint64_t lent_in;       /* the round in which pages of it were lent */
    struct pack_file *next; /* of those to be closed */
    struct pack_head head;
    char name[CKPT_ID_LEN + 10]; /* for words */
};

struct packs {
    struct dir_store *st; /* borrowed */
    struct pack_file *file[PACKS_OPEN];
    uint64_t block_key[PACKS_BLOCKS]; /* 0: nothing there */
    char *blocks;                     /* owned, PACKS_BLOCKS of 4096 bytes */
    struct groups *groups;            /* owned; NULL until one is met */
    bool is_for_all;                  /* most of what is opened will be read */
    bool is_at_once; /* and its pages, where plain, not one after the other */
    uint64_t round;                   /* of lending, see packs_page() */
    struct pack_file *closing;        /* owned: nobody's place, but lent */
};

/* -ENOMEM with its words. */
int packs_init(struct packs *ps, struct dir_store *st);
void packs_fini(struct packs *ps); /* harmless on zero bytes */

/*
 * All of these are 0, or -EUCLEAN with the pack and the place, and what they
 * return is borrowed until the next call on @ps.
 */
int packs_open(struct packs *ps, uint32_t number, struct pack_file **pf_out);
/* @level: what the node must be; 1 is a leaf. */
int packs_node(struct packs *ps, store_ref ref, unsigned level,
               const struct store_node **node_out);
/* The checksum of a stored page, and its kind. */
int packs_sum(struct packs *ps, store_ref ref, uint64_t *sum_out,
              enum sum_kind *kind_out);
/* The bytes that the @n-th group of a compressed pack was compressed to; 0: its
 * pages are as they are.  Also where the pack is not compressed. */
int packs_group(struct packs *ps, uint32_t number, uint64_t n,
                uint32_t *bytes_out);
/* A page, not compared with its checksum. */
int packs_read(struct packs *ps, store_ref ref, void *page);
/* @nr <= PAGE_BATCH of them that lie one after the other. */
int packs_readv(struct packs *ps, store_ref ref, unsigned nr, void **pages);
/* The file that @nr of them can be read from, at their places, by the caller; it
 * is open until packs_take_back().  -ENOTSUP without words: they are compressed. */
int packs_source(struct packs *ps, store_ref ref, unsigned nr, int *fd_out);
/*
 * A page where it lies, where that is memory anyway (tmpfs, DAX) and it is not
 * compressed; else *page_out is NULL, and it can be read.  It is not compared
 * with its checksum, and borrowed until packs_take_back().  A bad block of
 * persistent memory is a SIGBUS, as bad memory is.
 */
int packs_page(struct packs *ps, store_ref ref, const char **page_out);
void packs_take_back(struct packs *ps);
/* One page, and its checksum; @gfn for words. */
int packs_read_page(struct packs *ps, store_ref ref, uint64_t gfn, void *page);

/* Reads and checks the head of an open pack. */
int pack_file_head(struct dir_store *st, int fd, const char *name,
                   struct pack_head *head_out);

#endif
