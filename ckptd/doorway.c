/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The subtree of one domain, below its home:
 *
 *   control/feature-ckpt           "1"             dom0's; written last
 *   control/ckpt/version           "1"
 *   control/ckpt/allow             "checkpoint fork"
 *   control/ckpt/birth             random, the same for this domain's life
 *   control/ckpt/origin            "", "fork 2", "rollback"
 *   control/ckpt/state             "idle ID", "busy ID"
 *   control/ckpt/result            "ID ok checkpoint 0123456789abcdef"
 *   control/ckpt/quiesce           "N freeze MS", "N thaw"
 *   control/ckpt/request           the guest's
 *   control/ckpt/quiesce-ack       the guest's
 *   control/ckpt/feature-quiesce   the guest's
 *
 * A write of the guest costs us one event; up to DOOR_EVENTS_MAX a second
 * also one read of one node.  Beyond that its request is not watched for a
 * time that doubles with each offence, so that the flood ends in xenstored.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "door.h"
#include "door_request.h"

void doorway_path(const struct doorway *w, const char *name,
                  char path[XEN_STORE_PATH])
{
    snprintf(path, XEN_STORE_PATH, "/local/domain/%u/control/%s", w->domid,
             name);
}

static void request_token(const struct doorway *w, char token[XEN_STORE_TOKEN])
{
    snprintf(token, XEN_STORE_TOKEN, "r%u", w->domid);
}

/* --- making it --------------------------------------------------------------- */

/* What it may read already. */
static int change(struct doorway *w, const char *name, const char *value)
{
    char path[XEN_STORE_PATH];

    doorway_path(w, name, path);
    return xen_store_write(w->d->store, path, value);
}

int doorway_put(struct doorway *w, const char *name, const char *value)
{
    char path[XEN_STORE_PATH];
    int rc;

    doorway_path(w, name, path);
    rc = change(w, name, value);
    return rc ? rc : xen_store_make_readable(w->d->store, path, w->domid);
}

/* Empty, unless the guest has written there before. */
static int put_theirs(struct doorway *w, const char *name)
{
    char path[XEN_STORE_PATH], value[XEN_STORE_VALUE + 1];
    size_t len;
    int rc;

    doorway_path(w, name, path);
    rc = xen_store_read(w->d->store, path, value, &len);
    if (rc == -ENOENT)
        rc = xen_store_write(w->d->store, path, "");
    return rc ? rc : xen_store_make_theirs(w->d->store, path, w->domid);
}

static int put_allow(struct doorway *w)
{
    char words[64] = "";

    for (unsigned n = 0; policy_request_name(n); n++)
        if (w->requests & 1u << n)
            snprintf(words + strlen(words), sizeof(words) - strlen(words),
                     "%s%s", words[0] ? " " : "", policy_request_name(n));
    return doorway_put(w, "ckpt/allow", words);
}

/* Once in the life of a domain, whoever of us is started anew. */
static int put_birth(struct doorway *w, const char *origin)
{
    char path[XEN_STORE_PATH], value[XEN_STORE_VALUE + 1], birth[33];
    uint64_t number[2];
    size_t len;
    int rc;

    doorway_path(w, "ckpt/birth", path);
    rc = xen_store_read(w->d->store, path, value, &len);
    if (rc != -ENOENT)
        return rc;
    if (getrandom(number, sizeof(number), 0) != sizeof(number))
        return -errno;
    snprintf(birth, sizeof(birth), "%016llx%016llx",
             (unsigned long long)number[0], (unsigned long long)number[1]);
    rc = doorway_put(w, "ckpt/origin", origin);
    return rc ? rc : doorway_put(w, "ckpt/birth", birth);
}

/* Up to the first space; "" when there is no such node. */
static int read_id(struct doorway *w, const char *name, char id[24])
{
    char path[XEN_STORE_PATH], value[XEN_STORE_VALUE + 1];
    size_t len;
    int rc;

    doorway_path(w, name, path);
    rc = xen_store_read(w->d->store, path, value, &len);
    snprintf(id, 24, "%.*s", rc ? 0 : (int)strcspn(value, " "), value);
    return rc == -ENOENT ? 0 : rc;
}

/* A request that was refused while another was under way is in no state, but
 * its answer is still there.  One that was accepted while nobody could write
 * that is known to the parent alone. */
static int resume_last(struct doorway *w, const char *busy_id)
{
    char asked[24], answered[24];
    int rc;

    rc = read_id(w, "ckpt/request", asked);
    if (!rc)
        rc = read_id(w, "ckpt/result", answered);
    if (rc || !asked[0])
        return rc;
    if (!strcmp(asked, answered)) {
        memcpy(w->last_id, asked, sizeof(w->last_id));
    } else if (!strcmp(asked, busy_id) && strcmp(asked, w->last_id)) {
        memcpy(w->last_id, asked, sizeof(w->last_id));
        memcpy(w->busy_id, asked, sizeof(w->busy_id));
    }
    return 0;
}

/* What was dealt with before we were started: not to be done twice, and not
 * to be waited for for ever. */
static int resume_state(struct doorway *w, const char *busy_id)
{
    char path[XEN_STORE_PATH], value[XEN_STORE_VALUE + 1], text[64], id[24];
    size_t len;
    int rc;

    doorway_path(w, "ckpt/state", path);
    rc = xen_store_read(w->d->store, path, value, &len);
    if (rc == -ENOENT)
        return doorway_put(w, "ckpt/state", "idle") ?: doorway_put(w, "ckpt/result", "");
    if (rc || len < 4 || len > DOOR_TEXT_MAX)
        return rc;
    snprintf(id, sizeof(id), "%.23s", value + 4 + (value[4] == ' '));
    memcpy(w->last_id, id, sizeof(id));
    rc = resume_last(w, busy_id);
    if (rc)
        return rc;
    if (w->busy_id[0]) {
        snprintf(text, sizeof(text), "busy %s", w->busy_id);
        return doorway_put(w, "ckpt/state", text);
    }
    if (strncmp(value, "busy ", 5))
        return 0;
    if (!strcmp(busy_id, id)) {
        memcpy(w->busy_id, id, sizeof(id));
        return 0;
    }
    snprintf(text, sizeof(text), "%s failed interrupted", id);
    rc = doorway_put(w, "ckpt/result", text);
    snprintf(text, sizeof(text), "idle %s", w->last_id);
    return rc ? rc : doorway_put(w, "ckpt/state", text);
}

/* Also one that an earlier daemon has left, by another policy. */
static bool has_subtree(struct doorway *w)
{
    char path[XEN_STORE_PATH], value[XEN_STORE_VALUE + 1];
    size_t len;

    doorway_path(w, "feature-ckpt", path);
    return w->is_open || !xen_store_read(w->d->store, path, value, &len);
}

int doorway_open(struct doorway *w, const struct wire_door *m)
{
    char path[XEN_STORE_PATH], token[XEN_STORE_TOKEN];
    const bool was_open = w->is_open;
    int rc;

    w->requests = m->requests;
    if (!m->requests) {
        if (has_subtree(w))
            doorway_close(w);
        return 0;
    }
    rc = doorway_put(w, "ckpt", "");
    if (!rc)
        rc = doorway_put(w, "ckpt/version", "1");
    if (!rc)
        rc = put_allow(w);
    if (!rc)
        rc = put_birth(w, m->origin);
    if (!rc && !was_open)
        rc = resume_state(w, m->busy_id);
    if (!rc)
        rc = put_theirs(w, "ckpt/request");
    if (!rc)
        rc = put_theirs(w, "ckpt/quiesce-ack");
    if (!rc)
        rc = put_theirs(w, "ckpt/feature-quiesce");
    if (!rc && !was_open)
        freeze_forget(w);
    if (!rc)
        rc = doorway_put(w, "feature-ckpt", "1");
    if (!rc && !was_open) {
        doorway_path(w, "ckpt/request", path);
        request_token(w, token);
        rc = xen_store_watch(w->d->store, path, token);
        w->is_muted = false;
    }
    w->is_open = !rc;
    return rc;
}

/* All but who the guest is: with another birth it would take itself for a
 * copy when the door is opened again. */
void doorway_close(struct doorway *w)
{
    static const char *const nodes[] = {
        "feature-ckpt", "ckpt/version",     "ckpt/allow",
        "ckpt/state",   "ckpt/result",      "ckpt/quiesce",
        "ckpt/request", "ckpt/quiesce-ack", "ckpt/feature-quiesce"};
    char path[XEN_STORE_PATH], token[XEN_STORE_TOKEN];

    freeze_gone(w);
    doorway_path(w, "ckpt/request", path);
    request_token(w, token);
    if (!w->is_muted)
        xen_store_unwatch(w->d->store, path, token);
    ev_timer_stop(w->d->loop, &w->unmute);
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        doorway_path(w, nodes[i], path);
        xen_store_remove(w->d->store, path);
    }
    w->is_open = w->is_muted = false;
}

void doorway_free(struct doorway *w)
{
    char path[XEN_STORE_PATH], token[XEN_STORE_TOKEN];

    ev_timer_stop(w->d->loop, &w->unmute);
    ev_timer_stop(w->d->loop, &w->freeze_limit);
    if (w->is_open && !w->is_muted) {
        doorway_path(w, "ckpt/request", path);
        request_token(w, token);
        xen_store_unwatch(w->d->store, path, token);
    }
    free(w);
}

/* --- what it writes ------------------------------------------------------------ */

static void on_unmute(struct ev_loop *loop, ev_timer *t, int events)
{
    char path[XEN_STORE_PATH], token[XEN_STORE_TOKEN];
    struct doorway *w = t->data;

    (void)events;
    w->is_muted = false;
    w->window = ev_now(loop);
    w->nr_events = 0;
    doorway_path(w, "ckpt/request", path);
    request_token(w, token);
    /* Fires at once: the last request of the flood is looked at. */
    xen_store_watch(w->d->store, path, token);
    freeze_ack(w);
}

static void mute(struct doorway *w)
{
    char path[XEN_STORE_PATH], token[XEN_STORE_TOKEN];
    double now = ev_now(w->d->loop);

    doorway_path(w, "ckpt/request", path);
    request_token(w, token);
    xen_store_unwatch(w->d->store, path, token);
    /* Who behaved for a minute begins anew. */
    w->mute_s = w->mute_s > 0. && now - w->window < 60. + w->mute_s
                    ? w->mute_s * 2
                    : DOOR_MUTE_MIN_S;
    if (w->mute_s > DOOR_MUTE_MAX_S)
        w->mute_s = DOOR_MUTE_MAX_S;
    w->is_muted = true;
    log_bounded(&w->faults, LOG_WARNING,
                "domain %u \"%s\" floods its door: not listened to for %.0f s",
                w->domid, w->name, w->mute_s);
    ev_timer_init(&w->unmute, on_unmute, w->mute_s, 0.);
    w->unmute.data = w;
    ev_timer_start(w->d->loop, &w->unmute);
}

bool doorway_may_look(struct doorway *w)
{
    double now = ev_now(w->d->loop);

    if (w->is_muted) {
        w->dropped++;
        return false;
    }
    if (now - w->window >= 1.) {
        w->window = now;
        w->nr_events = 0;
    }
    if (++w->nr_events <= DOOR_EVENTS_MAX)
        return true;
    w->dropped++;
    mute(w);
    return false;
}

static void refuse(struct doorway *w, const char *id, const char *why)
{
    struct wire_answer a = {.domid = w->domid,
                            .is_busy = w->busy_id[0] != '\0'};

    snprintf(w->last_id, sizeof(w->last_id), "%s", id);
    snprintf(a.id, sizeof(a.id), "%s", id[0] ? id : "-");
    snprintf(a.result, sizeof(a.result), "refused %s", why);
    doorway_answer(w, &a);
}

static void pass_on(struct doorway *w, const struct door_request *r)
{
    struct wire m;

    wire_begin(&m, WIRE_GUEST);
    m.u.guest.domid = w->domid;
    m.u.guest.request = r->request;
    m.u.guest.count = r->count;
    m.u.guest.dropped = w->dropped;
    snprintf(m.u.guest.id, sizeof(m.u.guest.id), "%s", r->id);
    w->dropped = 0;
    snprintf(w->last_id, sizeof(w->last_id), "%s", r->id);
    door_send(w->d, &m);
}

static void look(struct doorway *w)
{
    char path[XEN_STORE_PATH], value[XEN_STORE_VALUE + 1];
    struct door_request r;
    size_t len;
    int rc;

    doorway_path(w, "ckpt/request", path);
    rc = xen_store_read(w->d->store, path, value, &len);
    if (rc == -ENOENT) { /* it has removed it: there again, and empty */
        put_theirs(w, "ckpt/request");
        return;
    }
    if (rc)
        return;
    rc = door_request_parse(value, len, &r);
    if (rc == -ENODATA)
        return;
    if (rc == -E2BIG)
        refuse(w, "", "malformed A request is at most 64 bytes long.");
    else if (rc && strcmp(r.id, w->last_id))
        refuse(w, r.id, "malformed That is no request; see xenstore.md.");
    else if (!rc && strcmp(r.id, w->last_id))
        pass_on(w, &r);
}

void doorway_event(struct doorway *w, const char *path, bool is_ack)
{
    char ours[XEN_STORE_PATH];

    if (!w->is_open || !doorway_may_look(w))
        return;
    /* Nodes it makes below its own are its own business. */
    doorway_path(w, is_ack ? "ckpt/quiesce-ack" : "ckpt/request", ours);
    if (strcmp(path, ours))
        return;
    if (is_ack)
        freeze_ack(w);
    else
        look(w);
}

/* The result first: who sees "idle" finds it.  A refusal does not end the
 * request that is under way. */
void doorway_answer(struct doorway *w, const struct wire_answer *a)
{
    char text[TEXT_WORDS + 32];

    if (!w->is_open || (a->is_again && strcmp(a->id, w->busy_id)))
        return;
    if (a->result[0]) {
        snprintf(text, sizeof(text), "%s %s", a->id, a->result);
        change(w, "ckpt/result", text);
    }
    if (!a->is_busy)
        w->busy_id[0] = '\0';
    else if (!a->result[0])
        memcpy(w->busy_id, a->id, sizeof(w->busy_id));
    snprintf(text, sizeof(text), "%s %s", w->busy_id[0] ? "busy" : "idle",
             w->busy_id[0] ? w->busy_id : w->last_id);
    change(w, "ckpt/state", text);
}
