/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The store's measurements, one a line as "NAME VALUE...", for
 * tests/bench/store.sh.  Ours and memcpy take turns in one process, on the
 * same memory.
 *
 *     store_bench ingest DIR MIB ROUNDS   take, memcpy; CPU of each
 *     store_bench chain DIR MIB DEPTH ALONE   increments, restores, opening;
 *         the last is stored in ALONE, too, where it is the only one
 *     store_bench bare DIR MIB ROUNDS     what the machine allows: that many
 *         pages to a file that lasts, without a store; a hundredth of them;
 *         memory as far apart as the pages of a chain, and in a row
 *     store_bench image FILE MIB          the memory, as a file for the peers
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ctx.h"
#include "guest_image.h"
#include "pack.h"
#include "pack_sum.h"
#include "page.h"
#include "store.h"

#define SEED 42u
/* Buffers side by side at the same offset in large pages are slow to copy. */
#define SKEW (37u * PAGE_SIZE_BYTES)

static uint64_t nr_pages;
static char *memory, *room;
static struct ckpt *c;

static void insist(int is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "store_bench: %s: %s\n", what,
            c && *ckpt_error(c) ? ckpt_error(c) : strerror(errno));
    exit(1);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void *get_memory(void)
{
    void *m =
        mmap(NULL, nr_pages * PAGE_SIZE_BYTES + SKEW, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    insist(m != MAP_FAILED, "mmap");
    return m;
}

static void id_of(char id[CKPT_ID_LEN + 1], unsigned n)
{
    snprintf(id, CKPT_ID_LEN + 1, "%016x", n + 1);
}

/* Frames @first and every @step-th after it; all of them with 0 and 1. */
static void put_frames(struct image *img, const uint64_t *gfns, uint64_t nr)
{
    static struct page_batch b;

    for (uint64_t i = 0; i < nr; i += b.nr) {
        for (b.nr = 0; b.nr < PAGE_BATCH && i + b.nr < nr; b.nr++) {
            const uint64_t gfn = gfns ? gfns[i + b.nr] : i + b.nr;

            b.gfn[b.nr] = gfn;
            b.type[b.nr] = PAGE_TYPE_NORMAL;
            b.data[b.nr] = memory + gfn * PAGE_SIZE_BYTES;
        }
        insist(!image_put(img, &b), "put");
    }
}

/* Seconds to durable; of @gfns on top of @base, or of all. */
static double take(unsigned n, int base, const uint64_t *gfns, uint64_t nr,
                   uint64_t *bytes_out)
{
    char id[CKPT_ID_LEN + 1], base_id[CKPT_ID_LEN + 1];
    struct image *img;
    double begin;

    id_of(id, n);
    begin = now_s();
    insist(!image_create(c->store, id, &img), "create");
    if (base >= 0) {
        id_of(base_id, (unsigned)base);
        insist(!image_base(img, base_id), "base");
    }
    insist(!image_reserve(img, nr * PAGE_SIZE_BYTES + (8u << 20)), "reserve");
    put_frames(img, gfns, nr);
    insist(!image_sync(img), "sync");
    if (bytes_out)
        image_stats(img, NULL, NULL, bytes_out);
    insist(!image_commit(img, "{}"), "commit");
    return now_s() - begin;
}

static void drop(unsigned n)
{
    char id[CKPT_ID_LEN + 1];

    id_of(id, n);
    insist(!store_drop(c->store, id, NULL), "drop");
}

static int ingest(unsigned rounds)
{
    const size_t bytes = nr_pages * PAGE_SIZE_BYTES;
    double begin, cpu;
    uint64_t stored = 0;

    room = (char *)get_memory() + SKEW;
    for (unsigned i = 0; i < rounds; i++) {
        double took;

        begin = now_s();
        cpu = cpu_s();
        memcpy(room, memory, bytes);
        printf("memcpy %.6f\nmemcpy.cpu %.6f\n", now_s() - begin,
               cpu_s() - cpu);
        cpu = cpu_s();
        took = take(0, -1, NULL, nr_pages, &stored);
        printf("take %.6f\ntake.cpu %.6f\n", took, cpu_s() - cpu);
        drop(0);
    }
    printf("stored %llu\n", (unsigned long long)stored);
    return 0;
}

static uint64_t disk_bytes(unsigned n)
{
    char path[600];
    struct stat sb;

    snprintf(path, sizeof(path), "%s/checkpoints/%016x.%08x", c->url, n + 1,
             n + 1);
    insist(!stat(path, &sb), path);
    return (uint64_t)sb.st_blocks * 512;
}

/* A hundredth of the frames anew, spread at random, in rising order. */
static uint64_t dirty(uint64_t *gfns, unsigned round)
{
    uint64_t nr = 0, state = round;

    for (uint64_t gfn = 0; gfn < nr_pages; gfn++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        if ((state >> 33) % 100)
            continue;
        guest_page_fill(memory + gfn * PAGE_SIZE_BYTES,
                        (uint64_t)(round + 1) << 40 | gfn);
        gfns[nr++] = gfn;
    }
    return nr;
}

static double restore(struct store *st, unsigned n)
{
    static struct page_batch b;
    char id[CKPT_ID_LEN + 1];
    double begin = now_s();
    struct image *img;
    uint64_t cursor = 0;

    id_of(id, n);
    insist(!image_open(st, id, &img), "open");
    do {
        insist(!image_next(img, &cursor, &b), "next");
        for (unsigned i = 0; i < b.nr; i++) {
            char *to = room + b.gfn[i] * PAGE_SIZE_BYTES;

            if (b.data[i])
                memcpy(to, b.data[i], PAGE_SIZE_BYTES);
        }
    } while (b.nr);
    image_close(img);
    return now_s() - begin;
}

/* Opened, and one page of it mapped and touched. */
static double open_and_map(unsigned n)
{
    char id[CKPT_ID_LEN + 1];
    double begin = now_s(), took;
    struct image_home home;
    struct image *img;
    uint64_t gfn = 0;
    volatile char sink;
    char *page;

    id_of(id, n);
    insist(!image_open(c->store, id, &img), "open");
    do
        insist(!image_home(img, gfn++, &home), "home");
    while (home.fd < 0);
    page = mmap(NULL, PAGE_SIZE_BYTES, PROT_READ, MAP_PRIVATE, home.fd,
                (off_t)home.offset);
    insist(page != MAP_FAILED, "mmap");
    sink = *page;
    took = now_s() - begin;
    (void)sink;
    munmap(page, PAGE_SIZE_BYTES);
    image_close(img);
    return took;
}

static void verify(unsigned n)
{
    static struct page_batch b;
    char id[CKPT_ID_LEN + 1];
    struct image *img;
    uint64_t cursor = 0;

    id_of(id, n);
    insist(!image_open(c->store, id, &img), "open");
    do
        insist(!image_next(img, &cursor, &b), "next");
    while (b.nr);
    image_close(img);
}

/* What is in memory now, as the only checkpoint of a store: what the last of
 * the chain would cost without one before it. */
static struct ckpt *take_alone(const char *dir)
{
    struct ckpt *chained = c, *alone;

    insist(!ckpt_open(dir, NULL, &c), "store");
    take(0, -1, NULL, nr_pages, NULL);
    alone = c;
    c = chained;
    return alone;
}

static void compare_restored(void)
{
    static const char zero[PAGE_SIZE_BYTES];

    for (uint64_t gfn = 0; gfn < nr_pages; gfn++) {
        const char *page = memory + gfn * PAGE_SIZE_BYTES;

        insist(!memcmp(page, zero, sizeof(zero)) ||
                   !memcmp(page, room + gfn * PAGE_SIZE_BYTES, PAGE_SIZE_BYTES),
               "what was restored differs");
    }
}

static int chain(unsigned depth, const char *alone_dir)
{
    uint64_t *gfns = malloc((nr_pages + 1) * sizeof(*gfns));
    struct ckpt *alone;
    double begin;
    uint64_t nr;

    insist(gfns != NULL, "malloc");
    room = (char *)get_memory() + SKEW;
    printf("full %.6f\n", take(0, -1, NULL, nr_pages, NULL));
    for (unsigned i = 1; i < depth; i++) {
        nr = dirty(gfns, i);
        printf("increment %.6f\n", take(i, (int)i - 1, gfns, nr, NULL));
        printf("increment.bytes %llu %llu\n", (unsigned long long)disk_bytes(i),
               (unsigned long long)(nr * PAGE_SIZE_BYTES));
    }
    alone = take_alone(alone_dir);
    for (unsigned i = 0; i < 7; i++) {
        printf("restore.1 %.6f\n", restore(c->store, 0));
        printf("restore.n %.6f\n", restore(c->store, depth - 1));
        printf("restore.alone %.6f\n", restore(alone->store, 0));
        printf("open.1 %.6f\n", open_and_map(0));
        printf("open.n %.6f\n", open_and_map(depth - 1));
    }
    ckpt_close(alone);
    restore(c->store, depth - 1);
    compare_restored();
    drop(depth - 1); /* counts are made */
    begin = now_s();
    drop(depth / 2);
    printf("drop.middle %.6f\n", now_s() - begin);
    for (unsigned i = 0; i < depth - 1; i++) {
        if (i != depth / 2)
            verify(i);
    }
    printf("verified %u\n", depth - 2);
    free(gfns);
    return 0;
}

/* --- what the machine allows ------------------------------------------------ */

/* The first @nr pages that are not zero, to a file in @dir, renamed, both
 * lasting: what a take does but for knowing what it stores. */
static double bare(const char *dir, uint64_t nr)
{
    static const char zero[PAGE_SIZE_BYTES];
    const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    struct pack pack;
    uint32_t place = 0;
    int at, fd, direct_fd;
    double begin;

    at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unlinkat(at, "bare", 0);
    begin = now_s();
    fd = openat(at, "bare.tmp", flags, 0600);
    direct_fd = openat(at, "bare.tmp", O_WRONLY | O_DIRECT | O_CLOEXEC);
    insist(fd >= 0 && direct_fd >= 0, dir);
    insist(!fallocate(fd, 0, 0, (off_t)(nr * PAGE_SIZE_BYTES)), "fallocate");
    insist(!pack_init(&pack, PACK_DIRECT, fd, direct_fd), "pack");
    for (uint64_t gfn = 0; gfn < nr_pages && place < nr; gfn++) {
        const char *page = memory + gfn * PAGE_SIZE_BYTES;

        if (memcmp(page, zero, sizeof(zero)))
            insist(!pack_put(&pack, page, place++), "put");
    }
    insist(!pack_drain(&pack) && !pack_harden(&pack), "write");
    insist(!renameat(at, "bare.tmp", at, "bare") && !fsync(at), "rename");
    pack_fini(&pack);
    close(fd);
    close(direct_fd);
    close(at);
    return now_s() - begin;
}

/* Pages of @from, the @i-th at where[i], by way of a batch to `room`, with
 * their sums: what restoring does but for looking up and calling the kernel. */
static double pass_on(const char *from, const uint32_t *where)
{
    static char batch[PAGE_BATCH][PAGE_SIZE_BYTES];
    const double begin = now_s();
    static volatile uint64_t sink;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < nr_pages; i += PAGE_BATCH) {
        for (unsigned n = 0; n < PAGE_BATCH; n++) {
            memcpy(batch[n], from + (size_t)where[i + n] * PAGE_SIZE_BYTES,
                   PAGE_SIZE_BYTES);
            sum += sum_of(SUM_XXH3, batch[n], PAGE_SIZE_BYTES, 0);
        }
        memcpy(room + i * PAGE_SIZE_BYTES, batch, sizeof(batch));
    }
    sink = sum;
    (void)sink;
    return now_s() - begin;
}

/* where[gfn]: the page's rank among all, by the increment that last had it, so
 * without what later ones have anew: nearer to each other than in the packs. */
static void far_apart(uint32_t *where, unsigned depth)
{
    unsigned *last = calloc(nr_pages, sizeof(*last));
    uint64_t *gfns = malloc((nr_pages + 1) * sizeof(*gfns));
    uint32_t rank = 0;

    insist(last && gfns, "malloc");
    for (unsigned i = 1; i < depth; i++)
        for (uint64_t n = dirty(gfns, i); n-- > 0;)
            last[gfns[n]] = i;
    for (unsigned i = 0; i < depth; i++)
        for (uint64_t gfn = 0; gfn < nr_pages; gfn++)
            if (last[gfn] == i)
                where[gfn] = rank++;
    free(last);
    free(gfns);
}

static int what_there_is(const char *dir, unsigned rounds)
{
    uint32_t *in_a_row = malloc(nr_pages * sizeof(*in_a_row));
    uint32_t *apart = malloc(nr_pages * sizeof(*apart));

    insist(in_a_row && apart, "malloc");
    for (unsigned i = 0; i < rounds; i++) {
        printf("bare %.6f\n", bare(dir, nr_pages));
        printf("bare.hundredth %.6f\n", bare(dir, nr_pages / 100));
    }
    room = (char *)get_memory() + SKEW;
    far_apart(apart, 256);
    for (uint32_t gfn = 0; gfn < nr_pages; gfn++)
        in_a_row[gfn] = gfn;
    for (unsigned i = 0; i < rounds; i++) {
        printf("pass.row %.6f\n", pass_on(memory, in_a_row));
        printf("pass.apart %.6f\n", pass_on(memory, apart));
    }
    free(in_a_row);
    free(apart);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 3 ? argv[1] : "";
    const unsigned n = argc > 4 ? (unsigned)atoi(argv[4]) : 5;
    int fd;

    if (argc < 4)
        return 2;
    nr_pages = strtoull(argv[3], NULL, 10) << 8;
    memory = get_memory();
    guest_image_fill(memory, nr_pages, SEED);
    if (!strcmp(what, "image")) {
        fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        insist(fd >= 0, argv[2]);
        for (uint64_t at = 0; at < nr_pages; at++)
            insist(write(fd, memory + at * PAGE_SIZE_BYTES, PAGE_SIZE_BYTES) ==
                       PAGE_SIZE_BYTES,
                   argv[2]);
        insist(!close(fd), argv[2]);
        return 0;
    }
    if (!strcmp(what, "bare"))
        return what_there_is(argv[2], n);
    insist(!ckpt_open(argv[2], NULL, &c), "store");
    fd = !strcmp(what, "ingest") ? ingest(n) : argc > 5 ? chain(n, argv[5]) : 2;
    ckpt_close(c);
    return fd;
}
