/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_XEN_NAMES_H
#define XL_XEN_NAMES_H
/* Calls @fn with the name of every domain but dom0, as xenstore has them.
 * For completion: 0 or -errno, no words. */
int xen_names(void (*fn)(void *arg, const char *name), void *arg);
#endif
