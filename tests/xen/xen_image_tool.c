/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Compares a checkpoint with the memory of a paused domain, in the lab's dom0:
 *
 *   xen_image_tool CHECKPOINT DOMAIN MAX [all]
 *   xen_image_tool add DOMAIN GFN      the domain gets one more page, there
 *
 * After `xl checkpoint --paused' no vCPU has run since the cut, so all pages
 * are equal but for the few that Xen and dom0's backends write (shared info,
 * event channels, rings): up to MAX may differ, or be on one side only.  The
 * domain is looked at where its memory is by its size, 64 MiB above, and where
 * Xen puts its special pages; with "all" everywhere, which takes longer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenctrl.h>

#include "ckpt.h"
#include "ctx.h"
#include "image.h"
#include "store.h"
#include "xen_dom.h"
#include "xen_mem.h"
#include "xen_private.h"

#define MARGIN (16u * PAGE_BATCH)

static struct ckpt xc; /* for the border to Xen; the store has one of its own */

struct sides {
    struct xen *x;
    struct xen_dom dom;
    uint64_t nr_gfns;
    ckpt *c;
    struct image *img;
    struct page_batch stored; /* of the checkpoint, from .at on */
    unsigned at;
    uint64_t cursor;
    uint64_t nr_equal, nr_other;
};

__attribute__((noreturn)) static void broken(const char *what, const char *why)
{
    printf("BROKEN %s: %s\n", what, why);
    exit(99);
}

static void other(struct sides *s, uint64_t gfn, const char *what)
{
    if (s->nr_other++ < 64)
        printf("frame %#llx: %s\n", (unsigned long long)gfn, what);
}

/* The next frame of the checkpoint, or UINT64_MAX. */
static uint64_t stored_gfn(struct sides *s)
{
    if (s->at == s->stored.nr) {
        s->at = 0;
        if (image_next(s->img, &s->cursor, &s->stored))
            broken("checkpoint", ckpt_error(s->c));
    }
    return s->stored.nr ? s->stored.gfn[s->at] : UINT64_MAX;
}

static void compare_page(struct sides *s, uint64_t gfn, const void *live)
{
    static const char zeros[CKPT_PAGE_SIZE];
    const void *stored;

    for (; stored_gfn(s) < gfn; s->at++)
        other(s, stored_gfn(s), "only in the checkpoint, or not looked at");
    if (stored_gfn(s) != gfn) {
        if (live)
            other(s, gfn, "only in the domain");
        return;
    }
    stored = s->stored.data[s->at] ? s->stored.data[s->at] : zeros;
    if (!live)
        other(s, gfn, "only in the checkpoint");
    else if (memcmp(stored, live, CKPT_PAGE_SIZE))
        other(s, gfn, "not equal");
    else
        s->nr_equal++;
    s->at++;
}

static void compare_range(struct sides *s, uint64_t gfn, uint64_t end)
{
    static struct page_batch b;
    struct xen_map map;

    while (gfn < end) {
        for (b.nr = 0; b.nr < PAGE_BATCH && gfn < end; b.nr++)
            b.gfn[b.nr] = gfn++;
        if (xen_map_batch(s->x, s->dom.domid, &b, &map))
            broken("domain", xc.error);
        for (unsigned i = 0; i < b.nr; i++)
            compare_page(s, b.gfn[i], b.data[i]);
        xen_unmap(s->x, &map);
    }
}

static int add_page(struct xen *x, uint32_t domid, uint64_t gfn)
{
    xen_pfn_t pfn = gfn;
    xc_domaininfo_t info;

    if (xc_domain_getinfolist(x->xch, domid, 1, &info) != 1 ||
        xc_domain_setmaxmem(x->xch, domid,
                            (info.max_pages + 1) * (XC_PAGE_SIZE / 1024)) ||
        xc_domain_populate_physmap_exact(x->xch, domid, 1, 0, 0, &pfn))
        broken("one page more", strerror(errno));
    return 0;
}

int main(int argc, char **argv)
{
    static struct sides s;
    struct ckpt_info info;
    uint64_t low, top;

    if (argc != 4 && (argc != 5 || strcmp(argv[4], "all") != 0)) {
        fputs("usage: xen_image_tool CHECKPOINT DOMAIN MAX [all]\n"
              "       xen_image_tool add DOMAIN GFN\n",
              stderr);
        return 99;
    }
    if (xen_open(&xc, &s.x) || xen_dom_find(s.x, argv[2], &s.dom) ||
        xen_nr_gfns(s.x, s.dom.domid, &s.nr_gfns))
        broken(argv[2], xc.error);
    if (!strcmp(argv[1], "add"))
        return add_page(s.x, s.dom.domid, strtoull(argv[3], NULL, 0));
    if (ckpt_open(NULL, NULL, &s.c) || ckpt_find(s.c, argv[1], &info) ||
        image_open(s.c->store, info.id, &s.img))
        broken(argv[1], s.c ? ckpt_error(s.c) : "no store");
    low = s.dom.memory_bytes / CKPT_PAGE_SIZE + MARGIN;
    top = s.nr_gfns > low + MARGIN ? s.nr_gfns - MARGIN : low;
    if (argc == 5)
        low = top;
    compare_range(&s, 0, low < s.nr_gfns ? low : s.nr_gfns);
    compare_range(&s, top, s.nr_gfns);
    while (stored_gfn(&s) != UINT64_MAX) {
        other(&s, stored_gfn(&s), "only in the checkpoint");
        s.at++;
    }
    printf("%llu pages equal, %llu others\n", (unsigned long long)s.nr_equal,
           (unsigned long long)s.nr_other);
    return s.nr_other > strtoull(argv[3], NULL, 10);
}
