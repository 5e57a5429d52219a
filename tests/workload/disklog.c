/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The log on disk, which memory and disk must agree about at any instant.
 *
 *   memory:   intent = n        ->        sum[slot] = s, done = n
 *   disk:                  record n lands
 *
 * so the disk holds every record up to `done`, `intent` perhaps, and nothing
 * after.  The file has its blocks and its size before the first record that
 * counts, and is written around for ever in place, past the page cache: its
 * place on the disk never changes, and a checker finds the records on the bare
 * device by their magic and instance, with no file system to mount or replay.
 *
 * Before record n is written, n - 1 is read back, and the slot that n will take
 * must still hold n - nr_slots: a disk that is older or newer than memory after
 * a rollback or a fork shows here.  A write that is cut off by a suspend is
 * sent again by the block driver with the same bytes, which changes nothing.
 */
#include "witness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct disklog {
    struct witness *w;
    int fd;
    struct fmt_record *record; /* aligned for O_DIRECT */
};

static int write_at(struct disklog *d, const void *buf, size_t len, off_t at)
{
    ssize_t done;

    do
        done = pwrite(d->fd, buf, len, at);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return -errno;
    return (size_t)done == len ? 0 : -EIO;
}

static int write_slot(struct disklog *d)
{
    const struct fmt_record *r = d->record;

    return write_at(d, r, FMT_PAGE, (off_t)(r->n % r->nr_slots) * FMT_PAGE);
}

static int read_slot(struct disklog *d, uint64_t slot)
{
    ssize_t done;

    do
        done = pread(d->fd, d->record, FMT_PAGE, (off_t)slot * FMT_PAGE);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return -errno;
    return done == FMT_PAGE ? 0 : -EIO;
}

static void fill_record(struct disklog *d, uint64_t n)
{
    const struct fmt_control *c = d->w->control;
    struct fmt_record *r = d->record;
    size_t nr_fill = sizeof(r->fill) / sizeof(r->fill[0]);
    uint64_t seed = fmt_seed(c->instance, n, FMT_RECORD_MAGIC);

    memset(r, 0, sizeof(*r));
    r->magic = FMT_RECORD_MAGIC;
    r->instance = c->instance;
    r->n = n;
    r->nr_slots = d->w->log->nr_slots;
    r->beat = atomic_load(&c->beat);
    for (uint64_t i = 0; i < c->nr_writers; i++)
        r->stamp[i] = atomic_load(&arena_status(d->w, i)->done);
    for (size_t k = 0; k < nr_fill; k++)
        r->fill[k] = fmt_fill(seed, k);
    r->sum = fmt_record_sum(r);
}

static void prepare(struct disklog *d, uint64_t n)
{
    struct fmt_log *log = d->w->log;

    fill_record(d, n);
    atomic_store(&log->pending_sum, d->record->sum);
    atomic_store(&log->intent, n);
}

static void written(struct disklog *d, const struct fmt_record *r)
{
    struct fmt_log *log = d->w->log;

    for (uint64_t i = 0; i < d->w->opt.writers; i++)
        atomic_store(&log->stamp[i], r->stamp[i]);
    atomic_store(&log->sum[r->n % log->nr_slots], r->sum);
    atomic_store(&log->done, r->n);
}

static int append(struct disklog *d, uint64_t n)
{
    int rc;

    prepare(d, n);
    rc = write_slot(d);
    if (!rc)
        written(d, d->record);
    return rc;
}

/* Whether the slot of @n still holds record @n, and exactly that. */
static int verify(struct disklog *d, uint64_t n)
{
    const struct fmt_log *log = d->w->log;
    const struct fmt_record *r = d->record;
    uint64_t slot = n % log->nr_slots;
    uint64_t sum;
    int rc;

    rc = read_slot(d, slot);
    if (rc)
        return rc;
    sum = fmt_record_sum(r);
    if (r->magic != FMT_RECORD_MAGIC || r->instance != d->w->control->instance)
        witness_violation(d->w, "disk-instance", slot, d->w->control->instance,
                          r->instance);
    else if (r->n != n)
        witness_violation(d->w, r->n > n ? "disk-newer" : "disk-older", slot, n,
                          r->n);
    else if (r->sum != sum)
        witness_violation(d->w, "disk-torn", slot, sum, r->sum);
    else if (sum != log->sum[slot])
        witness_violation(d->w, "disk-other", slot, log->sum[slot], sum);
    return 0;
}

static int step(struct disklog *d, uint64_t n)
{
    int rc;

    rc = verify(d, n - 1);
    if (!rc)
        rc = verify(d, n - d->w->log->nr_slots);
    if (!rc)
        rc = append(d, n);
    return rc;
}

static void *disklog_run(void *arg)
{
    struct disklog *d = arg;
    uint64_t n = d->w->log->nr_slots;

    while (!atomic_load(&d->w->is_stopping)) {
        int rc = step(d, n);

        if (rc) {
            witness_violation(d->w, "disk-io", n, 0, (uint64_t)-rc);
            witness_sleep_us(1000000);
            continue;
        }
        n++;
        witness_sleep_us(d->w->opt.log_ms * 1000);
    }
    close(d->fd);
    free(d->record);
    free(d);
    return NULL;
}

static int open_log(const char *path)
{
    int flags = O_RDWR | O_CREAT | O_DSYNC | O_CLOEXEC;
    int fd;

    fd = open(path, flags | O_DIRECT, 0600);
    if (fd < 0 && errno == EINVAL) { /* tmpfs */
        witness_say("WITNESS NOTE disk=%s without O_DIRECT\n", path);
        fd = open(path, flags, 0600);
    }
    return fd < 0 ? -errno : fd;
}

/* All slots get blocks and a record: from here on only overwriting.  Nobody
 * judges the log yet, so they are written as one. */
static int write_first_round(struct disklog *d)
{
    struct fmt_log *log = d->w->log;
    const size_t len = (size_t)FMT_MAX_SLOTS * FMT_PAGE;
    struct fmt_record *round;
    struct stat st;
    int rc;

    if (fstat(d->fd, &st) < 0)
        return -errno;
    if (S_ISREG(st.st_mode)) {
        if (ftruncate(d->fd, 0) < 0)
            return -errno;
        rc = posix_fallocate(d->fd, 0, (off_t)len);
        if (rc)
            return -rc;
    }
    round = aligned_alloc(FMT_PAGE, len);
    if (!round)
        return -ENOMEM;
    log->nr_slots = FMT_MAX_SLOTS;
    for (uint64_t n = 0; n < log->nr_slots; n++) {
        prepare(d, n);
        round[n] = *d->record;
    }
    rc = write_at(d, round, len, 0);
    for (uint64_t n = 0; !rc && n < log->nr_slots; n++)
        written(d, &round[n]);
    free(round);
    if (rc)
        return rc;
    return fsync(d->fd) < 0 ? -errno : 0;
}

int disklog_start(struct witness *w)
{
    struct disklog *d;
    int rc;

    d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->w = w;
    d->fd = open_log(w->opt.disk);
    if (d->fd < 0) {
        rc = d->fd;
        goto out;
    }
    d->record = aligned_alloc(FMT_PAGE, FMT_PAGE);
    if (!d->record) {
        rc = -ENOMEM;
        goto out;
    }
    rc = write_first_round(d);
    if (rc)
        goto out;
    rc = witness_thread(w, disklog_run, d);
    if (!rc)
        d = NULL;
out:
    if (d && d->fd >= 0)
        close(d->fd);
    if (d)
        free(d->record);
    free(d);
    return rc;
}
