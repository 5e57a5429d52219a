/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Nonsense: operations and contents of the ring at random.  Xen may refuse and
 * lose the checkpoint; it goes on, and so does the guest.
 */
#include "cow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "xen_ckpt_abi.h"

/* Numbers as an attacker likes them. */
static uint64_t odd_number(unsigned *seed)
{
    switch (rand_r(seed) % 6) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return UINT64_C(1) << (rand_r(seed) % 64);
    case 3:
        return (uint64_t)rand_r(seed) % 16384;
    default:
        return ((uint64_t)rand_r(seed) << 33) ^ (uint64_t)rand_r(seed);
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

int fuzz(const char *domain, unsigned seed, unsigned long nr)
{
    struct xen_domctl ctl;
    struct xen_ckpt_op op;
    unsigned long n, done = 0;
    static struct shot s;

    shot_open(&s, domain);
    for (n = 0; n < nr; n++) {
        memset(&ctl, 0, sizeof(ctl));
        op = (struct xen_ckpt_op){
            .op = (uint32_t)(rand_r(&seed) % 16 ? (uint64_t)rand_r(&seed) % 7
                                                : odd_number(&seed)),
            .abi =
                rand_r(&seed) % 16 ? XEN_CKPT_ABI : (uint32_t)odd_number(&seed),
            .flags = rand_r(&seed) % 4 ? (uint32_t)rand_r(&seed) % 2
                                       : (uint32_t)odd_number(&seed),
            .nr_slots = rand_r(&seed) % 2 ? 8192 : (uint32_t)odd_number(&seed),
            .stall_ms = rand_r(&seed) % 2 ? 100 : (uint32_t)odd_number(&seed),
            .nr_pages = (uint32_t)odd_number(&seed),
            .gfn = odd_number(&seed),
            .cookie = {odd_number(&seed), odd_number(&seed)},
        };
        ctl.cmd = XEN_CKPT_DOMCTL;
        ctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
        /* Also dom0 itself, and domains that do not exist. */
        ctl.domain =
            (domid_t)(rand_r(&seed) % 32 ? s.dom.domid : odd_number(&seed));
        memcpy(&ctl.u, &op, sizeof(op));
        done += !xc_domctl(s.x->xch, &ctl);
        fuzz_ring(&s, &seed);
    }
    printf("OK %lu operations, %lu succeeded\n", nr, done);
    return xen_cow_end(s.x->xch, s.dom.domid) ? 1 : 0;
}
