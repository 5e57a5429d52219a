/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_ARCHIVE_CONFIG_H
#define CKPT_ARCHIVE_CONFIG_H
/* A domain's configuration, for disks that are elsewhere now. */
#include <stddef.h>

struct ckpt;
struct place;

/*
 * libxl's JSON @config, with the disks of @places (those left out apart) where
 * they are now: their targets and formats; how they are served is libxl's to
 * choose anew.  All else is as it was.  *config_out is owned.  -EUCLEAN: it is
 * no configuration, or has not all of them.
 */
int archive_config(struct ckpt *c, const char *config,
                   const struct place *places, size_t nr, char **config_out);

#endif
