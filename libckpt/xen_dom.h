/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_DOM_H
#define CKPT_XEN_DOM_H
/*
 * A domain as the control stack sees it.  This and the other xen_*.h are the
 * border: no Xen type appears in them, and only xen_*.c include Xen headers,
 * for libxenctrl and libxenlight change their ABI with every release.  Foreign
 * conventions (-1/errno, NULL, ERROR_*) become -errno on this side of it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ckpt;
struct xen; /* connections to the hypervisor, xenstore and libxl */

enum xen_type { XEN_TYPE_PV, XEN_TYPE_PVH, XEN_TYPE_HVM };

struct xen_dom {
    uint32_t domid;
    enum xen_type type;
    char *name; /* owned */
    char uuid[37];
    bool paused;           /* by the administrator */
    unsigned nr_vcpus;
    uint64_t memory_bytes; /* populated now */
};

/* All connections at once; the words of a failure are in @c. */
int xen_open(struct ckpt *c, struct xen **x_out);
void xen_close(struct xen *x); /* NULL is fine */

/* By name, or by decimal id.  -ENOENT: no such domain; dom0 and dying or
 * shut down domains are refused with -EINVAL. */
int xen_dom_find(struct xen *x, const char *word, struct xen_dom *dom_out);
void xen_dom_fini(struct xen_dom *dom);
/* Some time later: -ESTALE when it runs no more; @dom->paused is as it is now. */
int xen_dom_again(struct xen *x, struct xen_dom *dom);
/* -EEXIST when a domain is called @name; 0 when the name is free. */
int xen_name_free(struct xen *x, const char *name);
/* -EEXIST when a domain has @uuid, under whatever name and in whatever state. */
int xen_uuid_free(struct xen *x, const char *uuid);
/* "pv", "pvh", "hvm". */
const char *xen_type_name(enum xen_type type);

/* A domain is looked at before it is cut: -ESTALE when by then it is not the same
 * in devices and name.  The stamp is owned, also after a failure. */
struct xen_stamp;
int xen_stamp_take(struct xen *x, const struct xen_dom *dom,
                   struct xen_stamp **stamp_out);
int xen_stamp_check(struct xen *x, const struct xen_dom *dom,
                    const struct xen_stamp *stamp);
void xen_stamp_free(struct xen_stamp *stamp); /* NULL is fine */

/* Xen counts pauses: make pairs. */
int xen_pause(struct xen *x, uint32_t domid);
int xen_unpause(struct xen *x, uint32_t domid);
int xen_rename(struct xen *x, uint32_t domid, const char *from,
               const char *to);
int xen_destroy(struct xen *x, uint32_t domid);

/* "4.17.7". Static storage of @x. */
const char *xen_version(const struct xen *x);
/* Memory Xen could give a new domain now. */
int xen_free_bytes(struct xen *x, uint64_t *bytes_out);

/* Saves and brings back the xenstore folder /vm/UUID, which libxl removes
 * with any domain of that UUID, also while another one lives.  Owned. */
struct xen_vm_node;
int xen_vm_node_save(struct xen *x, const char *uuid,
                     struct xen_vm_node **node_out);
int xen_vm_node_write(struct xen *x, const struct xen_vm_node *node);
void xen_vm_node_free(struct xen_vm_node *node);

/*
 * xl's own background process for a domain leaves when it sees the domain
 * suspend, also when it goes on a moment later (xl_vmcontrol.c, reason
 * SUSPEND).  Its pid, and a descriptor that polls readable once it has left; 0
 * and -1 when there is none.
 */
pid_t xen_monitor(struct xen *x, const struct xen_dom *dom, int *pidfd_out);

#endif
