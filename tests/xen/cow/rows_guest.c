/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Ways in that need the guest's help: pages that it grants, and what Xen
 * writes for it into pages that it does not touch itself.  The helper is
 * cow_guest.c; dom0 talks to it by way of xenstore.
 */
#include "cow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HELPER "/local/domain/%u/data/cow/%s"
#define PIECES 64u

static char *helper_read(struct shot *s, const char *name)
{
    char path[128];
    unsigned len;

    snprintf(path, sizeof(path), HELPER, s->dom.domid, name);
    return xs_read(s->x->xsh, XBT_NULL, path, &len);
}

unsigned guest_list(struct shot *s, const char *name, uint64_t *list,
                    unsigned max)
{
    char *text = helper_read(s, name), *at = text;
    unsigned n = 0;

    if (!text)
        die("BROKEN the guest's helper has no %s", name);
    while (n < max && *at) {
        list[n++] = strtoull(at, &at, 16);
        at += *at == ' ';
    }
    free(text);
    return n;
}

void guest_do(struct shot *s, const char *what)
{
    static unsigned nr_asked;
    char path[128], ask[128], want[64], *done = NULL;
    uint64_t until = now_us() + 60000000;

    snprintf(ask, sizeof(ask), "%d.%u %s", (int)getpid(), ++nr_asked, what);
    snprintf(want, sizeof(want), "%d.%u 0", (int)getpid(), nr_asked);
    snprintf(path, sizeof(path), HELPER, s->dom.domid, "do");
    if (!xs_write(s->x->xsh, XBT_NULL, path, ask, (unsigned)strlen(ask)))
        die("BROKEN ask the guest's helper: %s", strerror(errno));
    do {
        free(done);
        usleep(20000); /* lint: sleep ok: the poll of a loop with a limit */
        done = helper_read(s, "done");
        if (done && !strcmp(done, want)) {
            free(done);
            return;
        }
    } while (now_us() < until);
    die("BROKEN the guest's helper did not do \"%s\": it says %s", ask,
        done ? done : "nothing");
}

/* --- grants --------------------------------------------------------------- */

static char *map_grants(struct shot *s, int prot)
{
    uint64_t refs[MAX_VICTIMS];
    char *p;

    if (guest_list(s, "refs", refs, MAX_VICTIMS) != s->nr_victims)
        die("BROKEN a grant for each page");
    for (unsigned i = 0; i < s->nr_victims; i++)
        s->ref[i] = (uint32_t)refs[i];
    if (!s->gnt)
        s->gnt = xengnttab_open(NULL, 0);
    if (!s->gnt)
        die("BROKEN grants: %s", strerror(errno));
    p = xengnttab_map_domain_grant_refs(s->gnt, s->nr_victims, s->dom.domid,
                                        s->ref, prot);
    if (!p)
        die("BROKEN map grants: %s", strerror(errno));
    return p;
}

static void grant(struct shot *s)
{
    s->granted = map_grants(s, PROT_READ | PROT_WRITE);
}

static void grant_read(struct shot *s)
{
    s->granted_read = map_grants(s, PROT_READ);
}

static void write_granted(struct shot *s)
{
    scribble(s, s->granted);
}

static void grant_and_write(struct shot *s)
{
    grant(s);
    write_granted(s);
}

static void grant_read_and_write(struct shot *s)
{
    grant_read(s);
    grant_and_write(s);
}

/* A page in many pieces, which batches of the hypercall look up once each, and
 * the others whole. */
static void grant_copy(struct shot *s)
{
    static char from[PAGE_SIZE_BYTES] __attribute__((aligned(4096)));
    xengnttab_grant_copy_segment_t seg[PIECES + MAX_VICTIMS] = {0};
    const unsigned len = PAGE_SIZE_BYTES / PIECES;
    unsigned n = 0, i;
    uint64_t refs[MAX_VICTIMS];

    if (guest_list(s, "refs", refs, MAX_VICTIMS) != s->nr_victims)
        die("BROKEN a grant for each page");
    s->gnt = xengnttab_open(NULL, 0);
    if (!s->gnt)
        die("BROKEN grants: %s", strerror(errno));
    memset(from, 0xc7, sizeof(from));
    for (i = 0; i < PIECES + s->nr_victims - 1; i++, n++) {
        seg[n].source.virt = from;
        seg[n].dest.foreign.domid = (domid_t)s->dom.domid;
        seg[n].dest.foreign.ref =
            (uint32_t)refs[i < PIECES ? 0 : i - PIECES + 1];
        seg[n].dest.foreign.offset = (uint16_t)(i < PIECES ? i * len : 0);
        seg[n].len = (uint16_t)(i < PIECES ? len : PAGE_SIZE_BYTES);
        seg[n].flags = GNTCOPY_dest_gref;
    }
    if (xengnttab_grant_copy(s->gnt, n, seg))
        die("BROKEN grant copy: %s", strerror(errno));
    for (i = 0; i < n; i++)
        if (seg[i].status != GNTST_okay)
            die("BROKEN grant copy %u: %d", i, seg[i].status);
}

/* clang-format off */
const struct row rows_of_grants[] = {
    { "grant-before",       "granted", grant,      nothing,    write_granted },
    { "grant-between",      "granted", nothing,    grant,      write_granted },
    { "grant-after",        "granted", nothing,    nothing,    grant_and_write },
    { "grant-read-before",  "granted", grant_read, nothing,    grant_and_write },
    { "grant-read-between", "granted", nothing,    grant_read, grant_and_write },
    { "grant-read-after",   "granted", nothing,    nothing,    grant_read_and_write },
    { "grant-copy",         "granted", nothing,    nothing,    grant_copy },
    { .name = NULL },
};
/* clang-format on */

/* --- what Xen, or the walk of page tables, writes for the guest ------------ */

static void while_running(struct shot *s, const char *what)
{
    go(s);
    guest_do(s, what);
}

static void hypercall(struct shot *s)
{
    while_running(s, "hypercall");
}

static void vcpu_info(struct shot *s)
{
    while_running(s, "vcpu-info");
}

static void fifo(struct shot *s)
{
    while_running(s, "fifo");
}

/* The accessed bits of some page tables are to be clear at the cut. */
static void make_old(struct shot *s)
{
    while_running(s, "age");
    pause_guest(s);
}

static void page_tables(struct shot *s)
{
    while_running(s, "look");
}

static void page_tables_by_xen(struct shot *s)
{
    while_running(s, "walk");
}

/* clang-format off */
const struct row rows_of_guest[] = {
    { "hypercall",          "own",  nothing,  nothing, hypercall },
    { "vcpu-info",          "info", nothing,  nothing, vcpu_info },
    { "fifo",               "fifo", nothing,  nothing, fifo },
    { "page-tables",        "none", make_old, nothing, page_tables },
    { "page-tables-by-xen", "none", make_old, nothing, page_tables_by_xen },
    { .name = NULL },
};
/* clang-format on */
