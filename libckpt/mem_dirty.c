/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Memory of a running HVM or PVH guest on any Xen, by log-dirty passes:
 *
 *   arm    log-dirty on; pass 1 puts every frame into the image, pass n those
 *          written during pass n-1, until what is left is small, stops
 *          shrinking, or PASSES_MAX is reached
 *   cut    the frames written since are copied aside, into room taken in
 *          arm, so that the pause has no store and no page fault in it; what
 *          was mapped for it stays mapped, so that it has no unmapping either
 *   disarm log-dirty off, and the mappings
 *   drain  what was put aside goes into the image
 *
 * Invariant: a frame whose latest content is not in the image is set in Xen's
 * bitmap, or in the batch at hand.  When more was written than the room
 * aside holds, the rest goes into the image inside the pause: slower, never
 * wrong, and the output shows the pages.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ctx.h"
#include "guard.h"
#include "mem.h"
#include "page.h"
#include "qmp.h"
#include "store.h"
#include "xen_dom.h"
#include "xen_machine.h"
#include "xen_mem.h"

#define PASSES_MAX 5u /* the one in the pause not counted */
#define TOP_FRAMES (16 * PAGE_BATCH)
#define TAIL_SMALL 256u   /* frames: not worth another pass */
#define ASIDE_SLACK 8192u /* frames beyond what the last pass met */

struct dirty {
    struct xen_dirty *bitmap;
    struct xen_size *size; /* as the passes found it */
    uint64_t nr_gfns;
    unsigned token_log, token_qemu; /* guard */
    /* What the cut put aside, in the order of its frames. */
    char *aside; /* room_frames pages */
    uint64_t *aside_gfn;
    uint8_t *aside_type;
    uint64_t room_frames, nr_aside;
    struct xen_map *map; /* of the cut, until disarm */
    size_t room_maps, nr_maps;
    struct page_batch batch;
};

static int dirty_probe(struct xen *x, const struct xen_dom *dom, char *why)
{
    static const char pv[] =
        "a PV guest's page tables need Xen's own save code";

    (void)x;
    if (dom->type != XEN_TYPE_PV)
        return 0;
    memcpy(why, pv, sizeof(pv));
    return -ENOTSUP;
}

/* One batch from the guest into the image. @skip_absent: nothing of it is in
 * the image yet, so nothing needs forgetting. */
static int copy_batch(struct mem *m, struct page_batch *b, bool skip_absent)
{
    struct xen_map map;
    unsigned i, n = 0;
    int rc;

    rc = xen_map_batch(m->x, m->dom->domid, b, &map);
    if (rc)
        return rc;
    if (skip_absent) {
        for (i = 0; i < b->nr; i++) {
            if (b->type[i] == PAGE_TYPE_ABSENT)
                continue;
            b->gfn[n] = b->gfn[i];
            b->type[n] = b->type[i];
            b->data[n++] = b->data[i];
        }
        b->nr = n;
    }
    rc = b->nr ? image_put(m->img, b) : 0;
    xen_unmap(m->x, &map);
    return rc;
}

/* The frames of one batch from @gfn on; *found_io counts those with memory. */
static int pass_range(struct mem *m, uint64_t gfn, uint64_t end,
                      uint64_t *found_io)
{
    struct dirty *d = m->priv;
    struct page_batch *b = &d->batch;
    uint64_t left = end - gfn;
    int rc;

    b->nr = left < PAGE_BATCH ? (unsigned)left : PAGE_BATCH;
    for (unsigned i = 0; i < b->nr; i++)
        b->gfn[i] = gfn + i;
    rc = check_cancel(m->c);
    if (!rc)
        rc = copy_batch(m, b, true);
    *found_io += b->nr;
    progress(m->c, "memory", *found_io * PAGE_SIZE_BYTES, m->dom->memory_bytes);
    return rc;
}

/*
 * Every frame once.  Frame numbers reach to where Xen put its special pages,
 * just below 4 GiB, however small the guest is, and asking about a hole costs
 * as much as asking about memory.  So those at the top come first, and the
 * way up ends when as many frames were met as the domain has pages.
 *
 * The domain may lose memory meanwhile and yet have some in the last frames: so
 * no frame is left out that the toolstack may have given memory to, nor any when
 * there is memory beyond those.  If it gets some, see dirty_is_stale().
 */
static int pass_all(struct mem *m)
{
    struct dirty *d = m->priv;
    uint64_t top = d->nr_gfns > TOP_FRAMES ? d->nr_gfns - TOP_FRAMES : 0;
    uint64_t nr_before, nr_pages, ram_end, gfn, found = 0;
    int rc;

    rc = xen_ram(m->x, m->dom->domid, &nr_before, &ram_end);
    for (gfn = top; !rc && gfn < d->nr_gfns; gfn += PAGE_BATCH)
        rc = pass_range(m, gfn, d->nr_gfns, &found);
    for (gfn = 0; !rc && gfn < top && gfn < ram_end; gfn += PAGE_BATCH)
        rc = pass_range(m, gfn, top, &found);
    if (!rc)
        rc = xen_ram(m->x, m->dom->domid, &nr_pages, &ram_end);
    if (!rc && nr_pages < nr_before)
        nr_pages = nr_before;
    if (!rc && found < nr_pages)
        for (; !rc && gfn < top; gfn += PAGE_BATCH)
            rc = pass_range(m, gfn, top, &found);
    say(m->c, "pass 1: %llu of %llu pages, frames to %#llx of %#llx",
        (unsigned long long)found, (unsigned long long)nr_pages,
        (unsigned long long)gfn, (unsigned long long)d->nr_gfns);
    return rc;
}

static int pass_dirty(struct mem *m, uint64_t count)
{
    struct dirty *d = m->priv;
    uint64_t cursor = 0, copied = 0;
    int rc;

    for (;;) {
        xen_dirty_next(d->bitmap, &cursor, &d->batch);
        if (!d->batch.nr)
            return 0;
        copied += d->batch.nr;
        rc = check_cancel(m->c);
        if (!rc)
            rc = copy_batch(m, &d->batch, false);
        if (rc)
            return rc;
        progress(m->c, "memory written meanwhile", copied * PAGE_SIZE_BYTES,
                 count * PAGE_SIZE_BYTES);
    }
}

/* Room for @frames, with its pages already there: in the pause even a page
 * fault counts. */
static int take_room(struct mem *m, uint64_t frames)
{
    struct dirty *d = m->priv;
    void *room;

    room = mmap(NULL, frames * PAGE_SIZE_BYTES, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    d->aside_gfn = calloc(frames, sizeof(*d->aside_gfn));
    d->aside_type = calloc(frames, sizeof(*d->aside_type));
    d->room_maps = frames / PAGE_BATCH + 1;
    d->map = calloc(d->room_maps, sizeof(*d->map));
    if (room == MAP_FAILED || !d->aside_gfn || !d->aside_type || !d->map) {
        if (room != MAP_FAILED)
            munmap(room, frames * PAGE_SIZE_BYTES);
        return fail(m->c, -ENOMEM, "room for %llu pages of the last pass",
                    (unsigned long long)frames);
    }
    /* A program started meanwhile, for the disks say, would leave every page
     * of it to be faulted in again. */
    (void)madvise(room, frames * PAGE_SIZE_BYTES, MADV_DONTFORK);
    d->aside = room;
    d->room_frames = frames;
    return 0;
}

static int dirty_passes(struct mem *m)
{
    struct dirty *d = m->priv;
    uint64_t count = d->nr_gfns, before;
    int rc;

    rc = pass_all(m);
    for (m->passes = 1; !rc && m->passes < PASSES_MAX; m->passes++) {
        before = count;
        rc = xen_dirty_fetch(d->bitmap, false, &count);
        if (!rc)
            rc = pass_dirty(m, count);
        say(m->c, "pass %u: %llu pages", m->passes + 1,
            (unsigned long long)count);
        /* Less than an eighth won: the guest writes as fast as we copy. */
        if (count <= TAIL_SMALL || count > before - before / 8)
            break;
    }
    if (rc)
        return rc;
    count += count / 2 + ASIDE_SLACK;
    return take_room(m, count < d->nr_gfns ? count : d->nr_gfns);
}

/* Written down before it is done; a refusal (somebody else tracks it) is
 * struck out at once, so that theirs is not ended for them. */
static int track(struct mem *m)
{
    struct dirty *d = m->priv;
    int rc;

    rc = guard_add(m->g, GUARD_LOG_DIRTY, m->dom->domid, NULL, &d->token_log);
    if (rc)
        return rc;
    rc = xen_dirty_on(d->bitmap);
    if (rc) {
        guard_del(m->g, d->token_log);
        d->token_log = 0;
    }
    return rc;
}

static int dirty_arm(struct mem *m)
{
    struct dirty *d;
    int rc;

    d = calloc(1, sizeof(*d));
    if (!d)
        return fail(m->c, -ENOMEM, "memory capture");
    m->priv = d;
    rc = xen_size_watch(m->x, m->dom->domid, &d->size);
    if (!rc)
        rc = xen_nr_gfns(m->x, m->dom->domid, &d->nr_gfns);
    if (!rc)
        rc = xen_dirty_new(m->x, m->dom->domid, d->nr_gfns, &d->bitmap);
    if (!rc)
        rc = xen_machine_head(m->x, m->dom, &m->machine);
    if (!rc)
        rc = track(m);
    if (!rc && m->dom->type == XEN_TYPE_HVM) {
        rc = guard_add(m->g, GUARD_QEMU_DIRTY, m->dom->domid, NULL,
                       &d->token_qemu);
        if (!rc)
            rc = qmp_log_dirty(m->c, m->dom->domid, true);
    }
    if (rc)
        return rc;
    return dirty_passes(m);
}

/* Copies what was mapped aside; what finds no room goes to the image. */
static int put_aside(struct mem *m, struct page_batch *b)
{
    struct dirty *d = m->priv;
    struct xen_map map;
    unsigned i;
    int rc;

    rc = xen_map_batch(m->x, m->dom->domid, b, &map);
    if (rc)
        return rc;
    if (d->nr_aside + b->nr > d->room_frames) {
        rc = image_put(m->img, b);
        goto out;
    }
    for (i = 0; i < b->nr; i++, d->nr_aside++) {
        d->aside_gfn[d->nr_aside] = b->gfn[i];
        d->aside_type[d->nr_aside] = b->type[i];
        if (b->data[i])
            memcpy(d->aside + d->nr_aside * PAGE_SIZE_BYTES, b->data[i],
                   PAGE_SIZE_BYTES);
    }
    rc = 0;
    if (d->nr_maps < d->room_maps) {
        d->map[d->nr_maps++] = map;
        return 0;
    }
out:
    xen_unmap(m->x, &map);
    return rc;
}

/* The bitmap tells neither of what came nor of what is beyond it. */
static bool dirty_is_stale(struct mem *m)
{
    struct dirty *d = m->priv;
    uint64_t nr_gfns;

    return xen_size_changed(d->size) ||
           (!xen_nr_gfns(m->x, m->dom->domid, &nr_gfns) &&
            nr_gfns > d->nr_gfns);
}

static int dirty_cut(struct mem *m)
{
    struct dirty *d = m->priv;
    uint64_t cursor = 0, count;
    int rc;

    rc = xen_dirty_fetch(d->bitmap, true, &count);
    if (rc)
        return rc;
    m->passes++;
    m->pages_in_pause = count;
    for (;;) {
        xen_dirty_next(d->bitmap, &cursor, &d->batch);
        if (!d->batch.nr)
            break;
        rc = put_aside(m, &d->batch);
        if (rc)
            return rc;
    }
    return xen_machine_tail(m->x, m->dom, &m->machine);
}

static int dirty_disarm(struct mem *m)
{
    struct dirty *d = m->priv;
    int rc = 0, r;

    while (d->nr_maps)
        xen_unmap(m->x, &d->map[--d->nr_maps]);
    if (d->token_qemu) {
        rc = qmp_log_dirty(m->c, m->dom->domid, false);
        if (!rc) {
            guard_del(m->g, d->token_qemu);
            d->token_qemu = 0;
        }
    }
    if (d->token_log) {
        r = xen_dirty_off(d->bitmap);
        if (!r) {
            guard_del(m->g, d->token_log);
            d->token_log = 0;
        }
        rc = rc ? rc : r;
    }
    return rc;
}

static int dirty_drain(struct mem *m)
{
    struct dirty *d = m->priv;
    struct page_batch *b = &d->batch;
    uint64_t done = 0;
    int rc;

    while (done < d->nr_aside) {
        rc = check_cancel(m->c);
        if (rc)
            return rc;
        for (b->nr = 0; b->nr < PAGE_BATCH && done < d->nr_aside; done++) {
            b->gfn[b->nr] = d->aside_gfn[done];
            b->type[b->nr] = d->aside_type[done];
            b->data[b->nr] = page_type_has_data(d->aside_type[done])
                                 ? d->aside + done * PAGE_SIZE_BYTES
                                 : NULL;
            b->nr++;
        }
        rc = image_put(m->img, b);
        if (rc)
            return rc;
        progress(m->c, "memory of the pause", done * PAGE_SIZE_BYTES,
                 d->nr_aside * PAGE_SIZE_BYTES);
    }
    return 0;
}

static void dirty_undo(struct mem *m)
{
    struct dirty *d = m->priv;

    if (!d)
        return;
    (void)dirty_disarm(m); /* what it leaves standing the guard undoes */
    xen_dirty_free(d->bitmap);
    xen_size_free(d->size);
    if (d->aside)
        munmap(d->aside, d->room_frames * PAGE_SIZE_BYTES);
    free(d->aside_gfn);
    free(d->aside_type);
    free(d->map);
    free(d);
    m->priv = NULL;
}

const struct mem_driver mem_dirty = {
    .name = "dirty",
    .caps = 0,
    .probe = dirty_probe,
    .arm = dirty_arm,
    .is_stale = dirty_is_stale,
    .cut = dirty_cut,
    .disarm = dirty_disarm,
    .drain = dirty_drain,
    .undo = dirty_undo,
};
