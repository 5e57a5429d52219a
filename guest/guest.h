/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H
/*
 * ckpt-guest: a guest's own hand at the door that ckptd opens for it,
 * docs/specs/xenstore.md.
 */
#include <stdbool.h>
#include <stdint.h>

#include "xen_bus.h"

#define DOOR "control/ckpt/"
#define HOOKS_DIR "/etc/ckpt/guest.d"

enum exit_status {
    EXIT_DONE = 0,
    EXIT_FAILED = 1, /* it was tried, and failed */
    EXIT_USAGE = 2,
    EXIT_NO_DOOR = 3, /* not under Xen, or the policy gives us no door */
    EXIT_REFUSED = 4, /* by policy: the reason is printed */
    EXIT_LATE = 5,    /* no answer in time */
};

struct guest {
    struct bus bus;
    const char *bus_path; /* NULL: the device */
    const char *hooks_dir;
    int timeout_s;
    char birth[64]; /* of this life of ours; changes when we are cloned;
                     * "": there was no door yet */
};

/* CLOCK_BOOTTIME, which a rollback does not turn back behind our back: it is
 * the clock of the life we are in. */
uint64_t now_ms(void);

/* xenstore alone, then the door too: 0, or an exit status with its words
 * said. */
int guest_reach(struct guest *g);
int guest_open(struct guest *g);
/* True, and *origin_out filled, when we are another domain than before.  Who
 * came before the door was open learns here who he is. */
bool guest_is_reborn(struct guest *g, char origin_out[64]);
/* Wakes us when one of those nodes below DOOR changes; @names ends with NULL.
 * Only what dom0 writes and we wait for: with all of the door each of our own
 * writes would wake us and have us read, just when dom0 is to answer it. */
int guest_watch(struct guest *g, const char *const names[]);

/* request.c: ask, wait, print; exit statuses */
int guest_ask(struct guest *g, const char *verb);
int guest_wait(struct guest *g);
int guest_status(struct guest *g);
/* rng.c: the kernel's random numbers part from our twins' */
int guest_reseed(struct guest *g);
/* agent.c: answers freezes until SIGTERM */
int agent_run(struct guest *g);
/* hooks.c: `FILE event [arg]` for each of the folder; 0 or how many failed.
 * Stops at the first that fails when @is_strict. */
int hooks_run(const char *dir, const char *event, const char *arg,
              bool is_backwards, bool is_strict, int timeout_ms);

#endif
