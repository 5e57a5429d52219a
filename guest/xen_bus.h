/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef GUEST_XEN_BUS_H
#define GUEST_XEN_BUS_H
/*
 * xenstore from inside of a guest, by its device: no library, for this runs
 * where there is none.  Paths without a slash in front begin at the guest's
 * home, whatever its number is, and so outlive a fork.
 */
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#define BUS_VALUE_MAX 4096

struct bus {
    int fd;
    bool has_event; /* one came while we waited for a reply */
};

/* @path: NULL for the device; a socket speaks the same.  0 or -errno. */
int bus_open(struct bus *b, const char *path);
void bus_close(struct bus *b);
/* The value and a NUL into @value; -ENOENT: no such node. */
int bus_read(struct bus *b, const char *path, char value[BUS_VALUE_MAX + 1]);
int bus_write(struct bus *b, const char *path, const char *value);
/* Fires once right away, then whenever the node or one below it changes, and
 * after a resume as another domain. */
int bus_watch(struct bus *b, const char *path);
/* Waits for any watch: 0, -ETIMEDOUT, -EINTR on a signal, -errno.
 * @timeout_ms < 0: for ever.  @mask: the signals that are blocked meanwhile,
 * NULL: those that are. */
int bus_wait(struct bus *b, int timeout_ms, const sigset_t *mask);

#endif
