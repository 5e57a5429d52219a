/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * One cut, compared page by page.
 *
 * A row hashes the guest's pages while it is paused, cuts in the same pause,
 * then writes to the guest in its way while the capture is drained.  All pages
 * that come out must have the hashes from before, each once.  Pages that
 * change although no vCPU of the guest runs (events from dom0) are excepted,
 * never those that the row writes; and those the row must have changed, or it
 * has proved nothing.
 */
#include "cow.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "bitmap.h"
#include "store.h"
#include "xen_mem.h"

#define TOP_FRAMES (16u * PAGE_BATCH) /* where Xen's special pages are */

struct ckpt c;
static struct shot *current_shot;

void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf(" %s\n", c.error);
    exit(3); /* with the row's pages as they are */
}

/* What becomes of the guest when a row dies. */
static void let_guest_go(void)
{
    struct shot *s = current_shot;

    while (s->nr_pauses && !xen_unpause(s->x, s->dom.domid))
        s->nr_pauses--;
    xen_cow_end(s->x->xch, s->dom.domid);
    if (s->log)
        xen_dirty_off(s->log);
}

void need(int rc, const char *what)
{
    if (rc)
        die("BROKEN %s: %s:", what, strerror(-rc));
}

void must(int rc, const char *what)
{
    if (rc)
        die("FAIL %s: %s:", what, strerror(-rc));
}

static uint64_t hash_of(const void *page)
{
    return XXH64(page, PAGE_SIZE_BYTES, 0);
}

/* --- what comes out ------------------------------------------------------- */

void shot_put(const struct page_batch *b)
{
    static const char zeros[PAGE_SIZE_BYTES];
    struct shot *s = current_shot;
    unsigned i;

    for (i = 0; i < b->nr; i++) {
        if (b->gfn[i] >= s->nr_gfns ||
            (b->type[i] != PAGE_TYPE_NORMAL && !s->is_increment))
            die("FAIL page %#llx does not exist",
                (unsigned long long)b->gfn[i]);
        if (s->is_increment) { /* it replaces what was there */
            s->nr_put[b->gfn[i]] = 0;
            s->put[b->gfn[i]] = 0;
        }
        if (b->type[i] == PAGE_TYPE_ABSENT)
            continue;
        s->put[b->gfn[i]] = hash_of(b->data[i] ? b->data[i] : zeros);
        s->nr_put[b->gfn[i]]++;
    }
}

/* Linked in the place of the store's. */
int __wrap_image_put(struct image *img, const struct page_batch *b);
int __wrap_image_put(struct image *img, const struct page_batch *b)
{
    (void)img;
    shot_put(b);
    return 0;
}

/* --- pages, as dom0 sees them ------------------------------------------- */

static void hash_range(struct shot *s, uint64_t *hash, uint64_t gfn,
                       uint64_t end)
{
    static struct page_batch b;
    struct xen_map map;
    unsigned i;

    while (gfn < end) {
        for (b.nr = 0; b.nr < PAGE_BATCH && gfn < end; b.nr++)
            b.gfn[b.nr] = gfn++;
        need(xen_map_batch(s->x, s->dom.domid, &b, &map), "map");
        for (i = 0; i < b.nr; i++) {
            hash[b.gfn[i]] = b.data[i] ? hash_of(b.data[i]) : 0;
            if (b.data[i] && hash == s->hash)
                bitmap_set(s->present, b.gfn[i]);
        }
        xen_unmap(s->x, &map);
    }
}

void hash_all(struct shot *s, uint64_t *hash)
{
    uint64_t low = s->dom.memory_bytes / PAGE_SIZE_BYTES;
    uint64_t top = s->nr_gfns > TOP_FRAMES ? s->nr_gfns - TOP_FRAMES : 0;

    hash_range(s, hash, 0, low < s->nr_gfns ? low : s->nr_gfns);
    if (top > low)
        hash_range(s, hash, top, s->nr_gfns);
}

void hash_at_cut(struct shot *s)
{
    memset(s->present, 0, bitmap_words(s->nr_gfns) * sizeof(*s->present));
    hash_all(s, s->hash);
}

char *map_frames(struct shot *s, const uint64_t *gfn, unsigned nr)
{
    xen_pfn_t *gfns = calloc(nr, sizeof(*gfns));
    int *err = calloc(nr, sizeof(*err));
    char *p = NULL;

    if (!gfns || !err)
        die("BROKEN no memory");
    for (unsigned i = 0; i < nr; i++)
        gfns[i] = gfn[i];
    p = xenforeignmemory_map(s->x->fmem, s->dom.domid, PROT_READ | PROT_WRITE,
                             nr, gfns, err);
    free(gfns);
    free(err);
    return p;
}

void unmap_frames(struct shot *s, char *p, unsigned nr)
{
    xenforeignmemory_unmap(s->x->fmem, p, nr);
}

void scribble(const struct shot *s, char *pages)
{
    for (unsigned i = 0; i < s->nr_victims; i++)
        memset(pages + i * PAGE_SIZE_BYTES, 0x5a + (int)i, PAGE_SIZE_BYTES);
}

void nothing(struct shot *s)
{
    (void)s;
}

void pause_guest(struct shot *s)
{
    need(xen_pause(s->x, s->dom.domid), "pause");
    s->nr_pauses++;
}

void go(struct shot *s)
{
    need(xen_unpause(s->x, s->dom.domid), "unpause");
    s->nr_pauses--;
}

/* --- one shot ------------------------------------------------------------- */

void shot_open(struct shot *s, const char *domain)
{
    memset(s, 0, sizeof(*s));
    need(xen_open(&c, &s->x), "xen");
    need(xen_dom_find(s->x, domain, &s->dom), domain);
    need(xen_nr_gfns(s->x, s->dom.domid, &s->nr_gfns), "frames");
    s->hash = calloc(s->nr_gfns, sizeof(*s->hash));
    s->again = calloc(s->nr_gfns, sizeof(*s->again));
    s->put = calloc(s->nr_gfns, sizeof(*s->put));
    s->nr_put = calloc(s->nr_gfns, 1);
    s->present = calloc(bitmap_words(s->nr_gfns), sizeof(*s->present));
    s->original = calloc(MAX_VICTIMS, PAGE_SIZE_BYTES);
    if (!s->hash || !s->again || !s->put || !s->nr_put || !s->present ||
        !s->original)
        die("BROKEN no memory");
    s->m = (struct mem){.c = &c,
                        .x = s->x,
                        .dom = &s->dom,
                        .drv = &mem_cow,
                        .id = "0",
                        .head = ""};
    current_shot = s;
    atexit(let_guest_go);
}

void find_victims(struct shot *s, const char *frames)
{
    char *p;

    if (!frames)
        return;
    if (strcmp(frames, FRAMES_ANY)) {
        s->nr_victims = guest_list(s, frames, s->victim, MAX_VICTIMS);
    } else {
        /* In the middle of what there is, all over it. */
        s->nr_victims = MAX_VICTIMS;
        for (unsigned i = 0; i < MAX_VICTIMS; i++)
            s->victim[i] = s->dom.memory_bytes / PAGE_SIZE_BYTES / 4 + 37 * i;
    }
    if (!s->nr_victims)
        return;
    p = map_frames(s, s->victim, s->nr_victims);
    if (!p)
        die("BROKEN map the row's pages");
    memcpy(s->original, p, s->nr_victims * PAGE_SIZE_BYTES);
    unmap_frames(s, p, s->nr_victims);
}

void give_back(struct shot *s)
{
    char *p;

    if (!s->nr_victims)
        return;
    p = map_frames(s, s->victim, s->nr_victims);
    if (!p)
        die("BROKEN map the row's pages");
    memcpy(p, s->original, s->nr_victims * PAGE_SIZE_BYTES);
    unmap_frames(s, p, s->nr_victims);
}

bool is_victim(const struct shot *s, uint64_t gfn)
{
    for (unsigned i = 0; i < s->nr_victims; i++)
        if (s->victim[i] == gfn)
            return true;
    return false;
}

unsigned compare(struct shot *s)
{
    uint64_t gfn, nr = 0, moving = 0;
    unsigned wrong = 0;

    for (gfn = 0; gfn < s->nr_gfns; gfn++) {
        if (s->nr_put[gfn] != (bitmap_test(s->present, gfn) ? 1 : 0)) {
            if (wrong++ < 10)
                printf("FAIL page %#llx came %u times\n",
                       (unsigned long long)gfn, s->nr_put[gfn]);
            continue;
        }
        nr += s->nr_put[gfn];
        if (s->put[gfn] == s->hash[gfn])
            continue;
        if (s->hash[gfn] != s->again[gfn] && !is_victim(s, gfn)) {
            moving++;
            continue;
        }
        if (wrong++ < 10)
            printf("FAIL page %#llx is not what it was\n",
                   (unsigned long long)gfn);
    }
    printf("%llu pages, %llu of them moving under dom0, %u wrong\n",
           (unsigned long long)nr, (unsigned long long)moving, wrong);
    return wrong;
}

uint64_t changed(struct shot *s)
{
    uint64_t *now = calloc(s->nr_gfns, sizeof(*now)), gfn, n = 0;

    if (!now)
        die("BROKEN no memory");
    for (unsigned i = 0; i < s->nr_victims; i++) {
        gfn = s->victim[i];
        hash_range(s, now, gfn, gfn + 1);
        if (now[gfn] == s->hash[gfn])
            die("BROKEN page %#llx was not changed", (unsigned long long)gfn);
        n++;
    }
    if (!s->nr_victims) {
        hash_all(s, now);
        for (gfn = 0; gfn < s->nr_gfns; gfn++)
            n += now[gfn] != s->hash[gfn];
    }
    free(now);
    return n;
}

static void end_mappings(struct shot *s)
{
    if (s->rw)
        unmap_frames(s, s->rw, s->nr_victims);
    if (s->granted)
        xengnttab_unmap(s->gnt, s->granted, s->nr_victims);
    if (s->granted_read)
        xengnttab_unmap(s->gnt, s->granted_read, s->nr_victims);
    if (s->gnt)
        xengnttab_close(s->gnt);
}

int run_row(const struct row *row, const char *domain)
{
    static struct shot s;
    unsigned wrong;
    uint64_t n;

    shot_open(&s, domain);
    pause_guest(&s);
    find_victims(&s, row->frames);
    row->before(&s);
    if (!row->frames)
        go(&s); /* the guest's own writes are to meet prepare, too */
    must(mem_cow.arm(&s.m), "arm");
    row->between(&s);
    if (!s.nr_pauses)
        pause_guest(&s);
    hash_at_cut(&s);
    must(mem_cow.cut(&s.m), "cut");
    hash_all(&s, s.again);
    row->after(&s);
    must(mem_cow.drain(&s.m), "drain");
    n = changed(&s);
    end_mappings(&s);
    give_back(&s);
    wrong = compare(&s);
    if (s.max_eager && s.m.pages_in_pause > s.max_eager) {
        printf("FAIL %llu pages were copied at the cut\n",
               (unsigned long long)s.m.pages_in_pause);
        wrong++;
    }
    while (s.nr_pauses)
        go(&s);
    mem_cow.undo(&s.m);
    if (!row->frames && n < MAX_VICTIMS)
        die("BROKEN only %llu pages were changed", (unsigned long long)n);
    printf("%s %s: %llu pages changed since the cut\n", wrong ? "FAIL" : "OK",
           row->name, (unsigned long long)n);
    return wrong ? 1 : 0;
}
