/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The agent: waits for orders of the door, and for being reborn.
 *
 *   "N freeze MS": the hooks' freeze, then "N frozen"; from now on MS run,
 *                  and at their end we thaw whether told to or not;
 *   "N thaw":      the hooks' thaw, backwards, then "N thawed".
 *
 * While filesystems are frozen nothing here may write to one.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "guest.h"

#define THAW_MS 60000

struct agent {
    struct guest *g;
    uint32_t seq; /* of the last order dealt with */
    bool is_frozen;
    uint64_t thaw_at_ms;
    sigset_t outside; /* the signals that may come while we wait */
};

static volatile sig_atomic_t is_ended;

static void on_signal(int sig)
{
    (void)sig;
    is_ended = 1;
}

static void acknowledge(struct agent *a, const char *word)
{
    char text[32];

    snprintf(text, sizeof(text), "%u %s", a->seq, word);
    bus_write(&a->g->bus, DOOR "quiesce-ack", text);
}

static void thaw(struct agent *a)
{
    if (!a->is_frozen)
        return;
    hooks_run(a->g->hooks_dir, "thaw", NULL, true, false, THAW_MS);
    a->is_frozen = false;
    acknowledge(a, "thawed");
}

static void freeze(struct agent *a, unsigned ms)
{
    const uint64_t begin_ms = now_ms();
    int failed;

    a->thaw_at_ms = begin_ms + ms;
    a->is_frozen = true; /* also when half of it fails: then thaw undoes it */
    failed = hooks_run(a->g->hooks_dir, "freeze", NULL, false, true, (int)ms);
    if (!failed && now_ms() < a->thaw_at_ms) {
        acknowledge(a, "frozen");
        return;
    }
    hooks_run(a->g->hooks_dir, "thaw", NULL, true, false, THAW_MS);
    a->is_frozen = false;
    acknowledge(a, "failed");
}

/* Says that we are here, whenever the door has a new node for it: it may have
 * been closed and opened again, or be another domain's. */
static void announce(struct agent *a)
{
    char value[BUS_VALUE_MAX + 1];

    if (!bus_read(&a->g->bus, DOOR "feature-quiesce", value) &&
        strcmp(value, "1"))
        bus_write(&a->g->bus, DOOR "feature-quiesce", "1");
}

/* "7 freeze 10000", "7 thaw".  The same order twice is one order. */
static void obey(struct agent *a)
{
    char value[BUS_VALUE_MAX + 1], word[8] = "";
    unsigned seq = 0, ms = 0;
    int rc, n;

    rc = bus_read(&a->g->bus, DOOR "quiesce", value);
    if (rc == -ENOENT)
        thaw(a); /* the door was taken away: nobody will tell us to */
    if (rc)
        return;
    n = sscanf(value, "%u %7s %u", &seq, word, &ms);
    if (n == 3 && !strcmp(word, "freeze") && ms <= 600000 && seq != a->seq) {
        thaw(a); /* of the last order, and by its number */
        a->seq = seq;
        freeze(a, ms);
    } else if (n >= 2 && !strcmp(word, "thaw")) {
        if (a->is_frozen)
            thaw(a);
        a->seq = seq;
    }
}

/* A twin, or back in time: first thaw (the image may be of a frozen moment),
 * then become somebody of our own. */
static void reborn(struct agent *a, const char *origin)
{
    thaw(a);
    if (!strncmp(origin, "fork ", 5))
        hooks_run(a->g->hooks_dir, "forked", origin + 5, false, false, THAW_MS);
    else
        hooks_run(a->g->hooks_dir,
                  !strcmp(origin, "rollback") ? "rolled-back" : "forked", NULL,
                  false, false, THAW_MS);
}

/* They come while we wait and at no other time: none is missed between the
 * look at is_ended and the wait, none disturbs a hook. */
static void catch_signals(struct agent *a)
{
    struct sigaction act = {.sa_handler = on_signal};
    sigset_t ours;

    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGINT);
    sigprocmask(SIG_BLOCK, &ours, &a->outside);
    sigdelset(&a->outside, SIGTERM);
    sigdelset(&a->outside, SIGINT);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int agent_run(struct guest *g)
{
    static const char *const nodes[] = {"birth", "feature-quiesce", "quiesce",
                                        NULL};
    struct agent a = {.g = g};
    char origin[64];
    uint64_t now;
    int rc, wait_ms;

    rc = guest_reach(g); /* the door may open later, and again and again */
    if (rc)
        return rc;
    mlockall(MCL_CURRENT | MCL_FUTURE); /* so that a freeze cannot stop us */
    catch_signals(&a);
    rc = guest_watch(g, nodes);
    while (!rc && !is_ended) {
        if (guest_is_reborn(g, origin))
            reborn(&a, origin);
        announce(&a);
        obey(&a);
        now = now_ms();
        wait_ms = !a.is_frozen         ? -1
                  : a.thaw_at_ms > now ? (int)(a.thaw_at_ms - now)
                                       : 0;
        rc = bus_wait(&g->bus, wait_ms, &a.outside);
        if (rc == -ETIMEDOUT)
            thaw(&a);
        if (rc == -ETIMEDOUT || rc == -EINTR)
            rc = 0;
    }
    thaw(&a);
    bus_write(&g->bus, DOOR "feature-quiesce", "");
    if (rc)
        fprintf(stderr, "ckpt-guest: xenstore: %s\n", strerror(-rc));
    return rc ? EXIT_FAILED : EXIT_DONE;
}
