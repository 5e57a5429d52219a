/* SPDX-License-Identifier: LGPL-2.1-only */
/* Names of RBD images, taken apart and put together. */
#include "rbd_name.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ctx.h"
#include "disk_name.h"

#define SNAPSHOT_PREFIX "ckpt-"

static bool is_known(const char *option, size_t len)
{
    static const char *const known[] = {
        "id=", "conf=", "keyring=", "mon_host="};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const size_t key_len = strlen(known[i]);

        if (len > key_len && !strncmp(option, known[i], key_len))
            return true;
    }
    return false;
}

static int check_options(struct ckpt *c, const char *options)
{
    for (const char *s = options; *s;) {
        const size_t len = strcspn(++s, ":");

        if (!is_known(s, len))
            return fail(c, -EINVAL,
                        "rbd option %.*s: only id, conf, keyring and mon_host "
                        "(without a port) can be given here, the others in a "
                        "ceph.conf (conf=FILE).",
                        (int)len, s);
        s += len;
    }
    return 0;
}

/* What cannot be one word to another program, or has a meaning there. */
static bool is_word(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || *s == 0x7f || strchr("\\\"'", *s))
            return false;
    return true;
}

/* The next part of *text, which ends before one of @ends. */
static void take(const char **text, const char *ends, char out[RBD_TEXT_MAX])
{
    const size_t len = strcspn(*text, ends);

    memcpy(out, *text, len);
    out[len] = '\0';
    *text += len;
}

int rbd_name_read(struct ckpt *c, const char *text, struct rbd_name *out)
{
    const char *s = text;

    memset(out, 0, sizeof(*out));
    if (strlen(text) >= RBD_TEXT_MAX || !is_word(text))
        return fail(c, -EINVAL,
                    "rbd:%.80s: a name with blanks, quotes or \\, or a long "
                    "one, cannot be handled.",
                    text);
    take(&s, "/@:", out->pool);
    if (*s == '/') {
        s++;
        take(&s, "/@:", out->image);
    }
    if (*s == '/') {
        s++;
        memcpy(out->space, out->image, sizeof(out->space));
        take(&s, "/@:", out->image);
    }
    if (*s == '@') {
        s++;
        take(&s, "/@:", out->snapshot);
    }
    if (*s == ':')
        take(&s, "", out->options);
    if (*s || !out->pool[0] || !out->image[0] || !strcmp(out->space, "-"))
        return fail(c, -EINVAL,
                    "rbd:%s: not of the form POOL[/NAMESPACE]/IMAGE.", text);
    return check_options(c, out->options);
}

int rbd_name_write(struct ckpt *c, const struct rbd_name *n,
                   char out[RBD_TEXT_MAX])
{
    const int len = snprintf(
        out, RBD_TEXT_MAX, "%s%s%s/%s%s%s%s", n->pool, n->space[0] ? "/" : "",
        n->space, n->image, n->snapshot[0] ? "@" : "", n->snapshot, n->options);

    if (len < 0 || len >= RBD_TEXT_MAX)
        return fail(c, -ENAMETOOLONG, "%s/%s: a shorter name is needed",
                    n->pool, n->image);
    return 0;
}

int rbd_name_read_ours(struct ckpt *c, const char *text, struct rbd_name *out)
{
    const size_t len = strlen(SNAPSHOT_PREFIX);
    int rc = rbd_name_read(c, text, out);

    if (!rc &&
        (!disk_name_is_plain(out->image) ||
         strncmp(out->snapshot, SNAPSHOT_PREFIX, len) || !out->snapshot[len]))
        rc = fail(c, -EPERM, "%s is not named as a snapshot of ours.", text);
    return rc;
}
