/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A tree is counted from its root down; a node that has been counted before
 * (as part of another checkpoint) gets one more, and what is below it none:
 *
 *       root A   root B            counts: A 1, B 1
 *         |   \ /   |                      x 2
 *         |    x    |                      below x: 1, as one node refers to it
 *
 * so that counting a checkpoint, and removing one, costs what it has alone.
 *
 * refs/state says "clean" and names the boot of the machine, and a generation:
 * anything else, and the counts are made anew, in another generation; what a
 * file of an older one says is not believed.  They are written with no fsync.
 */
#include "store_dir_refs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "safe_io.h"
#include "store_dir.h"
#include "store_group.h"

#define REFS "refs"
#define STATE "state"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define REFS_MAGIC "XCKPTREF"
#define STATE_MAX 100

struct refs_head {
    char magic[8];
    uint32_t number;
    uint32_t is_counted; /* this pack's own tree */
    uint64_t nr_pages, nr_nodes;
    uint64_t nr_live; /* pages and nodes with a count */
    uint64_t generation;
    uint8_t zero[4048];
};
_Static_assert(sizeof(struct refs_head) == 4096, "refs_head");

struct ref_map {
    struct refs_head *head;
    size_t bytes;
    uint32_t *page; /* from 1 on */
    uint32_t *node;
    uint64_t nodes_block; /* as in the pack's head */
    bool is_compressed;
};

/* --- the folder ---------------------------------------------------------- */

/* 0 when the words cannot be had: then nothing is ever known to be good. */
static int state_words(char words[STATE_MAX], uint64_t generation)
{
    char boot[64] = "";
    int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, boot, sizeof(boot) - 1);

    if (fd >= 0)
        close(fd);
    boot[strcspn(boot, "\n")] = '\0';
    return n > 0 ? snprintf(words, STATE_MAX, "clean %s %016llx\n", boot,
                            (unsigned long long)generation)
                 : 0;
}

static bool state_is_clean(int dirfd, uint64_t *generation)
{
    char words[STATE_MAX], found[STATE_MAX] = "";
    int fd = openat(dirfd, STATE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, found, sizeof(found) - 1);
    const char *last = strrchr(found, ' ');
    int len;

    if (fd >= 0)
        close(fd);
    if (n <= 0 || !last)
        return false;
    *generation = strtoull(last, NULL, 16);
    len = state_words(words, *generation);
    return len > 0 && n == len && !memcmp(words, found, (size_t)len);
}

/* What cannot be removed now belongs to no generation that comes. */
static void wipe(int dirfd)
{
    struct dirent *e;
    DIR *dir;
    int fd;

    fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        close(fd);
    while (dir && (e = readdir(dir))) {
        if (e->d_name[0] != '.')
            unlinkat(dirfd, e->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

int refs_open(struct refs *r, struct dir_store *st)
{
    int rc;

    memset(r, 0, sizeof(*r));
    r->st = st;
    rc = packs_init(&r->packs, st);
    if (rc)
        return rc;
    if (mkdirat(st->fd, REFS, 0700) < 0 && errno != EEXIST && errno != ENOSPC)
        rc = safe_fail(st->base.c, -errno, "mkdir", st->fd, REFS);
    r->fd = openat(st->fd, REFS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
                                     O_CLOEXEC);
    if (!rc && r->fd < 0 && errno != ENOENT)
        rc = safe_fail(st->base.c, -errno, "open", st->fd, REFS);
    if (rc) {
        packs_fini(&r->packs);
        return rc;
    }
    r->is_known = r->fd >= 0 && state_is_clean(r->fd, &r->generation);
    if (!r->is_known && getrandom(&r->generation, sizeof(r->generation), 0) < 0)
        r->generation = now_us();
    if (r->fd >= 0) {
        /* Whoever dies from here on leaves no state that could be believed. */
        if (unlinkat(r->fd, STATE, 0) < 0 && errno != ENOENT)
            rc = safe_fail(st->base.c, -errno, "remove", r->fd, STATE);
        else if (!r->is_known)
            wipe(r->fd);
    }
    if (rc) {
        close(r->fd);
        r->fd = -1;
        packs_fini(&r->packs);
    }
    return rc;
}

static void map_free(struct ref_map *m)
{
    if (!m)
        return;
    munmap(m->head, m->bytes);
    free(m);
}

void refs_close(struct refs *r, bool is_good)
{
    char words[STATE_MAX];
    int len;
    int fd;

    for (unsigned i = 0; i < REFS_OPEN; i++)
        map_free(r->map[i]);
    if (is_good && !r->is_lost && r->fd >= 0 &&
        (len = state_words(words, r->generation)) > 0) {
        fd = openat(r->fd, STATE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        /* Half of it is as good as none. */
        if (fd >= 0) {
            (void)safe_write_all(fd, words, (size_t)len);
            close(fd);
        }
    }
    if (r->fd >= 0)
        close(r->fd);
    packs_fini(&r->packs);
    free(r->freed);
    memset(r, 0, sizeof(*r));
    r->fd = -1;
}

/* --- the counts of one pack ---------------------------------------------- */

static void name_of(char name[16], uint32_t number)
{
    snprintf(name, 16, "%08x", number);
}

/* A mapping of the file, which has all its room: a page without any would be
 * a SIGBUS.  On a full disk it is memory, and lost at the end. */
static void *map_counts(struct refs *r, uint32_t number, size_t bytes)
{
    void *map = MAP_FAILED;
    char name[16];
    int fd = -1;

    name_of(name, number);
    if (r->fd >= 0)
        fd = openat(r->fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
                    0600);
    if (fd >= 0 && !posix_fallocate(fd, 0, (off_t)bytes))
        map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (map != MAP_FAILED)
        return map;
    r->is_lost = true;
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int map_new(struct refs *r, uint32_t number, struct ref_map **m_out)
{
    struct pack_file *pf;
    struct refs_head *h;
    struct ref_map *m = NULL;
    int rc;

    rc = packs_open(&r->packs, number, &pf);
    if (rc)
        return rc;
    m = calloc(1, sizeof(*m));
    if (!m)
        return fail(r->st->base.c, -ENOMEM, "references");
    m->bytes = sizeof(*h) +
               (pf->head.nr_pages + 1 + pf->head.nr_nodes) * sizeof(uint32_t);
    m->head = h = map_counts(r, number, m->bytes);
    if (h == MAP_FAILED) {
        free(m);
        return fail(r->st->base.c, -ENOMEM, "references");
    }
    m->page = (uint32_t *)(h + 1);
    m->node = m->page + pf->head.nr_pages + 1;
    m->nodes_block = pf->head.nodes_block;
    m->is_compressed = pf->head.mandatory & PACK_COMPRESSED;
    if (memcmp(h->magic, REFS_MAGIC, sizeof(h->magic)) ||
        h->generation != r->generation || h->number != number ||
        h->nr_pages != pf->head.nr_pages ||
        h->nr_nodes != pf->head.nr_nodes) {
        memset(h, 0, m->bytes);
        memcpy(h->magic, REFS_MAGIC, sizeof(h->magic));
        h->generation = r->generation;
        h->number = number;
        h->nr_pages = pf->head.nr_pages;
        h->nr_nodes = pf->head.nr_nodes;
    }
    *m_out = m;
    return 0;
}

/* Good until the next call.  On a full disk an evicted one would be lost. */
static int map_of(struct refs *r, uint32_t number, struct ref_map **m_out)
{
    struct ref_map **at = &r->map[number % REFS_OPEN], *m = NULL;
    int rc;

    if (!*at || (*at)->head->number != number) {
        if (*at && r->is_lost)
            return fail(r->st->base.c, -ENOSPC,
                        "Store %s: no room to count references.", r->st->path);
        rc = map_new(r, number, &m);
        if (rc)
            return rc;
        map_free(*at);
        *at = m;
    }
    *m_out = *at;
    return 0;
}

static int no_such(struct refs *r, store_ref ref)
{
    return fail(r->st->base.c, -EUCLEAN,
                "%s: pack %08x: there is no page or node %u.", r->st->path,
                ref_pack(ref), ref_place(ref));
}

/* --- counting ------------------------------------------------------------ */

/* Does @node or @page to all that the node @ref refers to. */
static int beneath(struct refs *r, store_ref ref, unsigned level,
                   int (*node)(struct refs *r, store_ref ref, unsigned level),
                   int (*page)(struct refs *r, store_ref ref))
{
    const struct store_node *found;
    struct store_node copy; /* what was found goes when others are read */
    int rc;

    rc = packs_node(&r->packs, ref, level, &found);
    if (rc)
        return rc;
    copy = *found;
    for (unsigned i = 0; !rc && i < NODE_REFS; i++) {
        if (level > 1)
            rc = copy.ref[i] ? node(r, copy.ref[i], level - 1) : 0;
        else if (ref_is_stored(copy.ref[i]))
            rc = page(r, copy.ref[i]);
    }
    return rc;
}

static int count_page(struct refs *r, store_ref ref)
{
    struct ref_map *m = NULL;
    int rc;

    rc = map_of(r, ref_pack(ref), &m);
    if (rc)
        return rc;
    if (ref_place(ref) > m->head->nr_pages)
        return no_such(r, ref);
    m->head->nr_live += !m->page[ref_place(ref)]++;
    return 0;
}

static int count_node(struct refs *r, store_ref ref, unsigned level)
{
    struct ref_map *m = NULL;
    int rc;

    rc = map_of(r, ref_pack(ref), &m);
    if (rc)
        return rc;
    if (ref_place(ref) >= m->head->nr_nodes)
        return no_such(r, ref);
    if (m->node[ref_place(ref)]++)
        return 0;
    m->head->nr_live++;
    return beneath(r, ref, level, count_node, count_page);
}

static int add_freed(struct refs *r, uint32_t number, uint64_t block)
{
    if (r->nr_freed == r->room_freed) {
        size_t room = r->room_freed ? 2 * r->room_freed : 1024;
        uint64_t *more = realloc(r->freed, room * sizeof(*more));

        if (!more)
            return fail(r->st->base.c, -ENOMEM, "references");
        r->freed = more;
        r->room_freed = room;
    }
    r->freed[r->nr_freed++] = (uint64_t)number << 36 | block;
    return 0;
}

/* Blocks of the @n-th group of a compressed pack, if nothing leads to any of its
 * pages: as many as it has. */
static int free_group(struct refs *r, const struct ref_map *m, uint64_t n)
{
    const uint64_t first = n * GROUP_PAGES + 1;
    uint64_t end = first + GROUP_PAGES;
    uint32_t bytes;
    int rc;

    if (end > m->head->nr_pages + 1)
        end = m->head->nr_pages + 1;
    for (uint64_t i = first; i < end; i++) {
        if (m->page[i])
            return 0;
    }
    rc = packs_group(&r->packs, m->head->number, n, &bytes);
    if (bytes)
        end = first + (bytes + PAGE_SIZE_BYTES - 1) / PAGE_SIZE_BYTES;
    for (uint64_t i = first; !rc && i < end; i++)
        rc = add_freed(r, m->head->number, i);
    return rc;
}

/* A page to which nothing leads, and what goes with it. */
static int free_page(struct refs *r, const struct ref_map *m, uint64_t place)
{
    return m->is_compressed ? free_group(r, m, (place - 1) / GROUP_PAGES)
                            : add_freed(r, m->head->number, place);
}

static int uncount_page(struct refs *r, store_ref ref)
{
    struct ref_map *m = NULL;
    int rc;

    rc = map_of(r, ref_pack(ref), &m);
    if (rc)
        return rc;
    if (ref_place(ref) > m->head->nr_pages || !m->page[ref_place(ref)])
        return no_such(r, ref);
    if (--m->page[ref_place(ref)])
        return 0;
    m->head->nr_live--;
    r->pages_freed++;
    return free_page(r, m, ref_place(ref));
}

/* Is the block of nodes that @place is in without any? */
static bool block_is_dead(const struct ref_map *m, uint64_t place)
{
    const uint64_t first = place / BLOCK_NODES * BLOCK_NODES;

    for (uint64_t i = first; i < first + BLOCK_NODES && i < m->head->nr_nodes;
         i++) {
        if (m->node[i])
            return false;
    }
    return true;
}

static int uncount_node(struct refs *r, store_ref ref, unsigned level)
{
    struct ref_map *m = NULL;
    int rc;

    rc = map_of(r, ref_pack(ref), &m);
    if (rc)
        return rc;
    if (ref_place(ref) >= m->head->nr_nodes || !m->node[ref_place(ref)])
        return no_such(r, ref);
    if (--m->node[ref_place(ref)])
        return 0;
    m->head->nr_live--;
    if (block_is_dead(m, ref_place(ref)))
        rc = add_freed(r, ref_pack(ref),
                       m->nodes_block + ref_place(ref) / BLOCK_NODES);
    return rc ? rc : beneath(r, ref, level, uncount_node, uncount_page);
}

/* --- packs --------------------------------------------------------------- */

static int each(struct refs *r, uint32_t number, uint32_t is_counted,
                int (*node)(struct refs *r, store_ref ref, unsigned level))
{
    struct pack_file *pf;
    struct ref_map *m = NULL;
    store_ref root;
    unsigned height;
    int rc;

    rc = packs_open(&r->packs, number, &pf);
    if (rc)
        return rc;
    root = pf->head.root;
    height = pf->head.height;
    rc = map_of(r, number, &m);
    if (rc || m->head->is_counted == is_counted)
        return rc;
    m->head->is_counted = is_counted;
    return root ? node(r, root, height) : 0;
}

int refs_count(struct refs *r, uint32_t number)
{
    return each(r, number, 1, count_node);
}

int refs_uncount(struct refs *r, uint32_t number)
{
    return each(r, number, 0, uncount_node);
}

int refs_is_live(struct refs *r, uint32_t number, bool *is_live_out)
{
    struct ref_map *m = NULL;
    int rc = map_of(r, number, &m);

    if (!rc)
        *is_live_out = m->head->nr_live > 0;
    return rc;
}

int refs_dead_blocks(struct refs *r, uint32_t number)
{
    struct ref_map *m = NULL;
    int rc;

    rc = map_of(r, number, &m);
    for (uint64_t i = 1; !rc && i <= m->head->nr_pages;
         i += m->is_compressed ? GROUP_PAGES : 1)
        rc = m->page[i] ? 0 : free_page(r, m, i);
    for (uint64_t i = 0; !rc && i < m->head->nr_nodes; i += BLOCK_NODES)
        rc = block_is_dead(m, i)
                 ? add_freed(r, number, m->nodes_block + i / BLOCK_NODES)
                 : 0;
    return rc;
}

void refs_forget(struct refs *r, uint32_t number)
{
    struct ref_map **at = &r->map[number % REFS_OPEN];
    char name[16];

    if (*at && (*at)->head->number == number) {
        map_free(*at);
        *at = NULL;
    }
    name_of(name, number);
    if (r->fd >= 0)
        unlinkat(r->fd, name, 0); /* else it is found unfit one day */
}
