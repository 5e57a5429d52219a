/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_CKPT_ABI_H
#define CKPT_XEN_CKPT_ABI_H
/*
 * The interface of the patched hypervisor, as hypervisor-patches/ adds it to
 * xen/include/public/ckpt.h: an own copy, so that one build of the library
 * runs on any Xen.  A struct xen_ckpt_op is the argument of a domctl; the
 * ring is a resource of the domain (XENMEM_acquire_resource, id 0).
 *
 * In the resource, by frame:
 *   0                struct xen_ckpt_ring
 *   1 ...            a descriptor, u64, per slot
 *   slot_frame ...   a page per slot
 *
 * Record n, counted from the cut, is in slot n % nr_slots.
 */
#include <stdint.h>

#define XEN_CKPT_ABI 2u
#define XEN_CKPT_DOMCTL 2000u
#define XEN_CKPT_RESOURCE 0x434bu

struct xen_ckpt_ring {
    /* Xen's. */
    uint64_t prod; /* records made since the cut */
    uint32_t stalled;
    uint32_t lost;
    /* Ours. */
    uint64_t cons; /* records done with */
    /* Xen's. */
    uint64_t eager; /* records made at the cut */
    uint64_t stalls;
    uint64_t paused_ns;
};

/* A descriptor is a frame number, and maybe one of these. */
#define XEN_CKPT_XEN_PAGE (UINT64_C(1) << 63) /* Xen shares it */
#define XEN_CKPT_ABSENT (UINT64_C(1) << 62)   /* gone, in an increment */
#define XEN_CKPT_ZERO (UINT64_C(1) << 61)     /* and not in the slot */
#define XEN_CKPT_FLAGS (XEN_CKPT_XEN_PAGE | XEN_CKPT_ABSENT | XEN_CKPT_ZERO)

#define XEN_CKPT_LOST_FULL 1u
#define XEN_CKPT_LOST_STALL 2u
#define XEN_CKPT_LOST_PAGE 3u

#define XEN_CKPT_OP_QUERY 0u
#define XEN_CKPT_OP_ATTACH 1u
#define XEN_CKPT_OP_PREPARE 2u
#define XEN_CKPT_OP_BEGIN 3u
#define XEN_CKPT_OP_COPY 4u
#define XEN_CKPT_OP_DETACH 5u

#define XEN_CKPT_INCREMENTAL (1u << 0)

struct xen_ckpt_op {
    uint32_t op;
    uint32_t abi;
    uint32_t flags;    /* begin */
    uint32_t nr_slots; /* attach */
    uint32_t stall_ms; /* attach */
    uint32_t nr_pages; /* copy */
    uint64_t gfn;      /* copy: from here on; in the answer, to be gone on */
    /* From here on Xen's answer; nr_frames 0: no ring. */
    uint32_t nr_frames;
    uint32_t slot_frame;
    uint32_t port; /* the domain's */
    uint32_t nr_listed;
    uint64_t nr_gfns;
    uint64_t nr_written;
    uint64_t epoch;
    uint64_t cookie[2]; /* begin, and the answer */
};

#endif
