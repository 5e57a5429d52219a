/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A test's hand inside of a guest: does what dom0 writes into data/door and
 * says so on the console, until it is ended.  An order has a number of its
 * own, which is in the answer; the same order twice is one.
 *
 *   N flood PATH COUNT  writes there that often, requests of every kind there
 *                       is:        DOOR N flooded COUNT FAILED MS
 *   N ask COUNT         that many checkpoints of itself, one after the other,
 *                       and before each the median of some round trips to
 *                       xenstore:  DOOR N asked INDEX TRIP_US DONE_US RESULT
 *                       at last:   DOOR N done
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "xen_bus.h"

#define ORDER "data/door"
#define DOOR "control/ckpt/"
#define TRIPS 31
#define SETTLE_US 500000

static uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* The @i-th of a guest that does not behave. */
static void bad_request(int i, char value[2048])
{
    static const char *const before[] = {"", "", "", "", "../../0/", ""};
    static const char *const after[] = {
        " checkpoint", " fork 256", " rollback", " nonsense", " checkpoint",
    };

    if (i % 7 == 6) {
        memset(value, 'x', 1900);
        value[1900] = '\0';
    } else if (i % 7 == 5) {
        value[0] = '\0';
    } else {
        snprintf(value, 2048, "%s%d%s", before[i % 7], i, after[i % 7]);
    }
}

static void flood(struct bus *bus, const char *n, const char *path, int count)
{
    const uint64_t begin_us = now_us();
    char value[2048], below[512];
    int failed = 0;

    snprintf(below, sizeof(below), "%s/below", path);
    for (int i = 0; i < count; i++) {
        bad_request(i, value);
        failed += bus_write(bus, path, value) != 0;
        if (i % 100 == 50)
            bus_write(bus, below, "x");
    }
    printf("DOOR %s flooded %d %d %llu\n", n, count, failed,
           (unsigned long long)(now_us() - begin_us) / 1000);
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static uint64_t trip_us(struct bus *bus)
{
    char value[BUS_VALUE_MAX + 1];
    uint64_t us[TRIPS], begin_us;

    for (int i = 0; i < TRIPS; i++) {
        begin_us = now_us();
        bus_read(bus, DOOR "version", value);
        us[i] = now_us() - begin_us;
    }
    qsort(us, TRIPS, sizeof(us[0]), compare);
    return us[TRIPS / 2];
}

static void ask(struct bus *bus, const char *n, int count)
{
    char value[BUS_VALUE_MAX + 1], request[64], id[20];
    uint64_t trip, begin_us;
    size_t len;

    for (int i = 0; i < count; i++) {
        /* Who gave the order is at work still, and takes time from dom0. */
        usleep(SETTLE_US); /* lint: sleep ok: nobody says when */
        trip = trip_us(bus);
        len = (size_t)snprintf(id, sizeof(id), "%.6s-%d", n, i);
        snprintf(request, sizeof(request), "%s checkpoint", id);
        begin_us = now_us();
        if (bus_write(bus, DOOR "request", request))
            break;
        do
            bus_wait(bus, -1, NULL);
        while (bus_read(bus, DOOR "result", value) || strncmp(value, id, len) ||
               value[len] != ' ');
        printf("DOOR %s asked %d %llu %llu %.40s\n", n, i,
               (unsigned long long)trip,
               (unsigned long long)(now_us() - begin_us), value + len + 1);
    }
    printf("DOOR %s done\n", n);
}

int main(void)
{
    char order[BUS_VALUE_MAX + 1], n[16], last[16] = "", word[16], path[256];
    struct bus bus;
    int count;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (bus_open(&bus, NULL) || bus_watch(&bus, ORDER) ||
        bus_watch(&bus, DOOR "result"))
        return 1;
    printf("DOOR 0 ready\n");
    for (;;) {
        if (bus_wait(&bus, -1, NULL))
            return 1;
        if (bus_read(&bus, ORDER, order) ||
            sscanf(order, "%15s %15s", n, word) != 2 || !strcmp(n, last))
            continue;
        strcpy(last, n);
        if (sscanf(order, "%*s flood %255s %d", path, &count) == 2)
            flood(&bus, n, path, count);
        else if (sscanf(order, "%*s ask %d", &count) == 1)
            ask(&bus, n, count);
        else
            printf("DOOR %s what?\n", n);
    }
}
