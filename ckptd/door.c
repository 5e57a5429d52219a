/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The door's main: which domains there are, and whose event it is.  A token
 * is a letter and the domain's number ("r5"), so an event finds its domain
 * without a search; nothing of a path is trusted but that it is the very one
 * that we watch.
 *
 * When xenstored goes away we do too, and are started again when it is back:
 * then everything is looked at anew.  A live update of it keeps connections
 * and watches, and is not seen here.
 */
#include "door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"

#define EVENTS_A_TURN 64 /* then it is the parent's turn */
#define HEARTBEAT_S 5.   /* libxenstore does not tell of a lost connection */

void door_send(struct door *d, const struct wire *m)
{
    if (wire_send(d->parent_fd, m))
        ev_break(d->loop, EVBREAK_ALL);
}

/* --- domains ------------------------------------------------------------------- */

static void tell(struct doorway *w, bool is_present)
{
    struct wire m;

    wire_begin(&m, WIRE_DOMAIN);
    m.u.domain.domid = w->domid;
    m.u.domain.is_present = is_present;
    memcpy(m.u.domain.uuid, w->uuid, sizeof(m.u.domain.uuid));
    memcpy(m.u.domain.name, w->name, sizeof(m.u.domain.name));
    door_send(w->d, &m);
    w->is_told = is_present;
}

static void name_path(uint32_t domid, char path[XEN_STORE_PATH],
                      char token[XEN_STORE_TOKEN])
{
    snprintf(path, XEN_STORE_PATH, "/local/domain/%u/name", domid);
    snprintf(token, XEN_STORE_TOKEN, "n%u", domid);
}

static void forget(struct doorway *w)
{
    char path[XEN_STORE_PATH], token[XEN_STORE_TOKEN];

    name_path(w->domid, path, token);
    xen_store_unwatch(w->d->store, path, token);
    if (w->is_told)
        tell(w, false);
    w->d->by_domid[w->domid] = NULL;
    freeze_lost(w);
    doorway_free(w);
}

/* The name and UUID as they are now; both are dom0's to write. */
static int read_identity(struct doorway *w, char uuid[TEXT_UUID],
                         char name[TEXT_NAME])
{
    char path[XEN_STORE_PATH], value[XEN_STORE_VALUE + 1];
    size_t len;
    int rc;

    snprintf(path, sizeof(path), "/local/domain/%u/vm", w->domid);
    rc = xen_store_read(w->d->store, path, value, &len);
    if (rc)
        return rc;
    if (strncmp(value, "/vm/", 4) || strlen(value + 4) != TEXT_UUID - 1 ||
        has_control(value, '\0'))
        return -EINVAL;
    memcpy(uuid, value + 4, TEXT_UUID);
    snprintf(path, sizeof(path), "/local/domain/%u/name", w->domid);
    rc = xen_store_read(w->d->store, path, value, &len);
    if (rc)
        return rc;
    if (!len || len >= TEXT_NAME || has_control(value, '\0'))
        return -EINVAL;
    memcpy(name, value, len + 1);
    return 0;
}

/* Called for every event of its name (there, renamed, gone), and at the start. */
static void look_at(struct doorway *w)
{
    char uuid[TEXT_UUID], name[TEXT_NAME];
    int rc;

    rc = read_identity(w, uuid, name);
    if (rc == -ENOENT) {
        if (w->is_told)
            forget(w);
        return; /* not yet named: the next event */
    }
    if (rc) {
        log_bounded(&w->faults, LOG_WARNING, "domain %u: its identity: %s",
                    w->domid, strerror(-rc));
        return;
    }
    if (w->is_told && !strcmp(uuid, w->uuid) && !strcmp(name, w->name))
        return;
    memcpy(w->uuid, uuid, sizeof(uuid));
    snprintf(w->name, sizeof(w->name), "%s", name);
    tell(w, true);
}

static void meet(void *arg, uint32_t domid)
{
    char path[XEN_STORE_PATH], token[XEN_STORE_TOKEN];
    struct door *d = arg;
    struct doorway *w = d->by_domid[domid];

    if (!w) {
        w = calloc(1, sizeof(*w));
        if (!w)
            return;
        w->d = d;
        w->domid = domid;
        freeze_init(w);
        d->by_domid[domid] = w;
        if (domid >= d->last)
            d->last = domid + 1;
        /* Its first event comes by itself, and is the look at it. */
        name_path(domid, path, token);
        xen_store_watch(d->store, path, token);
    }
    w->is_seen = true;
}

static void scan(struct door *d)
{
    for (uint32_t i = 0; i < d->last; i++)
        if (d->by_domid[i])
            d->by_domid[i]->is_seen = false;
    if (xen_store_domains(d->store, meet, d))
        return;
    for (uint32_t i = 0; i < d->last; i++)
        if (d->by_domid[i] && !d->by_domid[i]->is_seen)
            forget(d->by_domid[i]);
}

/* --- events ----------------------------------------------------------------------- */

static struct doorway *find(struct door *d, uint32_t domid)
{
    return domid < DOOR_DOMIDS ? d->by_domid[domid] : NULL;
}

static void dispatch(struct door *d, const char *path, const char *token)
{
    struct doorway *w = find(d, (uint32_t)strtoul(token + 1, NULL, 10));

    if (token[0] == 'd')
        scan(d);
    else if (w && token[0] == 'n')
        look_at(w);
    else if (w && token[0] == 'r')
        doorway_event(w, path, false);
    else if (w && token[0] == 'q')
        doorway_event(w, path, true);
}

static void on_more(struct ev_loop *loop, ev_idle *idle, int events);

static void on_store(struct ev_loop *loop, ev_io *io, int events)
{
    char path[XEN_STORE_PATH], token[XEN_STORE_TOKEN];
    struct door *d = io->data;
    int rc = 1;

    (void)events;
    for (int i = 0; i < EVENTS_A_TURN && rc == 1; i++) {
        rc = xen_store_event(d->store, path, token);
        if (rc == 1)
            dispatch(d, path, token);
    }
    if (rc == 1) {
        /* The library may hold more while its descriptor says nothing. */
        ev_idle_start(loop, &d->more);
    } else {
        ev_idle_stop(loop, &d->more);
    }
    if (rc != 1 && rc != -EAGAIN) {
        log_msg(LOG_ERR, "xenstored is gone");
        ev_break(loop, EVBREAK_ALL);
    }
}

static void on_more(struct ev_loop *loop, ev_idle *idle, int events)
{
    struct door *d = idle->data;

    on_store(loop, &d->store_io, events);
}

static void on_heartbeat(struct ev_loop *loop, ev_timer *w, int events)
{
    char value[XEN_STORE_VALUE + 1];
    struct door *d = w->data;
    size_t len;
    int rc;

    (void)events;
    rc = xen_store_read(d->store, "/local/domain/0/domid", value, &len);
    if (rc && rc != -ENOENT && rc != -EACCES) {
        log_msg(LOG_ERR, "xenstored is gone: %s", strerror(-rc));
        ev_break(loop, EVBREAK_ALL);
    }
}

/* WIRE_FREEZE or WIRE_THAW.  Who froze is thawed, also with a door that was
 * closed meanwhile. */
static void on_freeze(struct door *d, struct doorway *w, const struct wire *m)
{
    const struct wire_freeze *f = &m->u.freeze;

    if (w && m->type == WIRE_THAW)
        freeze_end(w, f->job);
    else if (w && w->is_open)
        freeze_begin(w, f->job, f->deadline_ms);
    else
        freeze_tell(d, f->domid, f->job, -ENOENT);
}

static void on_parent(struct ev_loop *loop, ev_io *io, int events)
{
    struct door *d = io->data;
    static struct wire m;
    struct doorway *w;
    int rc;

    (void)events;
    while (!(rc = wire_recv(d->parent_fd, &m))) {
        /* the domain is the first word of all of these */
        w = find(d, m.u.door.domid);
        if (m.type == WIRE_DOOR && w) {
            rc = doorway_open(w, &m.u.door);
            if (rc)
                log_bounded(&w->faults, LOG_ERR,
                            "domain %u \"%s\": its subtree: %s", w->domid,
                            w->name, strerror(-rc));
        } else if (m.type == WIRE_ANSWER && w) {
            doorway_answer(w, &m.u.answer);
        } else if (m.type == WIRE_FREEZE || m.type == WIRE_THAW) {
            on_freeze(d, w, &m);
        }
    }
    if (rc != -EAGAIN)
        ev_break(loop, EVBREAK_ALL);
}

/* All that are here already, before we say that we are ready: whom we have not
 * told of then is gone. */
static void look_at_all(struct door *d)
{
    for (uint32_t i = 0; i < d->last; i++)
        if (d->by_domid[i])
            look_at(d->by_domid[i]);
}

static int start(struct door *d)
{
    int rc;

    rc = xen_store_watch(d->store, "@introduceDomain", "d+");
    if (!rc)
        rc = xen_store_watch(d->store, "@releaseDomain", "d-");
    if (rc)
        return rc;
    ev_io_init(&d->parent_io, on_parent, d->parent_fd, EV_READ);
    ev_io_init(&d->store_io, on_store, xen_store_fd(d->store), EV_READ);
    ev_idle_init(&d->more, on_more);
    ev_timer_init(&d->heartbeat, on_heartbeat, HEARTBEAT_S, HEARTBEAT_S);
    d->parent_io.data = d->store_io.data = d->more.data = d->heartbeat.data = d;
    ev_timer_start(d->loop, &d->heartbeat);
    ev_io_start(d->loop, &d->parent_io);
    ev_io_start(d->loop, &d->store_io);
    scan(d);
    look_at_all(d);
    return 0;
}

int door_main(const struct role_args *args)
{
    struct door *d = calloc(1, sizeof(*d));
    struct wire m;
    int rc;

    wire_begin(&m, WIRE_READY);
    role_begin("ckptd-door");
    d->parent_fd = ROLE_FD_PARENT;
    rc = xen_store_open(&d->store);
    if (rc) {
        log_msg(LOG_ERR,
                "cannot reach xenstored (%s): is it running, are we "
                "in dom0?",
                strerror(-rc));
        return 1;
    }
    rc = role_confine(args->user, args->run_dir);
    d->loop = ev_default_loop(EVFLAG_AUTO);
    if (!rc && d->loop)
        rc = start(d);
    if (rc || !d->loop) {
        log_msg(LOG_ERR, "cannot start: %s", strerror(-rc));
        return 1;
    }
    door_send(d, &m);
    ev_run(d->loop, 0);
    for (uint32_t i = 0; i < d->last; i++)
        if (d->by_domid[i])
            doorway_free(d->by_domid[i]);
    /* The connection ends with us: to close it would cancel a thread, for
     * which the C library wants a file that is out of reach in here. */
    _exit(0);
}
