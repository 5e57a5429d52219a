/* SPDX-License-Identifier: LGPL-2.1-only */
#include "xen_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenstore.h>

/* libxenstore reads the connection that has watches in a thread of its own, and
 * each answer would wake that first: calls have theirs. */
struct xen_store {
    struct xs_handle *xsh, *events;
};

/* false, and errno, which is not always set */
static int result(bool ok)
{
    return ok ? 0 : errno ? -errno : -EIO;
}

int xen_store_open(struct xen_store **s_out)
{
    struct xen_store *s = calloc(1, sizeof(*s));
    int rc;

    *s_out = s;
    if (!s)
        return -ENOMEM;
    errno = 0;
    s->xsh = xs_open(0); /* NULL and errno */
    s->events = s->xsh ? xs_open(0) : NULL;
    if (s->events)
        return 0;
    rc = errno ? -errno : -EIO;
    xen_store_close(s);
    *s_out = NULL;
    return rc;
}

void xen_store_close(struct xen_store *s)
{
    if (!s)
        return;
    if (s->events)
        xs_close(s->events);
    if (s->xsh)
        xs_close(s->xsh);
    free(s);
}

int xen_store_fd(const struct xen_store *s)
{
    return xs_fileno(s->events);
}

int xen_store_event(struct xen_store *s, char path[XEN_STORE_PATH],
                    char token[XEN_STORE_TOKEN])
{
    char **event;

    errno = 0;
    event = xs_check_watch(s->events);
    if (!event)
        return errno == EAGAIN ? -EAGAIN : -EPIPE;
    snprintf(path, XEN_STORE_PATH, "%s", event[XS_WATCH_PATH]);
    snprintf(token, XEN_STORE_TOKEN, "%s", event[XS_WATCH_TOKEN]);
    free(event);
    return 1;
}

int xen_store_watch(struct xen_store *s, const char *path, const char *token)
{
    return result(xs_watch(s->events, path, token));
}

int xen_store_unwatch(struct xen_store *s, const char *path, const char *token)
{
    return result(xs_unwatch(s->events, path, token));
}

int xen_store_read(struct xen_store *s, const char *path,
                   char value[XEN_STORE_VALUE + 1], size_t *len_out)
{
    unsigned int len = 0;
    char *text;

    errno = 0;
    text = xs_read(s->xsh, XBT_NULL, path, &len); /* NULL and errno */
    if (!text)
        return errno ? -errno : -EIO;
    *len_out = len < XEN_STORE_VALUE ? len : XEN_STORE_VALUE;
    memcpy(value, text, *len_out);
    value[*len_out] = '\0';
    free(text);
    return 0;
}

int xen_store_write(struct xen_store *s, const char *path, const char *value)
{
    return result(
        xs_write(s->xsh, XBT_NULL, path, value, (unsigned)strlen(value)));
}

int xen_store_remove(struct xen_store *s, const char *path)
{
    return result(xs_rm(s->xsh, XBT_NULL, path));
}

int xen_store_make_readable(struct xen_store *s, const char *path,
                            uint32_t domid)
{
    struct xs_permissions perms[2] = {
        {.id = 0, .perms = XS_PERM_NONE},
        {.id = domid, .perms = XS_PERM_READ},
    };

    return result(xs_set_permissions(s->xsh, XBT_NULL, path, perms, 2));
}

int xen_store_make_theirs(struct xen_store *s, const char *path, uint32_t domid)
{
    struct xs_permissions perms[1] = {{.id = domid, .perms = XS_PERM_NONE}};

    return result(xs_set_permissions(s->xsh, XBT_NULL, path, perms, 1));
}

int xen_store_domains(struct xen_store *s,
                      void (*fn)(void *arg, uint32_t domid), void *arg)
{
    unsigned int nr = 0;
    char **names;

    errno = 0;
    names = xs_directory(s->xsh, XBT_NULL, "/local/domain", &nr);
    if (!names)
        return errno ? -errno : -EIO;
    for (unsigned int i = 0; i < nr; i++) {
        char *end;
        unsigned long id = strtoul(names[i], &end, 10);

        if (*names[i] && !*end && id > 0 && id < 32752)
            fn(arg, (uint32_t)id);
    }
    free(names);
    return 0;
}
