/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef GOLDEN_H
#define GOLDEN_H
/* A store as some version wrote it, kept as text in tests/golden/store:
 *
 *     file NAME LENGTH
 *     OFFSET BYTES         in hexadecimal; what is not told is zero
 *
 * Made anew below @dir, whose folders are made, too.  What goes wrong ends
 * the test. */
void golden_unpack(const char *hex, const char *dir);
#endif
