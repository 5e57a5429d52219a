/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_ARCHIVE_KEY_H
#define CKPT_ARCHIVE_KEY_H
/*
 * Keys of archives, in files of one line:
 *
 *     xen-ckpt-key KIND BASE64
 *
 * A secret one must belong to who runs us and be readable by nobody else.
 */
#include <stdint.h>

#include "ckpt.h"

#define ARCHIVE_KEY_BYTES 32u
enum archive_key_kind {
    ARCHIVE_KEY_SHARED,      /* encrypts and decrypts */
    ARCHIVE_KEY_READ_SECRET, /* X25519: decrypts */
    ARCHIVE_KEY_READ_PUBLIC, /* encrypts */
    ARCHIVE_KEY_SIGN_SECRET, /* Ed25519, the seed: signs */
    ARCHIVE_KEY_SIGN_PUBLIC, /* tells who signed */
    ARCHIVE_KEY_NR
};
struct archive_key {
    enum archive_key_kind kind;
    uint8_t bytes[ARCHIVE_KEY_BYTES];
};

/* Loads libsodium; -EIO when it cannot work here. */
int archive_key_init(struct ckpt *c);
/* Reads @path; -EINVAL unless its kind is one of @kinds, a bit each.  To be
 * given back with archive_key_fini(). */
int archive_key_read(struct ckpt *c, const char *path, unsigned kinds,
                     struct archive_key *key_out);
/* Overwrites it. */
void archive_key_fini(struct archive_key *key);
/* As it stands in a file of a public key. */
#define ARCHIVE_KEY_TEXT_MAX 64u
void archive_key_text(const uint8_t bytes[ARCHIVE_KEY_BYTES],
                      char out[ARCHIVE_KEY_TEXT_MAX]);

#endif
