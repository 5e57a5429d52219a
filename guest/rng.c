/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Two copies of one guest have the same random numbers ahead of them.  The
 * birth is 128 random bits of dom0 that no twin has: it goes into the pool,
 * and the kernel is told to draw its key anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "guest.h"

int guest_reseed(struct guest *g)
{
    ssize_t n;
    int fd, rc;

    rc = guest_open(g);
    if (rc)
        return rc;
    fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : write(fd, g->birth, strlen(g->birth));
    /* Needs CAP_SYS_ADMIN; without it the next reseed is the kernel's own. */
    if (n > 0 && ioctl(fd, RNDRESEEDCRNG) < 0)
        n = -1;
    if (n < 0)
        fprintf(stderr, "ckpt-guest: /dev/urandom: %s\n", strerror(errno));
    if (fd >= 0)
        close(fd);
    return n < 0 ? EXIT_FAILED : EXIT_DONE;
}
