/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_CONFIG_H
#define CKPT_XEN_CONFIG_H
/*
 * A domain's configuration, in libxl's own JSON: read from the running domain,
 * kept in the checkpoint, changed for a copy.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xen;

struct xen_disk {
    char *vdev;    /* owned */
    char *target;  /* owned; "" for an empty drive */
    char *format;  /* owned; "raw", "qcow2", ...; "" when not known */
    bool readonly;
    bool cdrom;
    bool remote;   /* the backend is not in this domain */
    bool is_phy;   /* a block device served by blkback */
};

/* The configuration of @domid as libxl would create it again; owned. */
int xen_config_read(struct xen *x, uint32_t domid, char **json_out);

/* Its disks; *disks_out is owned, released with xen_disks_free(). */
int xen_config_disks(struct xen *x, const char *json,
                     struct xen_disk **disks_out, size_t *nr_out);
void xen_disks_free(struct xen_disk *disks, size_t nr);

/* -ENOTSUP, naming the device, when something of the domain cannot be in a
 * checkpoint: passed-through PCI or device-tree devices, USB controllers, …
 * Nothing has been touched. */
int xen_config_check(struct xen *x, const char *domain, const char *json);

/* -EEXIST, naming it, when a domain of this configuration cannot be built while
 * the one it replaces is there: a name or port of the host that has one owner. */
int xen_config_check_beside(struct xen *x, const char *json);
/* -ENOTSUP, naming it, when it has something of the host that a fork must not
 * have too.  What a fork gets one of its own instead is told as a warning. */
int xen_config_check_fork(struct xen *x, const char *json);

/* What makes a copy another machine; NULL members stay as they are.  A
 * generation id becomes another one with every copy. */
struct xen_identity {
    const char *name;
    bool fresh; /* new UUID, MACs; ports of its own */
    bool no_network; /* without its interfaces */
    /* Disk targets by vdev, both borrowed. */
    const char *const *vdevs;
    const char *const *targets;
    size_t nr_disks;
};
/* *json_out and uuid_out are filled. */
int xen_config_rewrite(struct xen *x, const char *json,
                       const struct xen_identity *id, char **json_out,
                       char uuid_out[37]);
/* @json_io, read when @domid was made ready, gets the size that it has by now, but
 * no less than lets a copy hold @nr_pages: a guest told to become smaller may not
 * have done it yet. */
int xen_config_resize(struct xen *x, uint32_t domid, uint64_t nr_pages,
                      char **json_io);
/* The memory a domain of this configuration may use, with Xen's overhead. */
int xen_config_memory(struct xen *x, const char *json, uint64_t *bytes_out);

#endif
