/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Reading packs.  A reference names a pack by its number; the file is looked
 * up, its head checked, and kept until another pack needs its place.  From a
 * disk it is read, not mapped: a bad sector is then an error, and not a SIGBUS
 * for our caller.  What is in memory already is lent as it
 * lies there.
 */
#include "packs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <zstd.h>

#include "ctx.h"
#include "pack_sum.h"
#include "safe_io.h"
#include "store_dir.h"
#include "store_group.h"

enum block_kind {
    NODES,
    SUMS,
    GROUPS,
};

/* What was decompressed last, each group at the place of its number. */
struct groups {
    ZSTD_DCtx *zstd;
    uint64_t key[PACKS_GROUPS]; /* 0: nothing there */
    char in[GROUP_BYTES];
    char page[PACKS_GROUPS][GROUP_BYTES];
};

int packs_init(struct packs *ps, struct dir_store *st)
{
    memset(ps, 0, sizeof(*ps));
    ps->st = st;
    ps->round = 1;
    ps->blocks = malloc((size_t)PACKS_BLOCKS * PAGE_SIZE_BYTES);
    return ps->blocks ? 0 : fail(st->base.c, -ENOMEM, "store %s", st->path);
}

static size_t file_bytes(const struct pack_file *pf)
{
    return (size_t)pf->head.file_blocks * PAGE_SIZE_BYTES;
}

static void file_close(struct pack_file *pf)
{
    if (!pf)
        return;
    if (pf->map)
        munmap((void *)(uintptr_t)pf->map, file_bytes(pf));
    close(pf->fd);
    free(pf);
}

void packs_take_back(struct packs *ps)
{
    struct pack_file *pf;

    ps->round++;
    while ((pf = ps->closing)) {
        ps->closing = pf->next;
        file_close(pf);
    }
}

void packs_fini(struct packs *ps)
{
    packs_take_back(ps);
    for (unsigned i = 0; i < PACKS_OPEN; i++)
        file_close(ps->file[i]);
    free(ps->blocks);
    if (ps->groups)
        ZSTD_freeDCtx(ps->groups->zstd);
    free(ps->groups);
    memset(ps, 0, sizeof(*ps));
}

static int damaged(struct packs *ps, const struct pack_file *pf,
                   const char *what, uint64_t n, const char *wrong)
{
    return fail(ps->st->base.c, -EUCLEAN, "%s: pack %s: %s %llu: %s.",
                ps->st->path, pf->name, what, (unsigned long long)n, wrong);
}

/* --- files --------------------------------------------------------------- */

int pack_file_head(struct dir_store *st, int fd, const char *name,
                   struct pack_head *head_out)
{
    const char *wrong;
    struct stat sb;
    int rc;

    if (fstat(fd, &sb) < 0)
        return fail(st->base.c, -errno, "%s: pack %s", st->path, name);
    if (!S_ISREG(sb.st_mode))
        return fail(st->base.c, -EUCLEAN, "%s: pack %s: not a regular file.",
                    st->path, name);
    rc = safe_pread_all(fd, head_out, sizeof(*head_out), 0);
    if (rc && rc != -EPIPE)
        return fail(st->base.c, rc, "%s: pack %s", st->path, name);
    wrong = rc ? "length of the file"
               : pack_head_check(head_out, (uint64_t)sb.st_size);
    if (!wrong && (strncmp(name, head_out->id, CKPT_ID_LEN) ||
                   strtoul(name + CKPT_ID_LEN + 1, NULL, 16) !=
                       head_out->number))
        wrong = "belongs to another pack";
    if (wrong)
        return fail(st->base.c, -EUCLEAN, "%s: pack %s: damaged (%s).",
                    st->path, name, wrong);
    return 0;
}

/* Pages of an increment lie far apart for a disk that is asked for one after
 * the other, and near for one that is asked for all. */
#define AT_ONCE_PAGES 4096u

static void announce(const struct packs *ps, const struct pack_file *pf)
{
    const bool is_plain = !(pf->head.mandatory & PACK_COMPRESSED);

    if (ps->is_for_all && pf->head.nr_pages <= AT_ONCE_PAGES &&
        !(ps->is_at_once && is_plain))
        posix_fadvise(pf->fd, 0, 0, POSIX_FADV_WILLNEED); /* advice */
}

static int file_open(struct packs *ps, uint32_t number,
                     struct pack_file **pf_out)
{
    struct pack_file *pf;
    struct dir_name name;
    int rc;

    pf = calloc(1, sizeof(*pf));
    if (!pf)
        return fail(ps->st->base.c, -ENOMEM, "pack %08x", number);
    rc = dir_open_number(ps->st, number, &pf->fd, &name);
    if (rc) {
        free(pf);
        return rc == -ENOENT ? fail(ps->st->base.c, -EUCLEAN,
                                    "%s: pack %08x is missing.", ps->st->path,
                                    number)
                             : rc;
    }
    dir_name_print(pf->name, &name);
    rc = pack_file_head(ps->st, pf->fd, pf->name, &pf->head);
    if (rc) {
        file_close(pf);
        return rc;
    }
    announce(ps, pf);
    *pf_out = pf;
    return 0;
}

int packs_open(struct packs *ps, uint32_t number, struct pack_file **pf_out)
{
    struct pack_file **place = &ps->file[number % PACKS_OPEN];
    struct pack_file *pf = NULL;
    int rc;

    if (!*place || (*place)->head.number != number) {
        rc = file_open(ps, number, &pf);
        if (rc)
            return rc;
        if (*place && (*place)->lent_in == ps->round) {
            (*place)->next = ps->closing;
            ps->closing = *place;
        } else {
            file_close(*place);
        }
        *place = pf;
    }
    *pf_out = *place;
    return 0;
}

/* --- blocks -------------------------------------------------------------- */

/* The @n-th block of its kind, from the cache or the file. */
static int block_at(struct packs *ps, uint32_t number, enum block_kind kind,
                    uint64_t n, const void **block_out)
{
    const uint64_t key = (uint64_t)number << 34 | n << 2 | kind;
    const size_t at =
        (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 40) % PACKS_BLOCKS;
    char *block = ps->blocks + at * PAGE_SIZE_BYTES;
    struct pack_file *pf;
    const char *wrong;
    static const char *const what[] = {"nodes, block", "sums, block",
                                       "groups, block"};
    uint64_t first;
    int rc;

    *block_out = block;
    if (ps->block_key[at] == key)
        return 0;
    rc = packs_open(ps, number, &pf);
    if (rc)
        return rc;
    first = kind == NODES  ? pf->head.nodes_block
            : kind == SUMS ? pf->head.sums_block
                           : pf->head.groups_block;
    ps->block_key[at] = 0;
    rc = safe_pread_all(pf->fd, block, PAGE_SIZE_BYTES,
                        (off_t)((first + n) * PAGE_SIZE_BYTES));
    if (rc)
        wrong = strerror(-rc);
    else if (kind == NODES)
        wrong = node_block_check(&pf->head, (const void *)block, n);
    else if (kind == SUMS)
        wrong = sums_block_check(&pf->head, (const void *)block, n);
    else
        wrong = groups_block_check(&pf->head, (const void *)block, n);
    if (wrong)
        return damaged(ps, pf, what[kind], n, wrong);
    ps->block_key[at] = key;
    return 0;
}

static int outside(struct packs *ps, uint32_t number, const char *what,
                   uint64_t n)
{
    struct pack_file *pf = NULL;
    int rc = packs_open(ps, number, &pf);

    return rc ? rc : damaged(ps, pf, what, n, "there is none");
}

int packs_node(struct packs *ps, store_ref ref, unsigned level,
               const struct store_node **node_out)
{
    const uint32_t place = ref_place(ref);
    const struct node_block *b;
    const void *block;
    unsigned at = place % BLOCK_NODES;
    struct pack_file *pf;
    int rc;

    rc = packs_open(ps, ref_pack(ref), &pf);
    if (rc)
        return rc;
    if (place >= pf->head.nr_nodes)
        return outside(ps, ref_pack(ref), "node", place);
    rc = block_at(ps, ref_pack(ref), NODES, place / BLOCK_NODES, &block);
    if (rc)
        return rc;
    b = block;
    if (b->level[at] != level)
        return outside(ps, ref_pack(ref), "node of that level", place);
    *node_out = &b->node[at];
    return 0;
}

int packs_sum(struct packs *ps, store_ref ref, uint64_t *sum_out,
              enum sum_kind *kind_out)
{
    const uint32_t place = ref_place(ref);
    const void *block;
    struct pack_file *pf;
    int rc;

    rc = packs_open(ps, ref_pack(ref), &pf);
    if (rc)
        return rc;
    *kind_out = (enum sum_kind)pf->head.sum_kind;
    if (place == 0 || place > pf->head.nr_pages)
        return outside(ps, ref_pack(ref), "page", place);
    rc = block_at(ps, ref_pack(ref), SUMS, (place - 1) / BLOCK_SUMS, &block);
    if (!rc)
        *sum_out =
            ((const struct sums_block *)block)->page[(place - 1) % BLOCK_SUMS];
    return rc;
}

/* --- groups -------------------------------------------------------------- */

int packs_group(struct packs *ps, uint32_t number, uint64_t n,
                uint32_t *bytes_out)
{
    const void *block;
    struct pack_file *pf;
    int rc;

    *bytes_out = 0;
    rc = packs_open(ps, number, &pf);
    if (rc || !(pf->head.mandatory & PACK_COMPRESSED))
        return rc;
    rc = block_at(ps, number, GROUPS, n / BLOCK_GROUPS, &block);
    if (!rc)
        *bytes_out =
            ((const struct groups_block *)block)->bytes[n % BLOCK_GROUPS];
    return rc;
}

static struct groups *groups_of(struct packs *ps)
{
    struct groups *g = ps->groups;

    if (g)
        return g;
    g = malloc(sizeof(*g));
    if (!g)
        return NULL;
    memset(g->key, 0, sizeof(g->key));
    g->zstd = ZSTD_createDCtx();
    if (!g->zstd) {
        free(g);
        return NULL;
    }
    ps->groups = g;
    return g;
}

/* The pages of a group that is @bytes long where it lies. */
static int group_at(struct packs *ps, const struct pack_file *pf, uint64_t n,
                    uint32_t bytes, const char **pages_out)
{
    const uint64_t key = (uint64_t)pf->head.number << 34 | (n + 1);
    const size_t want =
        (size_t)pack_group_pages(&pf->head, n) * PAGE_SIZE_BYTES;
    const unsigned at = (unsigned)(key % PACKS_GROUPS);
    struct groups *g = groups_of(ps);
    int rc;

    if (!g)
        return fail(ps->st->base.c, -ENOMEM, "pack %s", pf->name);
    *pages_out = g->page[at];
    if (g->key[at] == key)
        return 0;
    g->key[at] = 0;
    rc = safe_pread_all(pf->fd, g->in, bytes,
                        (off_t)((1 + n * GROUP_PAGES) * PAGE_SIZE_BYTES));
    if (rc)
        return damaged(ps, pf, "group", n, strerror(-rc));
    if (ZSTD_decompressDCtx(g->zstd, g->page[at], want, g->in, bytes) != want)
        return damaged(ps, pf, "group", n, "cannot be decompressed");
    g->key[at] = key;
    return 0;
}

/* --- pages --------------------------------------------------------------- */

static int read_run(const struct pack_file *pf, uint32_t place, unsigned nr,
                 void **pages)
{
    struct iovec iov[PAGE_BATCH];
    int nr_iov = 0;

    for (unsigned i = 0; i < nr; i++)
        nr_iov = safe_iov_add(iov, nr_iov, pages[i], PAGE_SIZE_BYTES);
    return safe_preadv_all(pf->fd, iov, nr_iov,
                           (off_t)place << PAGE_SHIFT_BITS);
}

/* Group by group, each as it lies. */
static int read_groups(struct packs *ps, const struct pack_file *pf,
                       uint32_t place, unsigned nr, void **pages)
{
    while (nr) {
        const uint64_t n = (place - 1) / GROUP_PAGES;
        const unsigned first = (place - 1) % GROUP_PAGES;
        const unsigned here =
            nr < GROUP_PAGES - first ? nr : GROUP_PAGES - first;
        const char *group = NULL;
        uint32_t bytes;
        int rc;

        rc = packs_group(ps, pf->head.number, n, &bytes);
        if (!rc && bytes)
            rc = group_at(ps, pf, n, bytes, &group);
        if (rc)
            return rc;
        if (!bytes) {
            rc = read_run(pf, place, here, pages);
            if (rc)
                return damaged(ps, pf, "page", place, strerror(-rc));
        }
        for (unsigned i = 0; bytes && i < here; i++)
            memcpy(pages[i], group + (size_t)(first + i) * PAGE_SIZE_BYTES,
                   PAGE_SIZE_BYTES);
        place += here;
        pages += here;
        nr -= here;
    }
    return 0;
}

static bool is_memory(int fd)
{
    struct statfs sf;
    struct statx sx;

    if (!fstatfs(fd, &sf) && sf.f_type == TMPFS_MAGIC)
        return true;
    return !statx(fd, "", AT_EMPTY_PATH, 0, &sx) &&
           sx.stx_attributes & STATX_ATTR_DAX;
}

static void map_file(struct pack_file *pf)
{
    void *map = MAP_FAILED;

    if (!(pf->head.mandatory & PACK_COMPRESSED) && is_memory(pf->fd))
        map = mmap(NULL, file_bytes(pf), PROT_READ, MAP_SHARED, pf->fd, 0);
    pf->is_unmappable = map == MAP_FAILED;
    pf->map = pf->is_unmappable ? NULL : map;
}

/* The pack that @ref leads to, which has @nr places from there on. */
static int open_places(struct packs *ps, store_ref ref, unsigned nr,
                       struct pack_file **pf_out)
{
    const uint32_t place = ref_place(ref);
    int rc = packs_open(ps, ref_pack(ref), pf_out);

    if (rc)
        return rc;
    if (place == 0 || place > (*pf_out)->head.nr_pages || nr > PAGE_BATCH ||
        nr > (*pf_out)->head.nr_pages - place + 1)
        return damaged(ps, *pf_out, "page", place, "there is none");
    return 0;
}

int packs_page(struct packs *ps, store_ref ref, const char **page_out)
{
    const uint32_t place = ref_place(ref);
    struct pack_file *pf;
    int rc;

    *page_out = NULL;
    rc = open_places(ps, ref, 1, &pf);
    if (rc)
        return rc;
    if (!pf->map && !pf->is_unmappable)
        map_file(pf);
    if (pf->map) {
        pf->lent_in = ps->round;
        *page_out = pf->map + (size_t)place * PAGE_SIZE_BYTES;
    }
    return 0;
}

int packs_readv(struct packs *ps, store_ref ref, unsigned nr, void **pages)
{
    const uint32_t place = ref_place(ref);
    struct pack_file *pf;
    int rc;

    rc = open_places(ps, ref, nr, &pf);
    if (rc)
        return rc;
    if (pf->head.mandatory & PACK_COMPRESSED)
        return read_groups(ps, pf, place, nr, pages);
    rc = read_run(pf, place, nr, pages);
    return rc ? damaged(ps, pf, "page", place, strerror(-rc)) : 0;
}

int packs_source(struct packs *ps, store_ref ref, unsigned nr, int *fd_out)
{
    struct pack_file *pf;
    int rc;

    rc = open_places(ps, ref, nr, &pf);
    if (rc)
        return rc;
    if (pf->head.mandatory & PACK_COMPRESSED)
        return -ENOTSUP;
    pf->lent_in = ps->round;
    *fd_out = pf->fd;
    return 0;
}

int packs_read(struct packs *ps, store_ref ref, void *page)
{
    return packs_readv(ps, ref, 1, &page);
}

int packs_read_page(struct packs *ps, store_ref ref, uint64_t gfn, void *page)
{
    enum sum_kind kind;
    struct pack_file *pf;
    char what[48];
    uint64_t sum;
    int rc;

    rc = packs_sum(ps, ref, &sum, &kind);
    if (!rc)
        rc = packs_read(ps, ref, page);
    if (rc || sum_of(kind, page, PAGE_SIZE_BYTES, 0) == sum)
        return rc;
    snprintf(what, sizeof(what), "frame %#llx, page", (unsigned long long)gfn);
    rc = packs_open(ps, ref_pack(ref), &pf);
    return rc ? rc : damaged(ps, pf, what, ref_place(ref), "checksum");
}
