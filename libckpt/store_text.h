/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STORE_TEXT_H
#define CKPT_STORE_TEXT_H
/* Small texts in files of their own, each with its checksum around it. */
#include "store_driver.h"

/* Owned by the caller; NULL: no memory. */
char *store_text_wrap(enum store_text what, const char *text);
/* Cuts the wrapping off in place.  NULL when sound, else what is wrong. */
const char *store_text_unwrap(enum store_text what, char *text,
                              size_t len_bytes);
#endif
