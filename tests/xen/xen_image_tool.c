/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Compares a checkpoint with the memory of a paused domain, in the lab's dom0:
 *
 *   xen_image_tool CHECKPOINT DOMAIN MAX
 *
 * After `xl checkpoint --paused' no vCPU has run since the cut, so all pages
 * are equal but for the few that Xen and dom0's backends write (shared info,
 * event channels, rings): up to MAX may differ, or be on one side only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt.h"
#include "ctx.h"
#include "xen_dom.h"
#include "xen_mem.h"

static struct ckpt xc; /* for the border to Xen; the store has one of its own */

struct sides {
    struct xen *x;
    struct xen_dom dom;
    uint64_t nr_gfns;
    uint64_t next; /* the next frame of the checkpoint */
    ckpt *c;
    ckpt_memory *m;
    uint64_t nr_equal, nr_other;
};

__attribute__((noreturn)) static void broken(const char *what, const char *why)
{
    printf("BROKEN %s: %s\n", what, why);
    exit(99);
}

static void other(struct sides *s, uint64_t gfn, const char *what)
{
    if (s->nr_other++ < 20)
        printf("frame %#llx: %s\n", (unsigned long long)gfn, what);
}

static void compare_page(struct sides *s, uint64_t gfn, const void *live)
{
    char stored[CKPT_PAGE_SIZE];
    bool is_stored;

    if (gfn >= s->next) {
        s->next = gfn;
        if (ckpt_memory_next(s->m, &s->next))
            broken("checkpoint", ckpt_error(s->c));
    }
    is_stored = s->next == gfn && gfn < ckpt_memory_nr_gfns(s->m);
    if (is_stored && ckpt_memory_read(s->m, gfn, stored))
        broken("checkpoint", ckpt_error(s->c));
    if (!is_stored && live)
        other(s, gfn, "only in the domain");
    else if (is_stored && !live)
        other(s, gfn, "only in the checkpoint");
    else if (is_stored && memcmp(stored, live, sizeof(stored)))
        other(s, gfn, "not equal");
    else if (is_stored)
        s->nr_equal++;
    if (is_stored)
        s->next++; /* to be looked for at the next frame */
}

/* Frames that either side has: most numbers are of neither. */
static void compare_all(struct sides *s)
{
    static struct page_batch b;
    struct xen_map map;

    for (uint64_t gfn = 0; gfn < s->nr_gfns;) {
        for (b.nr = 0; b.nr < PAGE_BATCH && gfn < s->nr_gfns; b.nr++)
            b.gfn[b.nr] = gfn++;
        if (xen_map_batch(s->x, s->dom.domid, &b, &map))
            broken("domain", xc.error);
        for (unsigned i = 0; i < b.nr; i++)
            compare_page(s, b.gfn[i], b.data[i]);
        xen_unmap(s->x, &map);
    }
}

int main(int argc, char **argv)
{
    static struct sides s;

    if (argc != 4) {
        fputs("usage: xen_image_tool CHECKPOINT DOMAIN MAX\n", stderr);
        return 99;
    }
    if (xen_open(&xc, &s.x) || xen_dom_find(s.x, argv[2], &s.dom) ||
        xen_nr_gfns(s.x, s.dom.domid, &s.nr_gfns))
        broken(argv[2], xc.error);
    if (ckpt_open(NULL, NULL, &s.c) ||
        ckpt_memory_open(s.c, argv[1], &s.m))
        broken(argv[1], s.c ? ckpt_error(s.c) : "no store");
    compare_all(&s);
    printf("%llu pages equal, %llu others\n", (unsigned long long)s.nr_equal,
           (unsigned long long)s.nr_other);
    return s.nr_other > strtoull(argv[3], NULL, 10);
}
