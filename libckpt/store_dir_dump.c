/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A pack, told as it lies: head, blobs, nodes, checksums and groups, each with
 * whether it is good.  Nothing here follows a reference, so that what is damaged
 * hides nothing else; and what a head says is only believed as far as the file
 * is long.  docs/specs/store.md has what the words mean.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "ctx.h"
#include "pack_sum.h"
#include "safe_io.h"
#include "store_dir.h"
#include "store_format.h"
#include "store_group.h"

#define BLOB_MAX (256u << 20)

struct dump {
    struct ckpt *c;
    int fd;
    uint64_t file_bytes;
    struct pack_head head;
    store_line_fn *fn;
    void *arg;
    char line[512];
    size_t len;
    char pages[GROUP_BYTES], squeezed[GROUP_BYTES];
};

/* --- lines ----------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void add(struct dump *d,
                                                      const char *fmt, ...)
{
    const size_t room = sizeof(d->line) - d->len;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(d->line + d->len, room, fmt, ap);
    va_end(ap);
    if (n > 0)
        d->len += (size_t)n < room ? (size_t)n : room - 1;
}

/* Bytes of the file, for a terminal. */
static void add_text(struct dump *d, const char *text, size_t max)
{
    for (size_t i = 0; i < max && text[i]; i++)
        if (isprint((unsigned char)text[i]) && text[i] != '\\')
            add(d, "%c", text[i]);
        else
            add(d, "\\x%02x", (unsigned char)text[i]);
}

static void end(struct dump *d)
{
    d->fn(d->arg, d->line);
    d->line[0] = '\0';
    d->len = 0;
}

/* "good", or what is wrong: a word that can be searched for. */
static void end_judged(struct dump *d, const char *wrong)
{
    if (wrong)
        add(d, ": DAMAGED: %s", wrong);
    else
        add(d, ": good");
    end(d);
}

/* NULL, or why these bytes cannot be had. */
static const char *get(struct dump *d, void *data, size_t len, uint64_t offset)
{
    int rc;

    if (offset > d->file_bytes || len > d->file_bytes - offset)
        return "it would lie outside of the file";
    rc = safe_pread_all(d->fd, data, len, (off_t)offset);
    return rc ? strerror(-rc) : NULL;
}

/* How many of @nr things of @bytes each can be in the file at all. */
static uint64_t at_most(const struct dump *d, uint64_t nr, uint64_t bytes)
{
    return nr < d->file_bytes / bytes ? nr : d->file_bytes / bytes;
}

/* --- head and blobs -------------------------------------------------------- */

static const char *dump_head(struct dump *d)
{
    const struct pack_head *h = &d->head;
    const char *wrong = get(d, &d->head, sizeof(d->head), 0);

    if (wrong) {
        add(d, "head");
        end_judged(d, wrong);
        return wrong;
    }
    add(d, "head: magic ");
    add_text(d, h->magic, sizeof(h->magic));
    add(d, ", version %u, sums %s, mandatory %#x, optional %#x, id ",
        h->version,
        h->sum_kind == SUM_XXH3    ? "XXH3"
        : h->sum_kind == SUM_XXH64 ? "XXH64"
                                   : "?",
        h->mandatory, h->optional);
    add_text(d, h->id, sizeof(h->id));
    add(d, ", number %08x", h->number);
    end_judged(d, pack_head_check(h, d->file_bytes));
    add(d,
        "tree: height %u, root %08x/%" PRIu32 ", %" PRIu64
        " frame numbers, %" PRIu64 " stored, %" PRIu64 " zero",
        h->height, ref_pack(h->root), ref_place(h->root), h->nr_gfns,
        h->nr_stored, h->nr_zero);
    end(d);
    add(d,
        "blocks: %" PRIu64 ", pages %" PRIu64 " from 1, nodes %" PRIu64
        " from %" PRIu64 ", sums from %" PRIu64 ", groups from %" PRIu64
        ", codec %u",
        h->file_blocks, h->nr_pages, h->nr_nodes, h->nodes_block, h->sums_block,
        h->groups_block, h->codec);
    end(d);
    return NULL;
}

static bool has_sums(const struct dump *d)
{
    return d->head.sum_kind == SUM_XXH64 || d->head.sum_kind == SUM_XXH3;
}

static uint64_t sum(const struct dump *d, const void *data, size_t len)
{
    return sum_of((enum sum_kind)d->head.sum_kind, data, len, 0);
}

static char *dump_blob(struct dump *d, const char *what,
                       const struct pack_blob *b)
{
    const char *wrong = NULL;
    char *data = NULL;

    add(d, "%s ", what);
    add_text(d, b->name, sizeof(b->name));
    add(d, "%sat %" PRIu64 ", %" PRIu64 " bytes, sum %016" PRIx64,
        b->name[0] ? " " : "", b->offset, b->len_bytes, b->sum);
    if (b->len_bytes > d->file_bytes)
        wrong = "it would lie outside of the file";
    else if (b->len_bytes > BLOB_MAX)
        wrong = "too long to be one";
    else if (!(data = calloc(1, b->len_bytes + 1)))
        wrong = "not enough memory";
    else
        wrong = get(d, data, b->len_bytes, b->offset);
    if (!wrong && (!has_sums(d) || sum(d, data, b->len_bytes) != b->sum))
        wrong = "checksum";
    end_judged(d, wrong);
    return data;
}

/* Line by line, as yajl wrote it. */
static void dump_text(struct dump *d, const char *text)
{
    for (size_t len; text && *text; text += len + (text[len] == '\n')) {
        len = strcspn(text, "\n");
        add(d, "    ");
        add_text(d, text, len);
        end(d);
    }
}

static void dump_blobs(struct dump *d)
{
    char *text = dump_blob(d, "manifest", &d->head.manifest);

    dump_text(d, text);
    free(text);
    for (unsigned i = 0; i < d->head.nr_blobs && i < STORE_BLOBS_MAX; i++)
        free(dump_blob(d, "blob", &d->head.blobs[i]));
}

/* --- nodes ----------------------------------------------------------------- */

static void add_ref(struct dump *d, unsigned at, store_ref r, bool is_leaf)
{
    add(d, " %x:", at);
    if (r & REF_ZERO)
        add(d, "zero");
    else
        add(d, "%08x/%" PRIu32, ref_pack(r), ref_place(r));
    if (ref_type(r))
        add(d, "t%x", ref_type(r));
    if (is_leaf ? !ref_page_is_sound(r) : !ref_node_is_sound(r))
        add(d, "?");
}

static void dump_node(struct dump *d, const struct node_block *b, uint64_t n,
                      unsigned i)
{
    add(d, "  node %" PRIu64 ", level %u:", n * BLOCK_NODES + i, b->level[i]);
    for (unsigned j = 0; j < NODE_REFS; j++)
        if (b->node[i].ref[j])
            add_ref(d, j, b->node[i].ref[j], b->level[i] == 1);
    end(d);
}

static void dump_nodes(struct dump *d)
{
    const struct pack_head *h = &d->head;
    const uint64_t nr =
        (at_most(d, h->nr_nodes, sizeof(struct store_node)) + BLOCK_NODES - 1) /
        BLOCK_NODES;
    struct node_block b;

    for (uint64_t n = 0; n < nr && !check_cancel(d->c); n++) {
        const char *wrong =
            get(d, &b, sizeof(b), (h->nodes_block + n) * PAGE_SIZE_BYTES);
        const bool is_read = !wrong;

        add(d, "nodes, block %" PRIu64, n);
        end_judged(d, wrong ? wrong : node_block_check(h, &b, n));
        for (unsigned i = 0; is_read && i < b.nr && i < BLOCK_NODES; i++)
            dump_node(d, &b, n, i);
    }
}

/* --- pages, groups --------------------------------------------------------- */

/* How long the @n-th group is where it lies; 0: as it is. */
static const char *group_bytes(struct dump *d, uint64_t n, uint32_t *bytes_out)
{
    struct groups_block b;
    const char *wrong;

    *bytes_out = 0;
    if (!(d->head.mandatory & PACK_COMPRESSED))
        return NULL;
    wrong = get(d, &b, sizeof(b),
                (d->head.groups_block + n / BLOCK_GROUPS) * PAGE_SIZE_BYTES);
    if (!wrong)
        wrong = groups_block_check(&d->head, &b, n / BLOCK_GROUPS);
    if (!wrong)
        *bytes_out = b.bytes[n % BLOCK_GROUPS];
    return wrong;
}

/* The pages of a group into d->pages. */
static const char *get_group(struct dump *d, uint64_t n)
{
    const unsigned nr = pack_group_pages(&d->head, n);
    const uint64_t offset = (1 + n * GROUP_PAGES) * PAGE_SIZE_BYTES;
    const char *wrong;
    uint32_t bytes;

    wrong = group_bytes(d, n, &bytes);
    if (!wrong && !bytes)
        return get(d, d->pages, (size_t)nr * PAGE_SIZE_BYTES, offset);
    if (!wrong && bytes > sizeof(d->squeezed))
        wrong = "length of a group";
    if (!wrong)
        wrong = get(d, d->squeezed, bytes, offset);
    if (!wrong && ZSTD_decompress(d->pages, (size_t)nr * PAGE_SIZE_BYTES,
                                  d->squeezed, bytes) != nr * PAGE_SIZE_BYTES)
        wrong = "cannot be decompressed";
    if (d->head.mandatory & PACK_COMPRESSED && bytes) {
        add(d, "  group %" PRIu64 ", %" PRIu32 " bytes", n, bytes);
        end_judged(d, wrong);
    }
    return wrong;
}

static void dump_page(struct dump *d, uint64_t place, uint64_t wanted,
                      const char *wrong)
{
    const char *page = d->pages + (place - 1) % GROUP_PAGES * PAGE_SIZE_BYTES;

    add(d, "  page %" PRIu64 ", sum %016" PRIx64, place, wanted);
    if (!wrong && (!has_sums(d) || sum(d, page, PAGE_SIZE_BYTES) != wanted))
        wrong = "checksum";
    end_judged(d, wrong);
}

static void dump_pages(struct dump *d)
{
    const struct pack_head *h = &d->head;
    const uint64_t nr_pages = at_most(d, h->nr_pages, PAGE_SIZE_BYTES);
    const char *wrong = NULL, *group_wrong = NULL;
    struct sums_block b;

    for (uint64_t i = 0; i < nr_pages && !check_cancel(d->c); i++) {
        const uint64_t n = i / BLOCK_SUMS;

        if (i % BLOCK_SUMS == 0) {
            wrong =
                get(d, &b, sizeof(b), (h->sums_block + n) * PAGE_SIZE_BYTES);
            add(d, "sums, block %" PRIu64, n);
            if (wrong)
                memset(&b, 0, sizeof(b));
            end_judged(d, wrong ? wrong : sums_block_check(h, &b, n));
        }
        if (i % GROUP_PAGES == 0)
            group_wrong = get_group(d, i / GROUP_PAGES);
        if (b.page[i % BLOCK_SUMS]) /* else a place that is not used */
            dump_page(d, i + 1, b.page[i % BLOCK_SUMS], group_wrong);
    }
}

/* --- a pack ---------------------------------------------------------------- */

/* ID, or ID.NUMBER: also of what is no checkpoint any more. */
static int open_pack(struct dir_store *st, const char *word, int *fd_out,
                     struct dir_name *name_out)
{
    struct dir_name wanted;
    int rc;

    if (!dir_name_parse(word, &wanted))
        return fail(st->base.c, -EINVAL, "%s is neither ID nor ID.NUMBER.",
                    word);
    if (!wanted.number)
        return dir_open_id(st, word, fd_out, name_out);
    rc = dir_open_number(st, wanted.number, fd_out, name_out);
    if (!rc && name_out->id != wanted.id) {
        close(*fd_out);
        rc = -ENOENT;
    }
    return rc == -ENOENT
               ? fail(st->base.c, rc, "No pack %s in %s.", word, st->path)
               : rc;
}

int dir_dump(struct store *base, const char *word, store_line_fn *fn, void *arg)
{
    static const char *const places[DIR_NR_PLACES] = {"checkpoints", "dropped",
                                                      "packs"};
    struct dir_store *st = dir_of(base);
    char text[DIR_NAME_LEN + 1];
    struct dir_name name;
    struct dump *d;
    struct stat sb;
    int fd, rc;

    rc = open_pack(st, word, &fd, &name);
    if (rc)
        return rc;
    d = calloc(1, sizeof(*d));
    if (!name.number || !d || fstat(fd, &sb) < 0 || !S_ISREG(sb.st_mode)) {
        free(d);
        close(fd);
        return fail(base->c, -ENOTSUP, "%s is no pack of format 2.", word);
    }
    *d = (struct dump){.c = base->c,
                       .fd = fd,
                       .fn = fn,
                       .arg = arg,
                       .file_bytes = (uint64_t)sb.st_size};
    dir_name_print(text, &name);
    add(d, "pack %s/%s, %" PRIu64 " bytes, %" PRIu64 " on the disk",
        places[name.place], text, d->file_bytes, (uint64_t)sb.st_blocks * 512);
    end(d);
    if (!dump_head(d)) {
        dump_blobs(d);
        dump_nodes(d);
        dump_pages(d);
    }
    free(d);
    close(fd);
    return check_cancel(base->c);
}
