/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Reads and makes the files of keys.  A key is never a word of a command line
 * or of the environment, where others would see it; a secret one whose file
 * others can read is refused, and is overwritten in memory after use.
 */
#include "archive_key.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "safe_io.h"

#define WORD "xen-ckpt-key"
#define LINE_MAX_BYTES 256u
#define VARIANT sodium_base64_VARIANT_ORIGINAL

_Static_assert(ARCHIVE_KEY_BYTES == crypto_box_SECRETKEYBYTES &&
                   ARCHIVE_KEY_BYTES == crypto_box_PUBLICKEYBYTES &&
                   ARCHIVE_KEY_BYTES == crypto_sign_SEEDBYTES &&
                   ARCHIVE_KEY_BYTES == crypto_sign_PUBLICKEYBYTES &&
                   ARCHIVE_KEY_BYTES == crypto_secretbox_KEYBYTES,
               "keys");

static const struct kind {
    const char *name;
    bool is_secret;
} kinds[ARCHIVE_KEY_NR] = {
    [ARCHIVE_KEY_SHARED] = {"shared", true},
    [ARCHIVE_KEY_READ_SECRET] = {"read-secret", true},
    [ARCHIVE_KEY_READ_PUBLIC] = {"read-public", false},
    [ARCHIVE_KEY_SIGN_SECRET] = {"sign-secret", true},
    [ARCHIVE_KEY_SIGN_PUBLIC] = {"sign-public", false},
};

int archive_key_init(struct ckpt *c)
{
    return sodium_init() < 0 ? fail(c, -EIO, "libsodium cannot be used here.")
                             : 0;
}

void archive_key_fini(struct archive_key *key)
{
    sodium_memzero(key, sizeof(*key));
}

void archive_key_text(const uint8_t bytes[ARCHIVE_KEY_BYTES],
                      char out[ARCHIVE_KEY_TEXT_MAX])
{
    sodium_bin2base64(out, ARCHIVE_KEY_TEXT_MAX, bytes, ARCHIVE_KEY_BYTES,
                      VARIANT);
}

/* --- reading --------------------------------------------------------------- */

static int parse(const char *line, struct archive_key *key_out)
{
    const char *end;
    size_t len;

    if (strncmp(line, WORD " ", sizeof(WORD)))
        return -EINVAL;
    line += sizeof(WORD);
    for (unsigned i = 0; i < ARCHIVE_KEY_NR; i++) {
        const size_t name_len = strlen(kinds[i].name);

        if (strncmp(line, kinds[i].name, name_len) || line[name_len] != ' ')
            continue;
        key_out->kind = (enum archive_key_kind)i;
        if (sodium_base642bin(key_out->bytes, sizeof(key_out->bytes),
                              line + name_len + 1, strlen(line) - name_len - 1,
                              NULL, &len, &end, VARIANT) ||
            len != ARCHIVE_KEY_BYTES || strcmp(end, "\n"))
            return -EINVAL;
        return 0;
    }
    return -EINVAL;
}

/* Looked at as the file that is open, so that it cannot be another. */
static int check_private(struct ckpt *c, int fd, const char *path)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return fail(c, -errno, "%s", path);
    if (st.st_uid != geteuid() || st.st_mode & (S_IRWXG | S_IRWXO))
        return fail(c, -EPERM,
                    "%s: a secret key, which others may read or change (chown "
                    "to yourself, chmod 600).",
                    path);
    return 0;
}

static int read_line(struct ckpt *c, int fd, const char *path,
                     char line[LINE_MAX_BYTES])
{
    struct stat st;
    size_t have = 0;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return fail(c, -errno, "%s", path);
    if (!S_ISREG(st.st_mode) || st.st_size >= (off_t)LINE_MAX_BYTES)
        return fail(c, -EINVAL, "%s: not a file of a key.", path);
    while (have < LINE_MAX_BYTES - 1 &&
           (n = read(fd, line + have, LINE_MAX_BYTES - 1 - have)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(c, -errno, "%s", path);
        have += (size_t)n;
    }
    line[have] = '\0';
    return 0;
}

/* "a shared or a read-public key" */
static int fail_kind(struct ckpt *c, const char *path,
                     enum archive_key_kind kind, unsigned wanted)
{
    char text[96] = "";
    size_t len = 0;

    for (unsigned i = 0; i < ARCHIVE_KEY_NR && len < sizeof(text); i++)
        if (wanted & 1u << i)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
                                    len ? " or " : "", kinds[i].name);
    return fail(c, -EINVAL, "%s: a %s key, where a %s one is needed.", path,
                kinds[kind].name, text);
}

int archive_key_read(struct ckpt *c, const char *path, unsigned wanted,
                     struct archive_key *key_out)
{
    char line[LINE_MAX_BYTES];
    int fd, rc;

    memset(key_out, 0, sizeof(*key_out));
    rc = archive_key_init(c);
    if (rc)
        return rc;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return fail(c, -errno, "%s", path);
    rc = read_line(c, fd, path, line);
    if (!rc && parse(line, key_out))
        rc = fail(c, -EINVAL, "%s: not a file of a key.", path);
    if (!rc && kinds[key_out->kind].is_secret)
        rc = check_private(c, fd, path);
    if (!rc && !(wanted & 1u << key_out->kind))
        rc = fail_kind(c, path, key_out->kind, wanted);
    sodium_memzero(line, sizeof(line));
    close(fd);
    if (rc)
        archive_key_fini(key_out);
    return rc;
}

/* --- making ---------------------------------------------------------------- */

static int write_key(struct ckpt *c, const char *path,
                     const struct archive_key *key)
{
    const struct kind *k = &kinds[key->kind];
    char line[LINE_MAX_BYTES], text[ARCHIVE_KEY_TEXT_MAX];
    int fd, rc;

    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
              k->is_secret ? 0600 : 0644);
    if (fd < 0)
        return fail(c, -errno, "%s", path);
    archive_key_text(key->bytes, text);
    snprintf(line, sizeof(line), WORD " %s %s\n", k->name, text);
    rc = safe_write_all(fd, line, strlen(line));
    if (!rc && fsync(fd) < 0)
        rc = -errno;
    if (close(fd) < 0 && !rc)
        rc = -errno;
    sodium_memzero(line, sizeof(line));
    sodium_memzero(text, sizeof(text));
    if (!rc)
        return 0;
    unlink(path);
    return fail(c, rc, "%s", path);
}

/* The public one first: without the other it is of no use, and no harm. */
static int write_pair(struct ckpt *c, const char *path,
                      const struct archive_key *secret,
                      const struct archive_key *public)
{
    char public_path[4096];
    int rc;

    if ((size_t)snprintf(public_path, sizeof(public_path), "%s.pub", path) >=
        sizeof(public_path))
        return fail(c, -ENAMETOOLONG, "%s", path);
    if (access(path, F_OK) == 0)
        return fail(c, -EEXIST, "%s", path);
    rc = write_key(c, public_path, public);
    if (rc)
        return rc;
    rc = write_key(c, path, secret);
    if (rc)
        unlink(public_path);
    return rc;
}

int ckpt_keygen(ckpt *c, enum ckpt_key kind, const char *path)
{
    struct archive_key secret, public;
    uint8_t expanded[crypto_sign_SECRETKEYBYTES];
    int rc;

    ctx_begin(c);
    rc = archive_key_init(c);
    if (rc)
        return rc;
    memset(&public, 0, sizeof(public));
    randombytes_buf(secret.bytes, sizeof(secret.bytes));
    switch (kind) {
    case CKPT_KEY_SHARED:
        secret.kind = ARCHIVE_KEY_SHARED;
        rc = write_key(c, path, &secret);
        break;
    case CKPT_KEY_READ:
        secret.kind = ARCHIVE_KEY_READ_SECRET;
        public.kind = ARCHIVE_KEY_READ_PUBLIC;
        crypto_scalarmult_base(public.bytes, secret.bytes);
        rc = write_pair(c, path, &secret, &public);
        break;
    case CKPT_KEY_SIGN:
        secret.kind = ARCHIVE_KEY_SIGN_SECRET;
        public.kind = ARCHIVE_KEY_SIGN_PUBLIC;
        crypto_sign_seed_keypair(public.bytes, expanded, secret.bytes);
        rc = write_pair(c, path, &secret, &public);
        break;
    default:
        rc = fail(c, -EINVAL, "A kind of key that is not known.");
    }
    archive_key_fini(&secret);
    sodium_memzero(expanded, sizeof(expanded));
    return rc;
}
