/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_BUILD_H
#define CKPT_XEN_BUILD_H
/*
 * libxl's building and watching of domains, for the builder process only:
 * libxl forks, minds SIGCHLD, and can leak when it fails.
 */
#include <stddef.h>
#include <stdint.h>

/* From @config (JSON); @stream_fd -1 boots it.  Paused.  0 or -errno with
 * libxl's last complaint in @words. */
int xen_build(const char *config, int stream_fd, uint32_t *domid_out,
              char *words, size_t words_bytes);
int xen_build_destroy(uint32_t domid);

/* Waits for the domain's end and does what its configuration says of each:
 * destroy, restart, preserve, dump.  A suspend is none.  Returns when the
 * domain is gone, or kept as it died: 0 or -errno. */
int xen_watch(uint32_t domid);

#endif
