/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef WITNESS_FORMAT_H
#define WITNESS_FORMAT_H
/*
 * What the witness keeps in memory and on its disk, and what its checkers
 * read back.  The words of every invariant are here:
 *
 * The arena is a list of pages, named by index; tables give each its frame.
 *
 *   0 control   1 secrets   2 log   3 root   4.. status   .. tables   .. regions
 *
 * - A writer numbers its page writes 1, 2, 3, ... and calls that seq.  With n
 *   pages a region, write `seq` goes to page (seq - 1) % n with generation
 *   (seq - 1) / n, word by word upwards, and then `done` = seq is published.
 *   So at any instant, with done = S: pages below S % n have generation S / n,
 *   pages above it have S / n - 1, and page S % n itself is new up to some word
 *   and old from there on.  Nothing else is an instant.
 * - A page carries another writer's `done` and the heartbeat, both read just
 *   before it was written: neither may be ahead of what the image itself holds.
 *   The control page carries every `done` in the same way, and the log too.
 * - Log record n goes to slot n % nr_slots: intent = n, write, done = n.
 *   So the disk has every record up to `done`, and perhaps `intent`.
 *
 * x86 makes stores visible in program order; the code relies on that.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FMT_PAGE = 4096,
    FMT_WORDS = FMT_PAGE / 8,
    FMT_VERSION = 1,
    FMT_MAX_WRITERS = 16,
    FMT_MAX_PAGES = FMT_WORDS * FMT_WORDS,
    FMT_MAX_SLOTS = 256,
};

enum {
    ARENA_CONTROL,
    ARENA_SECRETS,
    ARENA_LOG,
    ARENA_ROOT,
    ARENA_STATUS
};

#define FMT_MAGIC "xenckpt-witness1" /* 16 bytes, no NUL stored */
#define FMT_PAGE_MAGIC UINT64_C(0x3165676170746977)
#define FMT_STATUS_MAGIC UINT64_C(0x3174617473746977)
#define FMT_RECORD_MAGIC UINT64_C(0x3164636572746977)

struct fmt_control {
    char magic[16];
    uint64_t gfn;      /* of this very page: a stray copy gives itself away */
    uint64_t instance; /* random per start; static_sum begins here ... */
    uint64_t start_ns; /* CLOCK_REALTIME, tells an old witness from a new one */
    uint64_t version;
    uint64_t nr_writers;
    uint64_t nr_pages; /* of the whole arena */
    uint64_t first_table, nr_tables;
    uint64_t first_region, region_pages; /* per writer, one after another */
    uint64_t secrets_sum;
    uint64_t static_sum;            /* ... and ends before here */
    _Atomic uint64_t table_version; /* odd while the frames are rewritten */
    uint64_t root_gfn;
    uint64_t table_sum; /* over the frame of every arena page, in order */
    _Alignas(64) _Atomic uint64_t beat;
    _Atomic uint64_t ready, violations, moves;
    _Atomic uint64_t seen_log; /* the log's `done`, read before a beat */
    _Atomic uint64_t seen[FMT_MAX_WRITERS];
};

struct fmt_status {
    uint64_t magic, instance, writer;
    _Atomic uint64_t done;
};

struct fmt_log {
    uint64_t instance, nr_slots; /* no slots: no disk */
    _Atomic uint64_t intent, done, pending_sum;
    _Atomic uint64_t stamp[FMT_MAX_WRITERS]; /* `done`s in the last record */
    _Atomic uint64_t sum[FMT_MAX_SLOTS];     /* what each slot should hold */
};

struct fmt_record {
    uint64_t magic, instance, n, nr_slots, beat;
    uint64_t stamp[FMT_MAX_WRITERS];
    uint64_t fill[FMT_WORDS - 6 - FMT_MAX_WRITERS];
    uint64_t sum;
};

_Static_assert(sizeof(struct fmt_control) <= FMT_PAGE, "control");
_Static_assert(sizeof(struct fmt_log) <= FMT_PAGE, "log");
_Static_assert(sizeof(struct fmt_record) == FMT_PAGE, "record");

#endif
