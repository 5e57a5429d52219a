/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Tries the capture of a patched hypervisor page by page, in the lab's dom0:
 *
 *   xen_cow_tool row NAME DOMAIN     one way of writing to a guest's memory
 *   xen_cow_tool rows                the names
 *   xen_cow_tool cycle DOMAIN N      attach, prepare, detach
 *   xen_cow_tool stall DOMAIN        nobody saves: the guest goes on
 *   xen_cow_tool die DOMAIN          dies with the guest captured
 *   xen_cow_tool end DOMAIN          what the guard then does
 *   xen_cow_tool fuzz DOMAIN SEED N  operations and ring contents at random
 *
 * A row hashes the guest's pages while it is paused, cuts in the same pause,
 * then writes to the guest in its way while the capture is drained.  All pages
 * that come out must have the hashes from before, each once.  Pages that
 * change although no vCPU of the guest runs (events from dom0) are excepted,
 * never those that the row writes.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "bitmap.h"
#include "ctx.h"
#include "machine.h"
#include "mem.h"
#include "store.h"
#include "xen_ckpt_abi.h"
#include "xen_cow.h"
#include "xen_dom.h"
#include "xen_mem.h"
#include "xen_private.h"

#define NR_VICTIMS 16u
#define TOP_FRAMES (16u * PAGE_BATCH) /* where Xen's special pages are */

static struct ckpt c;

struct shot {
    struct xen *x;
    struct xen_dom dom;
    struct mem m;
    uint64_t nr_gfns;
    uint64_t *hash, *again; /* before the cut; after it, still paused */
    uint64_t *put;          /* as the drain had it */
    uint8_t *nr_put;        /* times */
    uint64_t *present;
    uint64_t victim[NR_VICTIMS];
    char original[NR_VICTIMS][PAGE_SIZE_BYTES];
    char *rw; /* a row's own mapping of the victims */
    unsigned nr_pauses;
};

static struct shot *current_shot;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt,
                                                                ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf(" %s\n", c.error);
    exit(1);
}

static void need(int rc, const char *what)
{
    if (rc)
        die("BROKEN %s: %s:", what, strerror(-rc));
}

static uint64_t hash_of(const void *page)
{
    return XXH64(page, PAGE_SIZE_BYTES, 0);
}

/* Linked in the place of the store's. */
int __wrap_image_put(struct image *img, const struct page_batch *b);
int __wrap_image_put(struct image *img, const struct page_batch *b)
{
    static const char zeros[PAGE_SIZE_BYTES];
    struct shot *s = current_shot;
    unsigned i;

    (void)img;
    for (i = 0; i < b->nr; i++) {
        if (b->gfn[i] >= s->nr_gfns || b->type[i] != PAGE_TYPE_NORMAL)
            die("FAIL page %#llx does not exist",
                (unsigned long long)b->gfn[i]);
        s->put[b->gfn[i]] = hash_of(b->data[i] ? b->data[i] : zeros);
        s->nr_put[b->gfn[i]]++;
    }
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
            if (b.data[i])
                bitmap_set(s->present, b.gfn[i]);
        }
        xen_unmap(s->x, &map);
    }
}

static void hash_all(struct shot *s, uint64_t *hash)
{
    uint64_t low = s->dom.memory_bytes / PAGE_SIZE_BYTES;
    uint64_t top = s->nr_gfns > TOP_FRAMES ? s->nr_gfns - TOP_FRAMES : 0;

    hash_range(s, hash, 0, low < s->nr_gfns ? low : s->nr_gfns);
    if (top > low)
        hash_range(s, hash, top, s->nr_gfns);
}

static char *map_rw(struct shot *s)
{
    xen_pfn_t gfns[NR_VICTIMS];
    int err[NR_VICTIMS];
    char *p;

    for (unsigned i = 0; i < NR_VICTIMS; i++)
        gfns[i] = s->victim[i];
    p = xenforeignmemory_map(s->x->fmem, s->dom.domid, PROT_READ | PROT_WRITE,
                             NR_VICTIMS, gfns, err);
    if (!p)
        die("BROKEN map for writing");
    return p;
}

static void unmap_rw(struct shot *s, char *p)
{
    xenforeignmemory_unmap(s->x->fmem, p, NR_VICTIMS);
}

static void scribble(char *pages)
{
    for (unsigned i = 0; i < NR_VICTIMS; i++)
        memset(pages + i * PAGE_SIZE_BYTES, 0x5a + (int)i, PAGE_SIZE_BYTES);
}

/* --- the rows ------------------------------------------------------------- */

static void nothing(struct shot *s)
{
    (void)s;
}

static void map_victims(struct shot *s)
{
    s->rw = map_rw(s);
}

static void write_mapped(struct shot *s)
{
    scribble(s->rw);
}

static void map_and_write(struct shot *s)
{
    map_victims(s);
    write_mapped(s);
}

static void victims_as_pfns(const struct shot *s, xen_pfn_t *gfns)
{
    for (unsigned i = 0; i < NR_VICTIMS; i++)
        gfns[i] = s->victim[i];
}

static void balloon(struct shot *s)
{
    xen_pfn_t gfns[NR_VICTIMS];

    victims_as_pfns(s, gfns);
    if (xc_domain_decrease_reservation_exact(s->x->xch, s->dom.domid,
                                             NR_VICTIMS, 0, gfns))
        die("BROKEN decrease: %s", strerror(errno));
    victims_as_pfns(s, gfns);
    if (xc_domain_populate_physmap_exact(s->x->xch, s->dom.domid, NR_VICTIMS,
                                         0, 0, gfns))
        die("BROKEN populate: %s", strerror(errno));
    map_and_write(s);
}

static void go(struct shot *s)
{
    need(xen_unpause(s->x, s->dom.domid), "unpause");
    s->nr_pauses--;
}

/* Another user of log-dirty comes, takes its bitmap, and goes. */
static void log_dirty(struct shot *s)
{
    struct xen_dirty *d;
    uint64_t count;

    need(xen_dirty_new(s->x, s->dom.domid, s->nr_gfns, &d), "log-dirty");
    need(xen_dirty_on(d), "log-dirty on");
    go(s);
    usleep(100000); /* lint: sleep ok: the guest is to write meanwhile */
    need(xen_dirty_fetch(d, false, &count), "log-dirty bitmap");
    need(xen_dirty_off(d), "log-dirty off");
    xen_dirty_free(d);
    if (!count)
        die("BROKEN the guest wrote nothing");
}

/* From read-only, a page becomes writable without a fault. */
static void retype(struct shot *s)
{
    for (unsigned i = 0; i < NR_VICTIMS; i++)
        if (xc_hvm_set_mem_type(s->x->xch, (domid_t)s->dom.domid,
                                HVMMEM_ram_ro, s->victim[i], 1) ||
            xc_hvm_set_mem_type(s->x->xch, (domid_t)s->dom.domid,
                                HVMMEM_ram_rw, s->victim[i], 1))
            die("BROKEN memory type: %s", strerror(errno));
    map_and_write(s);
}

struct row {
    const char *name;
    void (*before)(struct shot *s); /* prepare; the victims are known */
    void (*between)(struct shot *s); /* prepare and the cut */
    void (*after)(struct shot *s);  /* the cut */
    bool writes_victims;            /* else the guest does, and runs */
};

/* clang-format off */
static const struct row rows[] = {
    { "vcpu",            nothing,     nothing,     go,            false },
    { "foreign-before",  map_victims, nothing,     write_mapped,  true  },
    { "foreign-between", nothing,     map_victims, write_mapped,  true  },
    { "foreign-after",   nothing,     nothing,     map_and_write, true  },
    { "balloon",         nothing,     nothing,     balloon,       true  },
    { "retype",          nothing,     nothing,     retype,        true  },
    { "log-dirty",       nothing,     nothing,     log_dirty,     false },
};
/* clang-format on */
#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

/* --- one shot ------------------------------------------------------------- */

static void shot_open(struct shot *s, const char *domain)
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
    if (!s->hash || !s->again || !s->put || !s->nr_put || !s->present)
        die("BROKEN no memory");
    /* Ordinary memory, in the middle of what there is, all over it. */
    for (unsigned i = 0; i < NR_VICTIMS; i++)
        s->victim[i] = s->dom.memory_bytes / PAGE_SIZE_BYTES / 4 + 37 * i;
    s->m = (struct mem){ .c = &c, .x = s->x, .dom = &s->dom, .drv = &mem_cow,
                         .id = "0", .head = "" };
    current_shot = s;
}

static void keep_originals(struct shot *s)
{
    char *p = map_rw(s);

    memcpy(s->original, p, sizeof(s->original));
    unmap_rw(s, p);
}

static void give_back(struct shot *s)
{
    char *p = map_rw(s);

    memcpy(p, s->original, sizeof(s->original));
    unmap_rw(s, p);
}

static unsigned compare(struct shot *s, bool writes_victims)
{
    uint64_t gfn, nr = 0, moving = 0;
    unsigned wrong = 0, i;

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
        for (i = 0; writes_victims && i < NR_VICTIMS; i++)
            if (s->victim[i] == gfn)
                break;
        if (s->hash[gfn] != s->again[gfn] &&
            !(writes_victims && i < NR_VICTIMS)) {
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

/* How many pages the guest has changed since; the row must be able to fail. */
static uint64_t changed(struct shot *s)
{
    uint64_t *now = calloc(s->nr_gfns, sizeof(*now)), gfn, n = 0;

    if (!now)
        die("BROKEN no memory");
    hash_all(s, now);
    for (gfn = 0; gfn < s->nr_gfns; gfn++)
        n += now[gfn] != s->hash[gfn];
    free(now);
    return n;
}

static int run_row(const struct row *row, const char *domain)
{
    struct shot s;
    unsigned wrong;
    uint64_t n;

    shot_open(&s, domain);
    need(xen_pause(s.x, s.dom.domid), "pause");
    s.nr_pauses++;
    if (row->writes_victims)
        keep_originals(&s);
    row->before(&s);
    if (!row->writes_victims) {
        need(xen_unpause(s.x, s.dom.domid), "unpause");
        s.nr_pauses--;
    }
    need(mem_cow.arm(&s.m), "arm");
    row->between(&s);
    if (!s.nr_pauses) {
        need(xen_pause(s.x, s.dom.domid), "pause");
        s.nr_pauses++;
    }
    hash_all(&s, s.hash);
    need(mem_cow.cut(&s.m), "cut");
    hash_all(&s, s.again);
    row->after(&s);
    need(mem_cow.drain(&s.m), "drain");
    n = changed(&s);
    if (s.rw)
        unmap_rw(&s, s.rw);
    if (row->writes_victims)
        give_back(&s);
    wrong = compare(&s, row->writes_victims);
    while (s.nr_pauses)
        go(&s);
    mem_cow.undo(&s.m);
    if (n < NR_VICTIMS)
        die("BROKEN only %llu pages were changed", (unsigned long long)n);
    printf("%s %s: %llu pages changed since the cut\n", wrong ? "FAIL" : "OK",
           row->name, (unsigned long long)n);
    return wrong ? 1 : 0;
}

/* --- the rest ------------------------------------------------------------- */

static const struct xen_cow_policy policy = {.stall_ms = 1000};

static int cycle(const char *domain, unsigned long nr)
{
    struct xen_cow *cow;
    struct shot s;
    uint32_t listed;

    shot_open(&s, domain);
    while (nr--) {
        need(xen_cow_attach(s.x, s.dom.domid, 8192, &policy, &cow), "attach");
        need(xen_cow_prepare(cow, &listed), "prepare");
        if (nr % 2)
            need(xen_cow_begin(cow, "0", false), "begin");
        need(xen_cow_detach(cow), "detach");
    }
    return 0;
}

/* The smallest ring, and nothing is saved: Xen must give up, not the guest. */
static int stall(const char *domain)
{
    struct page_batch *b = calloc(1, sizeof(*b));
    struct xen_cow_stats stats;
    struct xen_cow *cow;
    struct shot s;
    uint64_t end, seq;
    uint32_t listed;
    int rc;

    shot_open(&s, domain);
    need(xen_cow_attach(s.x, s.dom.domid,
                        4 * (1024 + 64 * s.dom.nr_vcpus), &policy, &cow),
         "attach");
    need(xen_cow_prepare(cow, &listed), "prepare");
    need(xen_cow_begin(cow, "0", false), "begin");
    end = now_us() + 120000000;
    do {
        seq = 0;
        rc = xen_cow_records(cow, domain, &seq, b);
        usleep(50000); /* lint: sleep ok: that nobody saves is the test */
    } while (!rc && now_us() < end);
    xen_cow_stats(cow, &stats);
    printf("%s after %llu first writes, %llu waits: %s\n",
           rc ? "OK" : "FAIL", (unsigned long long)stats.by_write,
           (unsigned long long)stats.stalls, c.error);
    need(xen_cow_detach(cow), "detach");
    return rc ? 0 : 1;
}

static int die_armed(const char *domain)
{
    struct xen_cow *cow;
    struct shot s;
    uint32_t listed;

    shot_open(&s, domain);
    need(xen_cow_attach(s.x, s.dom.domid, 8192, &policy, &cow), "attach");
    need(xen_cow_prepare(cow, &listed), "prepare");
    need(xen_cow_begin(cow, "0", false), "begin");
    fflush(NULL);
    raise(SIGKILL);
    return 1;
}

static int end(const char *domain)
{
    struct shot s;

    shot_open(&s, domain);
    return xen_cow_end(s.x->xch, s.dom.domid) ? 1 : 0;
}

/* Numbers as an attacker likes them. */
static uint64_t odd_number(unsigned *seed)
{
    switch (rand_r(seed) % 6) {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return UINT64_C(1) << (rand_r(seed) % 64);
    case 3: return (uint64_t)rand_r(seed) % 16384;
    default: return ((uint64_t)rand_r(seed) << 33) ^ (uint64_t)rand_r(seed);
    }
}

static void fuzz_ring(struct shot *s, unsigned *seed)
{
    xenforeignmemory_resource_handle *r;
    void *p = NULL;
    uint64_t *words;
    unsigned i, nr = 1 + (unsigned)rand_r(seed) % 40;

    r = xenforeignmemory_map_resource(
        s->x->fmem, (domid_t)s->dom.domid, XEN_CKPT_RESOURCE,
        rand_r(seed) % 8 ? 0 : (unsigned)odd_number(seed),
        rand_r(seed) % 8 ? 0 : (unsigned long)odd_number(seed) % (1 << 20), nr,
        &p, PROT_READ | PROT_WRITE, 0);
    if (!r)
        return;
    words = p;
    for (i = 0; i < nr * 16; i++)
        words[(uint64_t)rand_r(seed) % (nr * PAGE_SIZE_BYTES / 8)] =
            odd_number(seed);
    if (rand_r(seed) % 2)
        for (i = 0; i < sizeof(struct xen_ckpt_ring) / 8; i++)
            words[i] = odd_number(seed);
    xenforeignmemory_unmap_resource(s->x->fmem, r);
}

static int fuzz(const char *domain, unsigned seed, unsigned long nr)
{
    struct xen_domctl ctl;
    struct xen_ckpt_op op;
    unsigned long n, done = 0;
    struct shot s;

    shot_open(&s, domain);
    for (n = 0; n < nr; n++) {
        memset(&ctl, 0, sizeof(ctl));
        op = (struct xen_ckpt_op){
            .op = (uint32_t)(rand_r(&seed) % 16 ? (uint64_t)rand_r(&seed) % 7
                                                : odd_number(&seed)),
            .abi = rand_r(&seed) % 16 ? XEN_CKPT_ABI
                                      : (uint32_t)odd_number(&seed),
            .flags = rand_r(&seed) % 4 ? (uint32_t)rand_r(&seed) % 2
                                       : (uint32_t)odd_number(&seed),
            .nr_slots = rand_r(&seed) % 2 ? 8192 : (uint32_t)odd_number(&seed),
            .stall_ms = rand_r(&seed) % 2 ? 100 : (uint32_t)odd_number(&seed),
            .nr_pages = (uint32_t)odd_number(&seed),
            .gfn = odd_number(&seed),
            .cookie = { odd_number(&seed), odd_number(&seed) },
        };
        ctl.cmd = XEN_CKPT_DOMCTL;
        ctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
        /* Also dom0 itself, and domains that do not exist. */
        ctl.domain = (domid_t)(rand_r(&seed) % 32 ? s.dom.domid
                                                  : odd_number(&seed));
        memcpy(&ctl.u, &op, sizeof(op));
        done += !xc_domctl(s.x->xch, &ctl);
        fuzz_ring(&s, &seed);
    }
    printf("OK %lu operations, %lu succeeded\n", nr, done);
    return xen_cow_end(s.x->xch, s.dom.domid) ? 1 : 0;
}

int main(int argc, char **argv)
{
    size_t i;

    if (argc == 2 && !strcmp(argv[1], "rows")) {
        for (i = 0; i < NR_ROWS; i++)
            puts(rows[i].name);
        return 0;
    }
    if (argc == 4 && !strcmp(argv[1], "row"))
        for (i = 0; i < NR_ROWS; i++)
            if (!strcmp(argv[2], rows[i].name))
                return run_row(&rows[i], argv[3]);
    if (argc == 4 && !strcmp(argv[1], "cycle"))
        return cycle(argv[2], strtoul(argv[3], NULL, 10));
    if (argc == 3 && !strcmp(argv[1], "stall"))
        return stall(argv[2]);
    if (argc == 3 && !strcmp(argv[1], "die"))
        return die_armed(argv[2]);
    if (argc == 3 && !strcmp(argv[1], "end"))
        return end(argv[2]);
    if (argc == 5 && !strcmp(argv[1], "fuzz"))
        return fuzz(argv[2], (unsigned)strtoul(argv[3], NULL, 10),
                    strtoul(argv[4], NULL, 10));
    fprintf(stderr, "usage: xen_cow_tool "
                    "row NAME DOMAIN|rows|cycle DOMAIN N|stall DOMAIN|"
                    "die DOMAIN|end DOMAIN|fuzz DOMAIN SEED N\n");
    return 2;
}
