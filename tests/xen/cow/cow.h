/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef TESTS_XEN_COW_H
#define TESTS_XEN_COW_H
/*
 * What the parts of xen_cow_tool share: a guest's pages as dom0 sees them, and
 * the table of the rows.  A failure prints a line that begins with FAIL, a
 * broken test world one with BROKEN, and the program ends.
 */
#include <stdbool.h>
#include <stdint.h>

#include "ctx.h"
#include "machine.h"
#include "mem.h"
#include "page.h"
#include "xen_dom.h"
#include "xen_private.h"

#include <xengnttab.h>

#define MAX_VICTIMS 16u

extern struct ckpt c;

/* One cut of one guest. */
struct shot {
    struct xen *x;
    struct xen_dom dom;
    struct mem m;
    uint64_t nr_gfns;
    uint64_t *hash, *again; /* before the cut; after it, still paused */
    uint64_t *put;          /* as the drain had it */
    uint8_t *nr_put;        /* times */
    uint64_t *present;      /* at the cut */
    /* The pages that the row writes, and what was in them at first. */
    uint64_t victim[MAX_VICTIMS];
    unsigned nr_victims;
    char *original;
    unsigned nr_pauses;
    /* A row's own mappings, which end with it. */
    char *rw;
    xengnttab_handle *gnt;
    char *granted, *granted_read;
    uint32_t ref[MAX_VICTIMS];
    struct xen_dirty *log;
    bool is_increment;  /* what comes out is added to what came before */
    uint64_t max_eager; /* not more may be copied at the cut; 0: any number */
};

/* Where a row's victims are, if not as the guest's helper names them. */
#define FRAMES_OF_VCPUS NULL /* nobody knows: the guest writes, and runs */
#define FRAMES_ANY "any"     /* any: as before, by the time the guest runs */

struct row {
    const char *name;
    const char *frames;
    void (*before)(struct shot *s);  /* prepare; the victims are known */
    void (*between)(struct shot *s); /* prepare and the cut */
    void (*after)(struct shot *s);   /* the cut; the guest is paused */
};

/* One table for each way in; the last row has no name. */
extern const struct row rows_of_dom0[], rows_of_grants[], rows_of_guest[];

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...);
/* The program ends, BROKEN or FAIL, and the guest is let go. */
void need(int rc, const char *what);
void must(int rc, const char *what);

/* @s is needed until the program ends: what then lets the guest go looks at it. */
void shot_open(struct shot *s, const char *domain);
void pause_guest(struct shot *s);
void go(struct shot *s);
void hash_all(struct shot *s, uint64_t *hash);
/* Also notes which pages there are. */
void hash_at_cut(struct shot *s);
/* What is recorded goes into s->put. */
void shot_put(const struct page_batch *b);
/* How many pages are not as at the cut, or did not come once. */
unsigned compare(struct shot *s);
/* How many pages have changed since: a test must be able to fail. */
uint64_t changed(struct shot *s);
int run_row(const struct row *row, const char *domain);

void find_victims(struct shot *s, const char *frames);
bool is_victim(const struct shot *s, uint64_t gfn);
/* What was in the victims at first. */
void give_back(struct shot *s);

/* For writing; may be NULL. */
char *map_frames(struct shot *s, const uint64_t *gfn, unsigned nr);
void unmap_frames(struct shot *s, char *p, unsigned nr);
void scribble(const struct shot *s, char *pages);
void nothing(struct shot *s);

/* Of the victims, those from @first on and before @end. */
void take_away(struct shot *s, unsigned first, unsigned end);
void populate(struct shot *s, unsigned first, unsigned end);

/* The helper in the guest (cow_guest.c): a list that it has published, and
 * something that it is to do; the guest runs. */
unsigned guest_list(struct shot *s, const char *name, uint64_t *list,
                    unsigned max);
void guest_do(struct shot *s, const char *what);

/* The ring without a row: each is a word of the command line. */
int cycle(const char *domain, unsigned long nr);
int full(const char *domain);
int full_detach(const char *domain);
int increment(const char *domain);
int slow(const char *domain, unsigned long nr_seconds);
int stall(const char *domain);
int die_armed(const char *domain);
int end(const char *domain);
int fuzz(const char *domain, unsigned seed, unsigned long nr);

#endif
