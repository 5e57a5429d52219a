/* SPDX-License-Identifier: LGPL-2.1-only */
/* The monitor of a running domain (watch.h), and of one just built. */
#include <fcntl.h>
#include <unistd.h>

#include "roles.h"
#include "safe_io.h"
#include "xen_build.h"

/* Whoever started us may wait for the end of our output. */
static void let_go_of_terminal(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return;
    dup2(fd, 0);
    dup2(fd, 1);
    dup2(fd, 2);
}

int watch_domain(uint32_t domid)
{
    let_go_of_terminal();
    return xen_watch(domid) ? 1 : 0;
}

int watch_role(int fd)
{
    uint32_t domid;

    if (role_detach() < 0 || safe_read_all(fd, &domid, sizeof(domid)))
        return 1;
    close(fd);
    return watch_domain(domid);
}
