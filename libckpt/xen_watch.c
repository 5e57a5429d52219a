/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A domain's monitor.  xl leaves a process behind for each domain it creates,
 * which acts on its shutdowns as the configuration says; whoever creates a
 * domain owes it one.  Like xl's, but a suspend does not end it: a checkpoint
 * suspends the domain and lets it go on.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xen_build.h"
#include "xen_private.h"

enum next { NEXT_WAIT, NEXT_DONE, NEXT_RESTARTED };

struct watcher {
    libxl_ctx *ctx;
    uint32_t domid;
    libxl_domain_config config;
};

static libxl_action_on_shutdown action_of(const struct watcher *w, int reason)
{
    switch (reason) {
    case LIBXL_SHUTDOWN_REASON_POWEROFF:
        return w->config.on_poweroff;
    case LIBXL_SHUTDOWN_REASON_REBOOT:
        return w->config.on_reboot;
    case LIBXL_SHUTDOWN_REASON_CRASH:
        return w->config.on_crash;
    case LIBXL_SHUTDOWN_REASON_WATCHDOG:
        return w->config.on_watchdog;
    case LIBXL_SHUTDOWN_REASON_SOFT_RESET:
        return w->config.on_soft_reset;
    default:
        return LIBXL_ACTION_ON_SHUTDOWN_DESTROY;
    }
}

/* The configuration as it is now: devices may have come and gone. */
static void reload(struct watcher *w)
{
    libxl_domain_config now;

    libxl_domain_config_init(&now);
    if (!libxl_retrieve_domain_configuration(w->ctx, w->domid, &now, NULL)) {
        libxl_domain_config_dispose(&w->config);
        w->config = now;
    } else {
        libxl_domain_config_dispose(&now);
    }
}

static enum next restart(struct watcher *w)
{
    reload(w);
    if (libxl_domain_destroy(w->ctx, w->domid, NULL))
        return NEXT_DONE;
    if (libxl_domain_create_new(w->ctx, &w->config, &w->domid, NULL, NULL))
        return NEXT_DONE;
    libxl_domain_unpause(w->ctx, w->domid, NULL);
    return NEXT_RESTARTED;
}

/* Keeps the dead one under another name beside the new one. */
static enum next restart_beside(struct watcher *w)
{
    char suffix[32];
    libxl_uuid uuid;

    reload(w);
    snprintf(suffix, sizeof(suffix), "-%u", w->domid);
    libxl_uuid_generate(&uuid);
    if (libxl_domain_preserve(w->ctx, w->domid, &w->config.c_info, suffix,
                              uuid))
        return NEXT_DONE;
    if (libxl_domain_create_new(w->ctx, &w->config, &w->domid, NULL, NULL))
        return NEXT_DONE;
    libxl_domain_unpause(w->ctx, w->domid, NULL);
    return NEXT_RESTARTED;
}

/* It began another kernel by itself (kexec, kdump): domain and memory stay,
 * its devices are connected anew.  HVM alone; what cannot be is destroyed. */
static enum next soft_reset(struct watcher *w)
{
    reload(w);
    if (libxl_domain_soft_reset(w->ctx, &w->config, w->domid, NULL, NULL)) {
        libxl_domain_destroy(w->ctx, w->domid, NULL);
        return NEXT_DONE;
    }
    libxl_domain_unpause(w->ctx, w->domid, NULL);
    return NEXT_RESTARTED;
}

static void dump_core(struct watcher *w)
{
    char path[512];

    snprintf(path, sizeof(path), "/var/lib/xen/dump/%.400s",
             w->config.c_info.name);
    libxl_domain_core_dump(w->ctx, w->domid, path, NULL);
}

static enum next act(struct watcher *w, int reason)
{
    switch (action_of(w, reason)) {
    case LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_DESTROY:
        dump_core(w);
        __attribute__((fallthrough));
    case LIBXL_ACTION_ON_SHUTDOWN_DESTROY:
        libxl_domain_destroy(w->ctx, w->domid, NULL);
        return NEXT_DONE;
    case LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_RESTART:
        dump_core(w);
        __attribute__((fallthrough));
    case LIBXL_ACTION_ON_SHUTDOWN_RESTART:
        return restart(w);
    case LIBXL_ACTION_ON_SHUTDOWN_SOFT_RESET:
        return soft_reset(w);
    case LIBXL_ACTION_ON_SHUTDOWN_RESTART_RENAME:
        return restart_beside(w);
    case LIBXL_ACTION_ON_SHUTDOWN_PRESERVE:
    default:
        return NEXT_DONE;
    }
}

/* One registration: libxl reports one shutdown for each, so after a suspend
 * there must be a new one.  It is over before anything is done: a domain that
 * is reset keeps its id. */
static enum next wait_once(struct watcher *w)
{
    libxl_evgen_domain_death *death = NULL;
    enum next next = NEXT_DONE;
    bool is_shut_down = false;
    libxl_event *event;
    int reason = 0;

    if (libxl_evenable_domain_death(w->ctx, w->domid, 0, &death))
        return NEXT_DONE;
    while (!is_shut_down && !libxl_event_wait(w->ctx, &event,
                                              LIBXL_EVENTMASK_ALL, NULL,
                                              NULL)) {
        int type = event->type;
        bool mine = event->domid == w->domid;

        if (mine && type == LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN) {
            is_shut_down = true;
            reason = event->u.domain_shutdown.shutdown_reason;
        }
        libxl_event_free(w->ctx, event);
        if (mine && type == LIBXL_EVENT_TYPE_DOMAIN_DEATH)
            break; /* somebody destroyed it */
    }
    libxl_evdisable_domain_death(w->ctx, death);
    if (is_shut_down)
        next = reason == LIBXL_SHUTDOWN_REASON_SUSPEND ? NEXT_WAIT
                                                       : act(w, reason);
    return next;
}

/* A suspended domain would be reported at once, over and over: waits until
 * it runs or is gone, by the event of its resume or, where xenstored has
 * none, by looking. */
static bool wait_resumed(struct watcher *w)
{
    libxl_dominfo info;
    bool suspended, there;

    for (;;) {
        libxl_dominfo_init(&info);
        there = !libxl_domain_info(w->ctx, &info, w->domid);
        suspended = there && info.shutdown &&
                    info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND;
        libxl_dominfo_dispose(&info);
        if (!suspended)
            return there;
        usleep(200000); /* lint: sleep ok: Xen announces no resume */
    }
}

/* Two would both start the domain anew.  It is a lock of the octet at the
 * domain's number, and goes with the process. */
static bool is_the_only_one(int lock, uint32_t domid)
{
    struct flock range = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = domid,
        .l_len = 1,
    };

    return lock < 0 || !fcntl(lock, F_OFD_SETLK, &range);
}

int xen_watch(uint32_t domid)
{
    const int lock = xen_lock_open("ckpt-watch.lock");
    struct watcher w = { .domid = domid };
    enum next next = NEXT_WAIT;
    struct xen_log log;

    xen_log_init(&log, NULL);
    if (libxl_ctx_alloc(&w.ctx, LIBXL_VERSION, 0, &log.vtable))
        return -EIO;
    libxl_domain_config_init(&w.config);
    reload(&w);
    while (next != NEXT_DONE && is_the_only_one(lock, w.domid)) {
        if (next == NEXT_WAIT && !wait_resumed(&w))
            break;
        next = wait_once(&w);
    }
    libxl_domain_config_dispose(&w.config);
    libxl_ctx_free(w.ctx);
    if (lock >= 0)
        close(lock);
    return 0;
}
