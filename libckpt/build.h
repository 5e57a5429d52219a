/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_BUILD_H
#define CKPT_BUILD_H
/*
 * A new domain out of an image.  libxl does it, in a process of its own: a
 * build that fails makes libxl leak mappings and temporary files (XSA-160),
 * and the process that built a domain stays behind as its monitor, as xl's
 * does (on_poweroff, on_reboot, on_crash).
 *
 * The domain is ours until build_keep(): when the builder's control socket
 * closes before, by build_abort() or because we died, it destroys the domain.
 */
#include <stdint.h>

struct ckpt;
struct image;
struct build;

/* From @config (libxl's JSON) and @img; NULL @img boots it afresh.  The
 * domain is left paused.  -ENOMEM when Xen has too little memory. */
int build_start(struct ckpt *c, const char *config, struct image *img,
                struct build **b_out, uint32_t *domid_out);
/* The domain is to stay; the builder becomes its monitor.  Frees @b. */
int build_keep(struct ckpt *c, struct build *b);
/* Destroys it, and waits until that is done.  Frees @b; NULL is fine. */
void build_abort(struct build *b);

#endif
