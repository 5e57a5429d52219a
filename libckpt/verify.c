/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Reads a checkpoint back, whole or by samples, and reports what is damaged:
 * the pieces, the frames that are lost with them, and which other checkpoints
 * need the same pieces.  It does not stop at the first, and mends nothing: what
 * a checksum is wrong of, nobody knows.
 */
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "ctx.h"
#include "disk.h"
#include "store.h"

/* Described; the rest is counted. */
#define PIECES_MAX 64u
#define RUNS_MAX (1u << 20)

struct verify {
    ckpt *c;
    struct ckpt_info info;
    struct image *img;
    unsigned percent;
    struct ckpt_verify_report r;
};

static int note_damage(struct verify *v)
{
    struct ckpt_verify_report *r = &v->r;
    char **more;

    if (r->nr_damaged++ >= PIECES_MAX)
        return 0;
    more = realloc(r->damaged, (r->nr_damaged + 1) * sizeof(*more));
    if (!more)
        return fail(v->c, -ENOMEM, "verify");
    r->damaged = more;
    more[r->nr_damaged] = NULL;
    more[r->nr_damaged - 1] = strdup(v->c->error);
    return more[r->nr_damaged - 1] ? 0 : fail(v->c, -ENOMEM, "verify");
}

static int note_frames(struct verify *v, uint64_t gfn, uint64_t nr)
{
    struct ckpt_verify_report *r = &v->r;
    struct ckpt_frames *last = r->nr_lost ? &r->lost[r->nr_lost - 1] : NULL;

    if (!r->result.pages_bad)
        r->result.first_bad_gfn = gfn;
    r->result.pages_bad += nr;
    if (last && last->gfn + last->nr == gfn) {
        last->nr += nr;
        return 0;
    }
    if (r->nr_lost == RUNS_MAX)
        return 0;
    if (r->nr_lost % 256 == 0) {
        struct ckpt_frames *more =
            realloc(r->lost, (r->nr_lost + 256) * sizeof(*more));

        if (!more)
            return fail(v->c, -ENOMEM, "verify");
        r->lost = more;
    }
    r->lost[r->nr_lost++] = (struct ckpt_frames){gfn, nr};
    return 0;
}

/* Random numbers that need not be good ones. */
static uint64_t next_random(uint64_t *state)
{
    *state =
        *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static int verify_pages(struct verify *v)
{
    const uint64_t nr_gfns = image_nr_gfns(v->img);
    uint64_t random = now_us();
    struct page_batch *b;
    uint64_t cursor = 0;
    int rc;

    b = malloc(sizeof(*b));
    if (!b)
        return fail(v->c, -ENOMEM, "verify");
    do {
        rc = image_next(v->img, &cursor, b);
        v->r.result.pages_checked += b->nr;
        if (rc == -EUCLEAN) {
            rc = note_damage(v);
            if (!rc)
                rc = note_frames(v, b->gfn[0], b->nr);
        }
        if (rc)
            break;
        /* From batch to batch: of those that lie between, a share. */
        while (v->percent < 100 && cursor < nr_gfns &&
               next_random(&random) % 100 >= v->percent)
            cursor += PAGE_BATCH;
        progress(v->c, "verify", cursor * CKPT_PAGE_SIZE,
                 nr_gfns * CKPT_PAGE_SIZE);
        rc = check_cancel(v->c);
    } while (!rc && cursor < nr_gfns);
    free(b);
    return rc;
}

static int verify_blobs(struct verify *v)
{
    const char *name;
    void *data;
    size_t len;
    int rc;

    for (unsigned i = 0; (name = image_blob_name(v->img, i)); i++) {
        rc = image_blob(v->img, name, &data, &len);
        free(data);
        if (rc == -EUCLEAN)
            rc = note_damage(v);
        if (rc)
            return rc;
    }
    return 0;
}

/* They are there, as far as their storage can tell. */
static int verify_disks(struct verify *v)
{
    const struct disk_driver *drv;
    int rc = 0;

    for (size_t i = 0; !rc && i < v->info.nr_disks; i++) {
        const struct ckpt_disk *d = &v->info.disks[i];

        if (!d->snapshot || !d->snapshot[0])
            continue;
        rc = disk_driver_by_name(v->c, d->driver, &drv);
        if (!rc)
            rc = drv->check(v->c, d->snapshot);
        if (rc)
            fail_prefix(v->c, rc, "disk %s", d->vdev);
        if (rc == -EUCLEAN)
            rc = note_damage(v);
    }
    return rc;
}

static int verify(struct verify *v, const char *checkpoint)
{
    int rc;

    rc = checkpoint_find(v->c, NULL, checkpoint, &v->info);
    if (!rc)
        rc = image_open(v->c->store, v->info.id, &v->img);
    if (!rc)
        rc = verify_pages(v);
    if (!rc)
        rc = verify_blobs(v);
    if (!rc)
        rc = verify_disks(v);
    if (!rc && v->r.nr_lost)
        rc = store_sharers(v->c->store, v->info.id, v->r.lost, v->r.nr_lost,
                           &v->r.also_damaged);
    image_close(v->img);
    ckpt_info_fini(&v->info);
    if (rc || !v->r.nr_damaged)
        return rc;
    return fail(v->c, -EUCLEAN, "%s", v->r.damaged[0]);
}

int ckpt_verify_report(ckpt *c, const char *checkpoint, unsigned percent,
                       struct ckpt_verify_report *report_out)
{
    struct verify v = {.c = c, .percent = percent};
    int rc;

    ctx_begin(c);
    rc = verify(&v, checkpoint);
    *report_out = v.r;
    return rc;
}

void ckpt_verify_report_fini(struct ckpt_verify_report *r)
{
    for (size_t i = 0; r->damaged && r->damaged[i]; i++)
        free(r->damaged[i]);
    free(r->damaged);
    free(r->lost);
    free(r->also_damaged);
    memset(r, 0, sizeof(*r));
}

int ckpt_verify_sample(ckpt *c, const char *checkpoint, unsigned percent,
                       struct ckpt_verify_result *result_out)
{
    struct ckpt_verify_report r;
    int rc = ckpt_verify_report(c, checkpoint, percent, &r);

    if (result_out)
        *result_out = r.result;
    ckpt_verify_report_fini(&r);
    return rc;
}

int ckpt_verify(ckpt *c, const char *checkpoint,
                struct ckpt_verify_result *result_out)
{
    return ckpt_verify_sample(c, checkpoint, 100, result_out);
}
