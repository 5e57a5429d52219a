/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Domains: found, paused, renamed, destroyed.  Names and ids are resolved by
 * libxl, states are read from the hypervisor.
 */
#include "xen_dom.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "xen_private.h"

const char *xen_type_name(enum xen_type type)
{
    static const char *const names[] = {
        [XEN_TYPE_PV] = "pv",
        [XEN_TYPE_PVH] = "pvh",
        [XEN_TYPE_HVM] = "hvm",
    };

    return names[type];
}

static int find_domid(struct xen *x, const char *word, uint32_t *domid_out)
{
    char *end;
    unsigned long id;

    if (!libxl_name_to_domid(x->ctx, word, domid_out)) /* 0 or ERROR_* */
        return 0;
    id = isdigit((unsigned char)word[0]) ? strtoul(word, &end, 10) : ~0UL;
    if (id > DOMID_FIRST_RESERVED || *end)
        return fail(x->c, -ENOENT,
                    "there is no domain \"%s\" (xl list shows them).", word);
    *domid_out = (uint32_t)id;
    return 0;
}

/* libxl_dominfo knows PVH only as HVM; libxl's own record tells them apart. */
static int read_type(struct xen *x, struct xen_dom *dom)
{
    static const enum xen_type types[] = { XEN_TYPE_PV, XEN_TYPE_PVH,
                                           XEN_TYPE_HVM };
    unsigned i, len;
    char path[64];
    char *type;

    snprintf(path, sizeof(path), "/libxl/%u/type", dom->domid);
    type = xs_read(x->xsh, XBT_NULL, path, &len);
    for (i = 0; type && i < sizeof(types) / sizeof(types[0]); i++)
        if (!strcmp(type, xen_type_name(types[i])))
            break;
    free(type);
    if (!type || i == sizeof(types) / sizeof(types[0]))
        return fail(x->c, -ENOTSUP,
                    "domain %u was not made by libxl: its type is unknown.",
                    dom->domid);
    dom->type = types[i];
    return 0;
}

static int read_state(struct xen *x, const char *word, struct xen_dom *dom)
{
    libxl_dominfo info;
    int rc;

    if (dom->domid == 0)
        return fail(x->c, -EINVAL,
                    "domain 0 is the control domain itself: it cannot be "
                    "checkpointed.");
    libxl_dominfo_init(&info);
    /* 0, or ERROR_DOMAIN_NOTFOUND, or another ERROR_* */
    if (libxl_domain_info(x->ctx, &info, dom->domid)) {
        rc = fail(x->c, -ENOENT,
                  "there is no domain \"%s\" (xl list shows them).", word);
        goto out;
    }
    if (info.dying) {
        rc = fail(x->c, -EINVAL, "domain \"%s\" is being destroyed.", word);
        goto out;
    }
    if (info.shutdown) {
        rc = fail(x->c, -EINVAL,
                  "domain \"%s\" is shut down or suspended: nothing is "
                  "running there.",
                  word);
        goto out;
    }
    dom->paused = info.paused;
    dom->nr_vcpus = info.vcpu_max_id + 1;
    dom->memory_bytes = info.current_memkb * 1024;
    snprintf(dom->uuid, sizeof(dom->uuid), LIBXL_UUID_FMT,
             LIBXL_UUID_BYTES(info.uuid));
    rc = read_type(x, dom);
out:
    libxl_dominfo_dispose(&info);
    return rc;
}

int xen_dom_find(struct xen *x, const char *word, struct xen_dom *dom_out)
{
    struct xen_dom dom = { 0 };
    int rc;

    rc = find_domid(x, word, &dom.domid);
    if (rc)
        goto out;
    rc = read_state(x, word, &dom);
    if (rc)
        goto out;
    dom.name = libxl_domid_to_name(x->ctx, dom.domid);
    if (!dom.name)
        rc = fail(x->c, -ENOENT, "domain %u has no name in xenstore",
                  dom.domid);
out:
    if (rc)
        xen_dom_fini(&dom);
    *dom_out = dom;
    return rc;
}

bool xen_domain_info(xc_interface *xch, uint32_t domid,
                     xc_domaininfo_t *info_out)
{
    /* the number of domains found, or -1 and errno */
    return xc_domain_getinfolist(xch, domid, 1, info_out) == 1 &&
           info_out->domain == domid;
}

int xen_dom_again(struct xen *x, struct xen_dom *dom)
{
    xc_domaininfo_t info;

    if (!xen_domain_info(x->xch, dom->domid, &info) ||
        info.flags & (XEN_DOMINF_dying | XEN_DOMINF_shutdown))
        return fail(x->c, -ESTALE, "domain \"%s\" does not run any more.",
                    dom->name);
    dom->paused = info.flags & XEN_DOMINF_paused;
    return 0;
}

void xen_dom_fini(struct xen_dom *dom)
{
    free(dom->name);
    memset(dom, 0, sizeof(*dom));
}

int xen_name_free(struct xen *x, const char *name)
{
    uint32_t domid;

    if (libxl_name_to_domid(x->ctx, name, &domid))
        return 0;
    return fail(x->c, -EEXIST, "a domain called \"%s\" is running (id %u).",
                name, domid);
}

static int uuid_taken(struct xen *x, uint32_t domid)
{
    char *name = libxl_domid_to_name(x->ctx, domid); /* NULL: it is half gone */
    int rc;

    rc = fail(x->c, -EEXIST,
              "the domain is there under another name: \"%s\" (id %u). Say that "
              "one.",
              name ? name : "(none)", domid);
    free(name);
    return rc;
}

int xen_uuid_free(struct xen *x, const char *uuid)
{
    libxl_dominfo *list;
    char text[37];
    int i, nr, rc = 0;

    list = libxl_list_domain(x->ctx, &nr); /* NULL on failure */
    if (!list)
        return fail(x->c, -EIO, "asking Xen which domains there are");
    for (i = 0; i < nr && !rc; i++) {
        snprintf(text, sizeof(text), LIBXL_UUID_FMT,
                 LIBXL_UUID_BYTES(list[i].uuid));
        if (!strcasecmp(text, uuid))
            rc = uuid_taken(x, list[i].domid);
    }
    libxl_dominfo_list_free(list, nr);
    return rc;
}

int xen_pause(struct xen *x, uint32_t domid)
{
    if (xc_domain_pause(x->xch, domid)) /* -1 with errno */
        return fail(x->c, -errno, "domain %u: cannot pause it", domid);
    return 0;
}

int xen_unpause(struct xen *x, uint32_t domid)
{
    if (xc_domain_unpause(x->xch, domid))
        return fail(x->c, -errno,
                    "domain %u: cannot unpause it (try: xl unpause %u)", domid,
                    domid);
    return 0;
}

int xen_rename(struct xen *x, uint32_t domid, const char *from, const char *to)
{
    if (libxl_domain_rename(x->ctx, domid, from, to)) /* 0 or ERROR_* */
        return fail(x->c, -EIO, "domain %u: cannot rename it to \"%s\" (%s).",
                    domid, to, xen_words(x));
    return 0;
}

/* A pidfd of its device model; -1: it has none. */
static int model_of(struct xen *x, uint32_t domid)
{
    char path[64], *pid;
    int fd = -1;

    snprintf(path, sizeof(path), "/local/domain/%u/image/device-model-pid",
             domid);
    pid = xs_read(x->xsh, XBT_NULL, path, NULL);
    if (pid && atoi(pid) > 0)
        fd = pidfd_open(atoi(pid), 0);
    free(pid);
    return fd;
}

#define MODEL_END_MS 30000 /* it may have to bring the disks' last writes out */

/* libxl asks a device model to end, and does not wait for it: until then the
 * host's ports, sockets and images are in its hands. */
int xen_destroy(struct xen *x, uint32_t domid)
{
    struct pollfd model = {.fd = model_of(x, domid), .events = POLLIN};
    int rc = 0;

    if (libxl_domain_destroy(x->ctx, domid, NULL))
        rc = fail(x->c, -EIO,
                  "domain %u: cannot destroy it (%s); try: xl destroy %u.",
                  domid, xen_words(x), domid);
    else if (model.fd >= 0 && poll(&model, 1, MODEL_END_MS) == 0)
        warn(x->c, "domain %u: its device model does not end", domid);
    if (model.fd >= 0)
        close(model.fd);
    return rc;
}

int xen_free_bytes(struct xen *x, uint64_t *bytes_out)
{
    libxl_physinfo info;
    int rc = 0;

    libxl_physinfo_init(&info);
    if (libxl_get_physinfo(x->ctx, &info)) {
        rc = fail(x->c, -EIO, "asking Xen for its free memory (%s)",
                  xen_words(x));
        goto out;
    }
    *bytes_out = (info.free_pages + info.scrub_pages) * XC_PAGE_SIZE;
    if (*bytes_out > info.outstanding_pages * XC_PAGE_SIZE)
        *bytes_out -= info.outstanding_pages * XC_PAGE_SIZE;
    else
        *bytes_out = 0;
out:
    libxl_physinfo_dispose(&info);
    return rc;
}

/* xl's background process has its log, /var/log/xen/xl-NAME.log, as stdout:
 * NAME, or "" of another process.  It is the name of the domain's creation. */
static void monitored_name(int proc, const char *pid, char name_out[256])
{
    static const char head[] = "/var/log/xen/xl-", tail[] = ".log";
    const size_t head_len = sizeof(head) - 1, tail_len = sizeof(tail) - 1;
    char path[64], target[256];
    ssize_t n;

    name_out[0] = '\0';
    snprintf(path, sizeof(path), "%.16s/fd/1", pid);
    n = readlinkat(proc, path, target, sizeof(target) - 1);
    if (n <= (ssize_t)(head_len + tail_len) || strncmp(target, head, head_len))
        return;
    target[n] = '\0';
    if (strcmp(target + n - tail_len, tail))
        return;
    target[(size_t)n - tail_len] = '\0';
    memcpy(name_out, target + head_len, (size_t)n - tail_len - head_len + 1);
}

/*
 * Nothing of a monitor tells the domid, and after xl rename its log has a name
 * that is no domain's.  One such process alone may be this domain's.  That it
 * is, is seen when it leaves with the domain's suspend: ours is started then
 * and not otherwise, so there are never two.  Of several, none is taken.
 */
pid_t xen_monitor(struct xen *x, const struct xen_dom *dom, int *pidfd_out)
{
    int pid = 0, renamed = 0, nr_renamed = 0;
    char name[256];
    struct dirent *e;
    uint32_t domid;
    DIR *dir;

    *pidfd_out = -1;
    dir = opendir("/proc");
    if (!dir)
        return 0;
    while (!pid && (e = readdir(dir))) {
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        monitored_name(dirfd(dir), e->d_name, name);
        if (!strcmp(name, dom->name)) {
            pid = atoi(e->d_name);
        } else if (name[0] && libxl_name_to_domid(x->ctx, name, &domid)) {
            renamed = atoi(e->d_name);
            nr_renamed++;
        }
    }
    closedir(dir);
    if (!pid && nr_renamed == 1)
        pid = renamed;
    if (pid)
        *pidfd_out = (int)syscall(SYS_pidfd_open, pid, 0);
    return *pidfd_out < 0 ? 0 : pid;
}
