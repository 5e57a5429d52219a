/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * xen_door_tool DOMID COUNT: stands by at a guest's door, in dom0.  For each of
 * COUNT requests that it sees the guest write, prints after how many
 * microseconds the daemon had accepted it and after how many the guest was
 * asked to suspend, which is where the cut begins:
 *
 *     1234 5678
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <xenstore.h>

static uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static int watch(struct xs_handle *xs, int domid, const char *node,
                 const char *token)
{
    char path[128];

    snprintf(path, sizeof(path), "/local/domain/%d/control/%s", domid, node);
    return xs_watch(xs, path, token) ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct xs_handle *xs = xs_open(0);
    uint64_t now, asked_us = 0, busy_us = 0;
    const int domid = argc == 3 ? atoi(argv[1]) : 0;
    int left = argc == 3 ? atoi(argv[2]) : 0;
    unsigned int nr;
    char **event, token;

    if (!xs || !domid || watch(xs, domid, "ckpt/request", "r") ||
        watch(xs, domid, "ckpt/state", "s") ||
        watch(xs, domid, "shutdown", "z")) {
        fprintf(stderr, "xen_door_tool: cannot watch\n");
        return 1;
    }
    for (int i = 0; i < 3; i++) /* each fires once by itself */
        free(xs_read_watch(xs, &nr));
    printf("ready\n");
    fflush(stdout);
    while (left > 0) {
        event = xs_read_watch(xs, &nr);
        now = now_us();
        if (!event)
            return 1;
        token = event[XS_WATCH_TOKEN][0];
        free(event);
        if (token == 'r') {
            asked_us = now;
            busy_us = 0;
        } else if (token == 's' && asked_us && !busy_us) {
            busy_us = now;
        } else if (token == 'z' && asked_us) {
            printf("%llu %llu\n",
                   (unsigned long long)(busy_us ? busy_us - asked_us : 0),
                   (unsigned long long)(now - asked_us));
            fflush(stdout);
            asked_us = 0; /* it clears the node again, which counts as well */
            left--;
        }
    }
    xs_close(xs);
    return 0;
}
