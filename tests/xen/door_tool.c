/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A guest that does not behave: door-flood COUNT writes its request that
 * often, of every kind there is, and prints how long it took.  Static, for it
 * runs in the lab's guest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "xen_bus.h"

int main(int argc, char **argv)
{
    static const char *const kinds[] = {
        "%d checkpoint", "%d fork 256",           "%d rollback",
        "%d nonsense",   "../../0/%d checkpoint", "",
    };
    const int count = argc > 1 ? atoi(argv[1]) : 1000;
    char value[2048];
    struct timespec a, b;
    struct bus bus;
    int failed = 0;

    if (bus_open(&bus, NULL))
        return 1;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < count; i++) {
        if (i % 7 == 6) {
            memset(value, 'x', 1900);
            value[1900] = '\0';
        } else {
            /* NOLINTNEXTLINE: the formats are above */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(value, sizeof(value), kinds[i % 7], i);
#pragma GCC diagnostic pop
        }
        failed += bus_write(&bus, "control/ckpt/request", value) != 0;
        if (i % 100 == 50)
            bus_write(&bus, "control/ckpt/request/below", "x");
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("FLOOD %d writes, %d failed, %ld ms\n", count, failed,
           (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
    bus_close(&bus);
    return 0;
}
