/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_LISTEN_H
#define CKPTD_LISTEN_H
/* Sockets that must be made with the parent's rights.  Each is a descriptor,
 * or -errno with its words in the log. */
int listen_unix(const char *path);
/* "unix:/path", "127.0.0.1:9814", "[::1]:9814"; loopback addresses only. */
int listen_metrics(const char *where);
#endif
