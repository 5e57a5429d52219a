/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A request is written once; then two things can happen, and the watch tells
 * of both: the result appears, or we find ourselves in another domain (a
 * child of a fork, or back at an old checkpoint) whose birth is not ours.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "guest.h"

static int print_origin(const char *origin)
{
    if (!strncmp(origin, "fork ", 5))
        printf("child %s\n", origin + 5);
    else if (!strcmp(origin, "rollback"))
        printf("rolled-back\n");
    else
        printf("copy\n"); /* made by hand: nobody told whose */
    return EXIT_DONE;
}

/* "ok fork 2", "refused rate Too often; ...", "failed none" */
static int print_result(const char *result)
{
    if (!strncmp(result, "ok fork ", 8)) {
        printf("parent %s\n", result + 8);
        return EXIT_DONE;
    }
    if (!strncmp(result, "ok checkpoint ", 14)) {
        printf("taken %s\n", result + 14);
        return EXIT_DONE;
    }
    if (!strncmp(result, "ok ", 3)) {
        printf("%s\n", result + 3);
        return EXIT_DONE;
    }
    fprintf(stderr, "ckpt-guest: %s\n", result);
    return !strncmp(result, "refused", 7) ? EXIT_REFUSED : EXIT_FAILED;
}

/* Until the deadline: the birth, then @id's result (NULL: the birth only). */
static int wait_for(struct guest *g, const char *id)
{
    const uint64_t end_ms = now_ms() + (uint64_t)g->timeout_s * 1000u;
    const size_t len = id ? strlen(id) : 0;
    char value[BUS_VALUE_MAX + 1], origin[64];
    uint64_t now;
    int rc;

    for (;;) {
        if (guest_is_reborn(g, origin))
            return print_origin(origin);
        if (id && !bus_read(&g->bus, DOOR "result", value) &&
            !strncmp(value, id, len) && value[len] == ' ')
            return print_result(value + len + 1);
        now = now_ms();
        if (now >= end_ms)
            break;
        rc = bus_wait(&g->bus, (int)(end_ms - now), NULL);
        if (rc == -ETIMEDOUT)
            break;
        if (rc && rc != -EINTR) {
            fprintf(stderr, "ckpt-guest: xenstore: %s\n", strerror(-rc));
            return EXIT_FAILED;
        }
    }
    fprintf(stderr, "ckpt-guest: no answer within %d s\n", g->timeout_s);
    return EXIT_LATE;
}

static int watch_door(struct guest *g, const char *const nodes[])
{
    int rc = guest_watch(g, nodes);

    if (rc)
        fprintf(stderr, "ckpt-guest: cannot watch the door: %s\n",
                strerror(-rc));
    return rc ? EXIT_FAILED : 0;
}

int guest_ask(struct guest *g, const char *verb)
{
    static const char *const nodes[] = {"birth", "result", NULL};
    char id[17], request[64];
    uint64_t number;
    int rc;

    rc = guest_open(g);
    if (!rc)
        rc = watch_door(g, nodes);
    if (rc)
        return rc;
    if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
        perror("ckpt-guest: random numbers");
        return EXIT_FAILED;
    }
    snprintf(id, sizeof(id), "%015llx",
             (unsigned long long)number & 0xfffffffffffffffull);
    snprintf(request, sizeof(request), "%s %s", id, verb);
    rc = bus_write(&g->bus, DOOR "request", request);
    if (rc) {
        fprintf(stderr, "ckpt-guest: cannot write the request: %s\n",
                strerror(-rc));
        return EXIT_FAILED;
    }
    return wait_for(g, id);
}

int guest_wait(struct guest *g)
{
    static const char *const nodes[] = {"birth", NULL};
    int rc;

    rc = guest_open(g);
    if (!rc)
        rc = watch_door(g, nodes);
    return rc ? rc : wait_for(g, NULL);
}

int guest_status(struct guest *g)
{
    static const char *const names[] = {"version", "allow", "birth",
                                        "origin",  "state", "result"};
    char value[BUS_VALUE_MAX + 1], path[64];
    int rc;

    rc = guest_open(g);
    for (size_t i = 0; !rc && i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), DOOR "%s", names[i]);
        if (!bus_read(&g->bus, path, value))
            printf("%s: %s\n", names[i], value);
    }
    return rc;
}
