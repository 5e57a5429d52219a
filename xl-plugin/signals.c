/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A handler has no argument, so the handle it cancels is the one variable of
 * the program outside a function.  A signal that comes before the operation
 * has begun would be lost on ckpt_cancel(); it is remembered, and the caller
 * asks signals_seen() before it begins and from the progress callback.
 *
 * SA_RESTART: what undoes a cancelled operation must not meet EINTR from a
 * second impatient Ctrl-C.  Waits built on poll() are interrupted anyway.
 */
#include "signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static _Atomic(ckpt *) handle;
static volatile sig_atomic_t is_seen;

static void on_signal(int signo)
{
    ckpt *c = atomic_load(&handle);

    (void)signo;
    is_seen = 1;
    if (c)
        ckpt_cancel(c);
}

void signals_catch(ckpt *c)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction old;
    size_t i;

    atomic_store(&handle, c);
    sigemptyset(&act.sa_mask);
    for (i = 0; i < sizeof(caught) / sizeof(*caught); i++) {
        if (sigaction(caught[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(caught[i], &act, NULL);
    }
}

bool signals_seen(void)
{
    return is_seen;
}
