/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Finds the witness in an image that may be all of a guest's memory.
 *
 * A control page begins with 16 known bytes, has a sum over its fixed words,
 * and names the frame it lies in.  So a copy in the page cache, in a buffer or
 * in a freed page of another place does not pass for one.  What may remain are
 * pages of witnesses that were killed, or the frame a page was moved out of:
 * of one instance the newest heartbeat is the one that lives; two instances
 * are an error that the caller resolves by naming one.
 */
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_control(const struct fmt_control *c, uint64_t gfn)
{
    return !memcmp(c->magic, FMT_MAGIC, sizeof(c->magic)) && c->gfn == gfn &&
           c->static_sum == fmt_static_sum(c);
}

/* Whether the numbers in a control page can be worked with at all. */
static bool is_sane(const struct fmt_control *c)
{
    return c->version == FMT_VERSION && c->nr_writers > 0 &&
           c->nr_writers <= FMT_MAX_WRITERS && c->nr_pages <= FMT_MAX_PAGES &&
           c->nr_tables > 0 && c->nr_tables <= FMT_WORDS &&
           c->nr_tables * FMT_WORDS >= c->nr_pages &&
           c->first_table == ARENA_STATUS + c->nr_writers &&
           c->first_region == c->first_table + c->nr_tables &&
           c->region_pages > 1 && c->region_pages <= FMT_MAX_PAGES &&
           c->first_region + c->nr_writers * c->region_pages <= c->nr_pages;
}

static int find_control(struct check *c)
{
    _Alignas(64) unsigned char page[FMT_PAGE];
    struct fmt_control *best = (void *)c->control_page;
    const struct fmt_control *seen = (const void *)page;
    bool has_best = false;
    int rc;

    for (uint64_t gfn = c->src->next(c->src, 0); gfn < c->src->nr_gfns;
         gfn = c->src->next(c->src, gfn + 1)) {
        rc = c->src->read(c->src, gfn, page);
        if (rc == -ENOENT)
            continue;
        if (rc)
            return rc;
        if (!is_control(seen, gfn) ||
            (c->wanted && seen->instance != c->wanted))
            continue;
        if (has_best && best->instance != seen->instance) {
            fprintf(stderr,
                    "witness-check: two witnesses, 0x%" PRIx64 " at 0x%" PRIx64
                    " and 0x%" PRIx64 " at 0x%" PRIx64 "; use --instance\n",
                    best->instance, best->gfn, seen->instance, seen->gfn);
            return -EEXIST;
        }
        if (!has_best || seen->beat > best->beat)
            memcpy(c->control_page, page, sizeof(page));
        has_best = true;
    }
    return has_best ? 0 : -ENOENT;
}

static int read_tables(struct check *c)
{
    const struct fmt_control *control = check_control(c);
    uint64_t root[FMT_WORDS];
    uint64_t table[FMT_WORDS];
    uint64_t sum;
    int rc;

    rc = c->src->read(c->src, control->root_gfn, root);
    for (uint64_t t = 0; !rc && t < control->nr_tables; t++) {
        uint64_t left = control->nr_pages - t * FMT_WORDS;

        rc = c->src->read(c->src, root[t], table);
        if (rc)
            break;
        memcpy(c->gfns + t * FMT_WORDS, table,
               (left < FMT_WORDS ? left : FMT_WORDS) * 8);
    }
    if (rc && rc != -ENOENT)
        return rc;
    sum = rc ? 0 : fmt_sum(c->gfns, control->nr_pages);
    if (sum == control->table_sum)
        return 0;
    /* the tables lie about where the rest is: nothing more can be said */
    check_violation(c, "tables", ARENA_ROOT, control->table_sum, sum);
    return -ENODATA;
}

int scan_find(struct check *c)
{
    const struct fmt_control *control = check_control(c);
    int rc;

    rc = find_control(c);
    if (rc)
        return rc;
    if (!is_sane(control))
        return -EPROTO;
    if (control->table_version % 2 || !control->ready)
        return -EAGAIN;
    c->gfns = calloc(control->nr_tables * FMT_WORDS, 8);
    if (!c->gfns)
        return -ENOMEM;
    return read_tables(c);
}
