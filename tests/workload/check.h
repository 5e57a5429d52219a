/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef WITNESS_CHECK_H
#define WITNESS_CHECK_H
/*
 * The parts of witness-check.  Results are 0 when the check could be made,
 * whatever it found, and -errno when it could not; what it found is counted in
 * the struct check.
 */
#include <stdbool.h>

#include "page_source.h"
#include "words.h"

struct check {
    struct page_source *src;
    uint64_t wanted; /* instance, 0: whichever is there */
    uint64_t max_lines;

    /* filled by scan_find() */
    _Alignas(64) unsigned char control_page[FMT_PAGE];
    uint64_t *gfns; /* of every arena page, by index */

    /* filled by mem_check() */
    uint64_t done[FMT_MAX_WRITERS];
    _Alignas(64) unsigned char log_page[FMT_PAGE];
    uint64_t in_flight; /* pages caught half written, as one may be */

    uint64_t log_last; /* filled by disk_check() */
    uint64_t violations;
};

static inline const struct fmt_control *check_control(const struct check *c)
{
    return (const void *)c->control_page;
}

static inline const struct fmt_log *check_log(const struct check *c)
{
    return (const void *)c->log_page;
}

/* check.c: both count and print; of an arena page, by index, or of the log. */
void check_violation(struct check *c, const char *what, uint64_t page,
                     uint64_t expected, uint64_t found);
void check_slot_violation(struct check *c, const char *what, uint64_t slot,
                          uint64_t expected, uint64_t found);
/* check.c: reads an arena page; a page that is missing is a violation and
 * gives -ENOENT. */
int check_read(struct check *c, uint64_t index, void *page);

/* scan.c: finds the control page and the frames.  -ENOENT: no witness there;
 * -EEXIST: several; -EAGAIN: not ready, or just publishing its frames. */
int scan_find(struct check *c);
/* mem.c: everything in memory. */
int mem_check(struct check *c);
/* disk.c: the log on a file, an image or a device against the log page. */
int disk_check(struct check *c, const char *path);

#endif
