/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Tries the capture of a patched hypervisor page by page, in the lab's dom0:
 *
 *   xen_cow_tool row NAME DOMAIN     one way of writing to a guest's memory
 *   xen_cow_tool rows                the names
 *   xen_cow_tool cycle DOMAIN N      attach, prepare, detach
 *   xen_cow_tool full DOMAIN         the guest waits for room, and gets it
 *   xen_cow_tool full-detach DOMAIN  the end, while it waits
 *   xen_cow_tool increment DOMAIN    cuts, each of what was written since
 *   xen_cow_tool slow DOMAIN N       saves after a line CUT, for N seconds or
 *                                    until SIGUSR1
 *   xen_cow_tool stall DOMAIN        nobody saves: the guest goes on
 *   xen_cow_tool die DOMAIN          dies with the guest captured
 *   xen_cow_tool end DOMAIN          what the guard then does
 *   xen_cow_tool fuzz DOMAIN SEED N  operations and ring contents at random
 *
 * The parts are in tests/xen/cow/.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cow/cow.h"

static const struct row *const tables[] = {rows_of_dom0, rows_of_grants,
                                           rows_of_guest};
static const struct {
    const char *name;
    int (*run)(const char *domain);
} words[] = {
    {"full", full},   {"full-detach", full_detach}, {"increment", increment},
    {"stall", stall}, {"die", die_armed},           {"end", end},
};

static int list_rows(void)
{
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        for (const struct row *row = tables[i]; row->name; row++)
            puts(row->name);
    return 0;
}

static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        for (const struct row *row = tables[i]; row->name; row++)
            if (!strcmp(name, row->name))
                return row;
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "rows"))
        return list_rows();
    if (argc == 4 && !strcmp(argv[1], "row") && find_row(argv[2]))
        return run_row(find_row(argv[2]), argv[3]);
    if (argc == 4 && !strcmp(argv[1], "cycle"))
        return cycle(argv[2], strtoul(argv[3], NULL, 10));
    if (argc == 4 && !strcmp(argv[1], "slow"))
        return slow(argv[2], strtoul(argv[3], NULL, 10));
    if (argc == 5 && !strcmp(argv[1], "fuzz"))
        return fuzz(argv[2], (unsigned)strtoul(argv[3], NULL, 10),
                    strtoul(argv[4], NULL, 10));
    for (size_t i = 0; argc == 3 && i < sizeof(words) / sizeof(words[0]); i++)
        if (!strcmp(argv[1], words[i].name))
            return words[i].run(argv[2]);
    fprintf(stderr, "usage: xen_cow_tool row NAME DOMAIN|rows|cycle DOMAIN N|"
                    "fuzz DOMAIN SEED N|slow DOMAIN N|\n"
                    "    full|full-detach|increment|stall|die|end DOMAIN\n");
    return 2;
}
