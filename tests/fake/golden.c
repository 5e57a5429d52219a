/* SPDX-License-Identifier: LGPL-2.1-only */
#include "golden.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void insist(int is_so, const char *what)
{
    if (is_so)
        return;
    perror(what);
    exit(99);
}

static int make_file(const char *dir, char *name, long bytes)
{
    char path[600];
    int fd;

    for (char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        snprintf(path, sizeof(path), "%s/%s", dir, name);
        mkdir(path, 0700);
        *slash = '/';
    }
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    insist(fd >= 0 && !ftruncate(fd, bytes), path);
    return fd;
}

static void put_bytes(int fd, long at, const char *hex)
{
    unsigned char bytes[64];
    unsigned nr = 0, value;

    while (nr < sizeof(bytes) && sscanf(hex + 2 * nr, "%2x", &value) == 1)
        bytes[nr++] = (unsigned char)value;
    insist(pwrite(fd, bytes, nr, at) == (ssize_t)nr, "golden");
}

void golden_unpack(const char *hex, const char *dir)
{
    char line[512], name[256], digits[200];
    FILE *f = fopen(hex, "r");
    int fd = -1;
    long n;

    insist(f != NULL, hex);
    mkdir(dir, 0700);
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "file %255s %ld", name, &n) == 2) {
            if (fd >= 0)
                close(fd);
            fd = make_file(dir, name, n);
        } else {
            insist(fd >= 0 && sscanf(line, "%lx %199s", (unsigned long *)&n,
                                     digits) == 2,
                   "golden");
            put_bytes(fd, n, digits);
        }
    }
    if (fd >= 0)
        close(fd);
    fclose(f);
}
