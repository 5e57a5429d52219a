/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef WITNESS_DOMAIN_H
#define WITNESS_DOMAIN_H
/*
 * The memory of a live domain, seen from dom0.  domain.c is the only file of
 * the workload that includes Xen headers.  Results: 0 or -errno.
 */
#include <stdbool.h>
#include <stdint.h>

struct domain;

/* *d_out is owned by the caller and released with domain_close(). */
int domain_open(uint32_t domid, struct domain **d_out);
void domain_close(struct domain *d);

/* False once the domain is destroyed, or about to be. */
bool domain_is_there(struct domain *d);

/* One page, readable until domain_unmap(). */
int domain_map(struct domain *d, uint64_t gfn, const void **page_out);
void domain_unmap(struct domain *d, const void *page);

/* Calls @see with the pages the domain has, lowest first, mapped for the call
 * (but for a few lone ones in the void; see domain.c).  A result other than 0 ends the walk and is returned. */
int domain_walk(struct domain *d,
                int (*see)(void *arg, uint64_t gfn, const void *page),
                void *arg);

#endif
