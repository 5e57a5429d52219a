/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Ways in that are dom0's alone: foreign mappings, and changes of the p2m.
 * The contents of pages that are taken away come back before the guest runs.
 */
#include "cow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "xen_mem.h"

#define BIG_ORDER 9u
#define BIG (1u << BIG_ORDER)

static void map_victims(struct shot *s)
{
    s->rw = map_frames(s, s->victim, s->nr_victims);
    if (!s->rw)
        die("BROKEN map for writing");
}

static void write_mapped(struct shot *s)
{
    scribble(s, s->rw);
}

static void map_and_write(struct shot *s)
{
    map_victims(s);
    write_mapped(s);
}

/* Pages that were mapped for a moment are noted, and not copied at the cut. */
static void let_go(struct shot *s)
{
    enum {
        NR = 4096
    };
    uint64_t *gfn = calloc(NR, sizeof(*gfn));
    char *p;

    if (!gfn)
        die("BROKEN no memory");
    for (unsigned i = 0; i < NR; i++)
        gfn[i] = s->victim[0] + i;
    p = map_frames(s, gfn, NR);
    free(gfn);
    if (!p)
        die("BROKEN map for a moment");
    unmap_frames(s, p, NR);
    s->max_eager = NR / 2;
}

/* --- ballooning ----------------------------------------------------------- */

void take_away(struct shot *s, unsigned first, unsigned end)
{
    xen_pfn_t gfns[MAX_VICTIMS];

    for (unsigned i = first; i < end; i++)
        gfns[i - first] = s->victim[i];
    if (xc_domain_decrease_reservation_exact(s->x->xch, s->dom.domid,
                                             end - first, 0, gfns))
        die("BROKEN decrease: %s", strerror(errno));
}

void populate(struct shot *s, unsigned first, unsigned end)
{
    xen_pfn_t gfns[MAX_VICTIMS];

    for (unsigned i = first; i < end; i++)
        gfns[i - first] = s->victim[i];
    if (xc_domain_populate_physmap_exact(s->x->xch, s->dom.domid, end - first,
                                         0, 0, gfns))
        die("BROKEN populate: %s", strerror(errno));
}

static void balloon(struct shot *s)
{
    take_away(s, 0, s->nr_victims);
    populate(s, 0, s->nr_victims);
    map_and_write(s);
}

/* Half of them come between prepare and the cut, half of them go. */
static void half_gone(struct shot *s)
{
    take_away(s, s->nr_victims / 2, s->nr_victims);
}

static void half_turned(struct shot *s)
{
    char *p;

    populate(s, s->nr_victims / 2, s->nr_victims);
    take_away(s, 0, s->nr_victims / 2);
    p = map_frames(s, s->victim + s->nr_victims / 2, s->nr_victims / 2);
    if (!p)
        die("BROKEN map what came");
    memset(p, 0x11, s->nr_victims / 2 * PAGE_SIZE_BYTES);
    unmap_frames(s, p, s->nr_victims / 2);
}

static void half_back(struct shot *s)
{
    populate(s, 0, s->nr_victims / 2);
    map_and_write(s);
}

/* One page of the domain is moved to the place of another. */
static void move(struct shot *s)
{
    for (unsigned i = 0; i < s->nr_victims; i += 2)
        if (xc_domain_add_to_physmap(s->x->xch, s->dom.domid, XENMAPSPACE_gmfn,
                                     s->victim[i], s->victim[i + 1]))
            die("BROKEN add to physmap: %s", strerror(errno));
    for (unsigned i = 0; i < s->nr_victims; i += 2)
        populate(s, i, i + 1);
    map_and_write(s);
}

/* --- 2 MiB at once, which the guest's helper gave up ---------------------- */

/* A mapping for writing would announce all of them. */
static char *big_pages(struct shot *s, int prot)
{
    xen_pfn_t gfn[BIG];
    int err[BIG];
    char *p;

    for (unsigned i = 0; i < BIG; i++)
        gfn[i] = s->victim[0] + i;
    p = xenforeignmemory_map(s->x->fmem, s->dom.domid, prot, BIG, gfn, err);
    if (!p)
        die("BROKEN map 2 MiB");
    return p;
}

static void big_replace(struct shot *s, bool is_taken_away)
{
    char *kept = malloc(BIG * PAGE_SIZE_BYTES), *p = big_pages(s, PROT_READ);
    xen_pfn_t gfn = s->victim[0];

    if (!kept || s->victim[0] % BIG)
        die("BROKEN no 2 MiB in one piece");
    memcpy(kept, p, BIG * PAGE_SIZE_BYTES);
    unmap_frames(s, p, BIG);
    if (is_taken_away && xc_domain_decrease_reservation_exact(
                             s->x->xch, s->dom.domid, 1, BIG_ORDER, &gfn))
        die("BROKEN decrease 2 MiB: %s", strerror(errno));
    gfn = s->victim[0];
    if (xc_domain_populate_physmap_exact(s->x->xch, s->dom.domid, 1, BIG_ORDER,
                                         0, &gfn))
        die("BROKEN populate 2 MiB: %s", strerror(errno));
    p = big_pages(s, PROT_READ | PROT_WRITE);
    memset(p, 0x77, BIG * PAGE_SIZE_BYTES);
    memcpy(p, kept, BIG * PAGE_SIZE_BYTES);
    unmap_frames(s, p, BIG);
    free(kept);
    map_and_write(s);
}

static void big_balloon(struct shot *s)
{
    big_replace(s, true);
}

/* Over what is there: the old pages stay with the domain, at no frame number,
 * so it may need more memory than it may have. */
static void allow_more(struct shot *s, unsigned nr_pages)
{
    xc_domaininfo_t info;

    if (xc_domain_getinfolist(s->x->xch, s->dom.domid, 1, &info) != 1 ||
        xc_domain_setmaxmem(s->x->xch, s->dom.domid,
                            (info.max_pages + nr_pages) *
                                (PAGE_SIZE_BYTES / 1024)))
        die("BROKEN maximum of memory: %s", strerror(errno));
}

static void big_over(struct shot *s)
{
    allow_more(s, BIG);
    big_replace(s, false);
}

/* Something else than memory is laid over a page for a moment. */
static void device_over(struct shot *s)
{
    const unsigned long vga = 0xb8000 / PAGE_SIZE_BYTES;

    allow_more(s, s->nr_victims);
    if (xc_domain_iomem_permission(s->x->xch, s->dom.domid, vga, 1, 1))
        die("BROKEN permission for a device: %s", strerror(errno));
    for (unsigned i = 0; i < s->nr_victims; i++)
        if (xc_domain_memory_mapping(s->x->xch, s->dom.domid, s->victim[i], vga,
                                     1, DPCI_ADD_MAPPING) ||
            xc_domain_memory_mapping(s->x->xch, s->dom.domid, s->victim[i], vga,
                                     1, DPCI_REMOVE_MAPPING))
            die("BROKEN map a device: %s", strerror(errno));
    xc_domain_iomem_permission(s->x->xch, s->dom.domid, vga, 1, 0);
    populate(s, 0, s->nr_victims);
    map_and_write(s);
}

/* --- another user of log-dirty -------------------------------------------- */

static void log_on(struct shot *s)
{
    need(xen_dirty_new(s->x, s->dom.domid, s->nr_gfns, &s->log), "log-dirty");
    need(xen_dirty_on(s->log), "log-dirty on");
}

static void log_off(struct shot *s)
{
    need(xen_dirty_off(s->log), "log-dirty off");
    xen_dirty_free(s->log);
    s->log = NULL;
}

/* It comes, takes its bitmap, and goes. */
static void log_dirty(struct shot *s)
{
    uint64_t count;

    log_on(s);
    go(s);
    usleep(100000); /* lint: sleep ok: the guest is to write meanwhile */
    need(xen_dirty_fetch(s->log, false, &count), "log-dirty bitmap");
    log_off(s);
    if (!count)
        die("BROKEN the guest wrote nothing");
}

/* It was there before: a processor that logs writes by itself lets the guest
 * write pages of 4 KiB, and these are read once in that state. */
static void log_before(struct shot *s)
{
    uint64_t count;

    log_on(s);
    go(s);
    guest_do(s, "write"); /* they are pages of 4 KiB then */
    pause_guest(s);
    give_back(s);
    need(xen_dirty_fetch(s->log, false, &count), "log-dirty bitmap");
    go(s);
    guest_do(s, "read");
    pause_guest(s);
}

static void log_was_on(struct shot *s)
{
    log_before(s);
    log_off(s);
}

static void write_by_guest(struct shot *s)
{
    go(s);
    guest_do(s, "write");
}

/* It stays, and gets to know what is written. */
static void write_logged(struct shot *s)
{
    uint64_t count, cursor = 0;
    static struct page_batch b;
    unsigned nr_seen = 0;

    write_by_guest(s);
    need(xen_dirty_fetch(s->log, false, &count), "log-dirty bitmap");
    do {
        xen_dirty_next(s->log, &cursor, &b);
        for (unsigned i = 0; i < b.nr; i++)
            nr_seen += is_victim(s, b.gfn[i]);
    } while (b.nr);
    log_off(s);
    if (nr_seen != s->nr_victims)
        die("FAIL log-dirty beside the ring saw %u of %u writes", nr_seen,
            s->nr_victims);
}

/* --- types ---------------------------------------------------------------- */

static void change_type(struct shot *s, uint64_t gfn)
{
    domid_t domid = (domid_t)s->dom.domid;

    if (xc_hvm_set_mem_type(s->x->xch, domid, HVMMEM_ram_ro, gfn, 1) ||
        xc_hvm_set_mem_type(s->x->xch, domid, HVMMEM_ram_rw, gfn, 1))
        die("BROKEN memory type: %s", strerror(errno));
}

/* From read-only, a page becomes writable without a fault. */
static void retype(struct shot *s)
{
    for (unsigned i = 0; i < s->nr_victims; i++)
        change_type(s, s->victim[i]);
    map_and_write(s);
}

/* The same, and nobody looks the pages up afterwards: the guest itself writes.
 */
static void retype_guest(struct shot *s)
{
    for (unsigned i = 0; i < s->nr_victims; i++)
        change_type(s, s->victim[i]);
    write_by_guest(s);
}

/* clang-format off */
const struct row rows_of_dom0[] = {
    { "vcpu",            FRAMES_OF_VCPUS, nothing,     nothing,     go },
    { "foreign-before",  FRAMES_ANY,      map_victims, nothing,     write_mapped },
    { "foreign-between", FRAMES_ANY,      nothing,     map_victims, write_mapped },
    { "foreign-after",   FRAMES_ANY,      nothing,     nothing,     map_and_write },
    { "let-go",          FRAMES_ANY,      nothing,     let_go,      map_and_write },
    { "balloon",         FRAMES_ANY,      nothing,     nothing,     balloon },
    { "balloon-between", FRAMES_ANY,      half_gone,   half_turned, half_back },
    { "move",            FRAMES_ANY,      nothing,     nothing,     move },
    { "big-balloon",     "big",           nothing,     nothing,     big_balloon },
    { "big-over",        "big",           nothing,     nothing,     big_over },
    { "device-over",     "own",           nothing,     nothing,     device_over },
    { "retype",          FRAMES_ANY,      nothing,     nothing,     retype },
    { "retype-guest",    "own",           nothing,     nothing,     retype_guest },
    { "log-dirty",       FRAMES_OF_VCPUS, nothing,     nothing,     log_dirty },
    { "log-dirty-was",   "own",           log_was_on,  nothing,     write_by_guest },
    { "log-dirty-is",    "own",           log_before,  nothing,     write_logged },
    { .name = NULL },
};
/* clang-format on */
