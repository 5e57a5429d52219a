/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Whether the log on a disk and the memory of an image are one instant.
 *
 * The path may be the log itself, an image of the disk or the device: records
 * are found by magic, instance and sum at any 512-byte boundary, so no file
 * system is mounted, no journal replayed, nothing written.  (A log whose first
 * blocks are only in the journal would be missed by a mount without replay.)
 * Each slot has one place on the disk, so the scan ends when all are found.
 * A device is read past dom0's page cache, which knows nothing of what a
 * backend wrote to it since.
 *
 *   slot of n:  n <= done: exactly n, with the sum that memory remembers
 *               n == intent > done: that one, or the one before it
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK = 1 << 20,
    SECTOR = 512
};

struct found {
    bool is_there, is_torn;
    uint64_t n, sum, beat;
    uint64_t stamp[FMT_MAX_WRITERS];
};

struct scan {
    struct check *c;
    struct found slots[FMT_MAX_SLOTS];
    uint64_t nr_found;
};

static void take_record(struct scan *s, const struct fmt_record *r)
{
    const struct fmt_log *log = check_log(s->c);
    struct found *f;

    if (r->magic != FMT_RECORD_MAGIC ||
        r->instance != check_control(s->c)->instance ||
        r->nr_slots != log->nr_slots)
        return;
    f = &s->slots[r->n % log->nr_slots];
    s->nr_found += !f->is_there;
    f->is_there = true;
    f->is_torn = r->sum != fmt_record_sum(r);
    f->n = r->n;
    f->sum = r->sum;
    f->beat = r->beat;
    memcpy(f->stamp, r->stamp, sizeof(f->stamp));
}

/* Goes through the file in chunks that overlap by what a record may need. */
static int scan_disk(struct scan *s, int fd, unsigned char *buf)
{
    struct fmt_record r;
    off_t at = 0;

    while (s->nr_found < check_log(s->c)->nr_slots) {
        off_t data = lseek(fd, at, SEEK_DATA);
        ssize_t len;

        if (data < 0 && errno == ENXIO)
            return 0;
        if (data > at)
            at = data & ~(off_t)(FMT_PAGE - 1);
        len = pread(fd, buf, CHUNK + FMT_PAGE, at);
        if (len < 0)
            return -errno;
        if (len < FMT_PAGE)
            return 0;
        for (ssize_t i = 0; i < CHUNK && i + FMT_PAGE <= len; i += SECTOR) {
            memcpy(&r, buf + i, 8);
            if (r.magic != FMT_RECORD_MAGIC)
                continue;
            memcpy(&r, buf + i, sizeof(r));
            take_record(s, &r);
        }
        at += CHUNK;
    }
    return 0;
}

/* The stamps of a record are older than the memory that knows the record. */
static void check_stamps(struct scan *s, uint64_t slot)
{
    const struct fmt_control *control = check_control(s->c);
    const struct found *f = &s->slots[slot];

    for (uint64_t i = 0; i < control->nr_writers; i++) {
        if (f->stamp[i] > s->c->done[i])
            check_slot_violation(s->c, "disk-stamp", slot, s->c->done[i],
                                 f->stamp[i]);
    }
    if (f->beat > control->beat)
        check_slot_violation(s->c, "disk-beat", slot, control->beat, f->beat);
}

static void check_slot(struct scan *s, uint64_t slot)
{
    const struct fmt_log *log = check_log(s->c);
    const struct found *f = &s->slots[slot];
    uint64_t back =
        (log->done % log->nr_slots + log->nr_slots - slot) % log->nr_slots;
    uint64_t n = log->done - back;
    uint64_t sum = log->sum[slot];
    bool is_pending =
        log->intent == log->done + 1 && log->intent % log->nr_slots == slot;

    if (!f->is_there) {
        check_slot_violation(s->c, "disk-missing", slot, n, 0);
        return;
    }
    if (is_pending && (f->n == log->intent || sum == log->pending_sum)) {
        n = log->intent; /* it landed: seen here, or memory says so */
        sum = log->pending_sum;
    }
    if (f->is_torn)
        check_slot_violation(s->c, "disk-torn", slot, n, f->n);
    else if (f->n != n)
        check_slot_violation(s->c, f->n > n ? "disk-newer" : "disk-older", slot,
                             n, f->n);
    else if (f->sum != sum)
        check_slot_violation(s->c, "disk-other", slot, sum, f->sum);
    else
        check_stamps(s, slot);
    if (f->n > s->c->log_last)
        s->c->log_last = f->n;
}

/* A descriptor that sees what is on the disk now, or -errno. */
static int open_disk(const char *path)
{
    struct stat st;
    int fd;

    if (stat(path, &st) < 0)
        return -errno;
    fd =
        open(path, O_RDONLY | O_CLOEXEC | (S_ISBLK(st.st_mode) ? O_DIRECT : 0));
    return fd < 0 ? -errno : fd;
}

int disk_check(struct check *c, const char *path)
{
    struct scan *s = NULL;
    unsigned char *buf = NULL;
    int fd = -1;
    int rc;

    if (!check_log(c)->nr_slots)
        return -ENODEV; /* this witness keeps no log */
    s = calloc(1, sizeof(*s));
    buf = aligned_alloc(FMT_PAGE, CHUNK + FMT_PAGE);
    if (!s || !buf) {
        rc = -ENOMEM;
        goto out;
    }
    s->c = c;
    fd = open_disk(path);
    if (fd < 0) {
        rc = fd;
        goto out;
    }
    rc = scan_disk(s, fd, buf);
    for (uint64_t i = 0; !rc && i < check_log(c)->nr_slots; i++)
        check_slot(s, i);
out:
    if (fd >= 0)
        close(fd);
    free(buf);
    free(s);
    return rc;
}
