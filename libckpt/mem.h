/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_MEM_H
#define CKPT_MEM_H
/*
 * How a domain's memory is brought into an image.  Every driver has the same
 * beats (ARCHITECTURE.md): arm while the guest runs, cut while it stands
 * still, drain when it runs again; undo at any time.
 */
#include <stdbool.h>
#include <stdint.h>

#include "ckpt.h"
#include "machine.h"

struct ckpt;
struct guard;
struct image;
struct mem;
struct xen;
struct xen_dom;

#define MEM_CAP_FLAT_CUT (1u << 0) /* the pause does not grow with memory */

struct mem_driver {
    const char *name; /* "dirty", as the manifest has it */
    unsigned caps;    /* MEM_CAP_* */
    /* 0: can do.  -ENOTSUP: cannot, @why (256 bytes) says why, for the
     * manifest.  Else: stop. */
    int (*probe)(struct xen *x, const struct xen_dom *dom, char *why);
    /* As probe, with the why as the error's words: only now is it known, and
     * undo comes next. */
    int (*arm)(struct mem *m);
    /* It changed in a way that a cut would miss: it is to be armed anew, into
     * an empty image.  Also asked in the pause.  NULL: it misses nothing.  A domain
     * that is gone is left to who waits for it. */
    bool (*is_stale)(struct mem *m);
    int (*cut)(struct mem *m); /* the machine state, too */
    /* Whatever the guest may be spared of is ended: first after resume. */
    int (*disarm)(struct mem *m);
    int (*drain)(struct mem *m);
    /* The checkpoint exists, and the next shall build on it: what tells of
     * writes may stand.  Without it undo ends that.  NULL: no such driver. */
    void (*keep)(struct mem *m);
    void (*undo)(struct mem *m); /* also frees; harmless twice */
};

struct mem {
    const struct mem_driver *drv;
    struct ckpt *c;            /* borrowed, as all here */
    struct xen *x;
    const struct xen_dom *dom;
    struct guard *g;
    struct image *img;
    const char *id;            /* of the checkpoint that is made */
    const char *head;          /* of the one before it; "" */
    unsigned ring_mib;         /* wanted; 0: the driver's choice */
    bool give_up;              /* rather than that the guest waits */
    bool flat_only; /* or -ENOTSUP: a driver whose cut is always short */
    struct machine machine;    /* filled by arm and cut; owned by take */
    char why[256];             /* why not a better driver; "" */
    char base[CKPT_ID_LEN + 1]; /* set by mem_build_on() */
    char base_why[256];        /* "" or why not, for the manifest */
    unsigned passes;
    uint64_t pages_in_pause;
    struct ckpt_capture capture; /* all 0, or filled by drain */
    void *priv;                /* the driver's */
};

/* Best first, ended by NULL. */
extern const struct mem_driver *const mem_drivers[];
extern const struct mem_driver mem_cow;
extern const struct mem_driver mem_dirty;
extern const struct mem_driver mem_stream;

/*
 * For a driver that knows which frames may have changed since checkpoint @id
 * was cut: called in arm, before anything is put.  On 0 the image begins as
 * that checkpoint, and the driver puts each frame that may have changed since
 * (absent, if it is gone) and no other.  Else the image begins empty, the
 * driver puts all frames, and m->base_why says why; so it does when a driver
 * calls mem_build_on_none() because its knowledge was lost.  Only -ENOMEM and
 * -ECANCELED are errors of the take.
 */
int mem_build_on(struct mem *m, const char *id);
void mem_build_on_none(struct mem *m, const char *why);

/* Arms the first driver that can: fills m->drv, and m->why with what kept the
 * best one from it.  After an error m->drv, unless NULL, wants its undo. */
int mem_arm(struct mem *m);

#endif
