/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Drives the disk drivers without a guest, for tests in the lab's dom0, and
 * for those that need no Xen:
 *
 *   disk_tool VDEV=TARGET... -- VERB...
 *
 * runs the verbs in order, says after each "VERB: ok MICROSECONDS" or
 * "VERB: ERRNO WORDS", and stops at the first that fails, without undoing:
 * that is a verb, or the guard's work.  Verbs with a ':' have an argument.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive_place.h"
#include "ctx.h"
#include "disk_beats.h"
#include "disk_content.h"
#include "disk_view.h"
#include "guard.h"

#define NR_DISKS_MAX 8

static struct ckpt c;
static struct guard *g;
static struct disk disks[NR_DISKS_MAX];
static size_t nr_disks;

static int do_probe(const char *arg)
{
    int rc = 0;

    (void)arg;
    for (size_t i = 0; i < nr_disks && !rc; i++)
        rc = disk_pick(&disks[i]);
    return rc;
}

static int do_guard(const char *arg)
{
    int rc;

    (void)arg;
    rc = guard_start(&c, -1, &g);
    for (size_t i = 0; i < nr_disks; i++)
        disks[i].g = g;
    return rc;
}

static int do_stop(const char *arg)
{
    (void)arg;
    guard_stop(g);
    g = NULL;
    for (size_t i = 0; i < nr_disks; i++)
        disks[i].g = NULL;
    return 0;
}

static int do_arm(const char *arg)
{
    return disks_arm(disks, nr_disks, arg);
}

static int do_lock(const char *arg)
{
    (void)arg;
    return disks_lock(disks, nr_disks);
}

static int do_unlock(const char *arg)
{
    (void)arg;
    disks_unlock(disks, nr_disks);
    return 0;
}

static int do_cut(const char *arg)
{
    (void)arg;
    return disks_cut(disks, nr_disks);
}

static int do_drain(const char *arg)
{
    (void)arg;
    return disks_drain(disks, nr_disks);
}

static int do_undo(const char *arg)
{
    (void)arg;
    disks_undo(disks, nr_disks);
    return 0;
}

/* Says which snapshots there are. */
static int do_keep(const char *arg)
{
    (void)arg;
    disks_keep(disks, nr_disks);
    for (size_t i = 0; i < nr_disks; i++)
        if (disks[i].snapshot)
            printf("snapshot %s %s\n", disks[i].vdev, disks[i].snapshot);
    return 0;
}

static int do_rollback(const char *arg)
{
    return disks[0].drv->rollback(&disks[0], arg);
}

static int do_end(const char *arg)
{
    return disks[0].drv->rollback_end(&disks[0], !strcmp(arg, "new"));
}

static int do_remove(const char *arg)
{
    return disks[0].drv->remove(&c, arg);
}

static int do_check(const char *arg)
{
    return disks[0].drv->check(&c, arg);
}

/* --- somebody who writes all the time -------------------------------------- */

/* A process of its own: one that waits for a suspended device cannot die. */
static pid_t writer;
static atomic_uint_fast64_t *written; /* per disk the last that is there */
static int rounds[2];                 /* an octet for each number, if it fits */

/* 1, 2, 3, ...: each number to every disk before the next to any. */
static void write_numbers(void)
{
    uint64_t *block = aligned_alloc(4096, 4096);
    int fds[NR_DISKS_MAX];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    memset(block, 0, 4096);
    for (size_t i = 0; i < nr_disks; i++)
        fds[i] = open(disks[i].target, O_WRONLY | O_DIRECT | O_CLOEXEC);
    for (;;) {
        (*block)++;
        for (size_t i = 0; i < nr_disks; i++) {
            if (pwrite(fds[i], block, 4096, 0) != 4096)
                printf("writer: %s\n", strerror(errno));
            atomic_store(&written[i], *block);
        }
        if (write(rounds[1], "", 1) < 0 && errno != EAGAIN)
            printf("writer: %s\n", strerror(errno));
    }
}

/* Until @nr numbers more have got to every disk. */
static int wait_rounds(int nr)
{
    char octets[4096];

    while (read(rounds[0], octets, sizeof(octets)) > 0)
        ;
    if (errno != EAGAIN)
        return -EIO;
    for (ssize_t n; nr > 0; nr -= (int)n) {
        struct pollfd p = {.fd = rounds[0], .events = POLLIN};

        if (poll(&p, 1, -1) < 0)
            return -errno;
        n = read(rounds[0], octets, 1);
        if (n != 1)
            return -EIO;
    }
    return 0;
}

/* From the first number on. */
static int do_write(const char *arg)
{
    (void)arg;
    if (pipe2(rounds, O_NONBLOCK | O_CLOEXEC) < 0)
        return -errno;
    written = mmap(NULL, NR_DISKS_MAX * sizeof(*written),
                   PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (written == MAP_FAILED)
        return -errno;
    writer = fork();
    if (writer == 0)
        write_numbers();
    if (writer < 0)
        return -errno;
    return wait_rounds(1);
}

/* The first of two may have been under way. */
static int do_written(const char *arg)
{
    int rc = wait_rounds(2);

    (void)arg;
    kill(writer, SIGKILL);
    return waitpid(writer, NULL, 0) == writer ? rc : -errno;
}

/* For a while no write is done; says up to which number all are. */
static int do_still(const char *arg)
{
    uint64_t before[NR_DISKS_MAX];

    (void)arg;
    for (int n = 0; n < 3; n++) {
        for (size_t i = 0; i < nr_disks; i++)
            before[i] = atomic_load(&written[i]);
        /* lint: sleep ok: nothing is to happen in this time */
        usleep(300000);
        for (size_t i = 0; i < nr_disks; i++)
            if (n && atomic_load(&written[i]) != before[i])
                return fail(&c, -EIO, "%s is written to", disks[i].target);
    }
    for (size_t i = 0; i < nr_disks; i++)
        printf("at %s %llu\n", disks[i].vdev, (unsigned long long)before[i]);
    return 0;
}

/* "VG/SNAPSHOT:NAME" */
static int do_fork(const char *arg)
{
    char snapshot[256];
    const char *colon = strrchr(arg, ':');
    char *target = NULL;
    int rc;

    if (!colon)
        return -EINVAL;
    snprintf(snapshot, sizeof(snapshot), "%.*s", (int)(colon - arg), arg);
    rc = disks[0].drv->fork(&disks[0], snapshot, colon + 1, &target);
    if (!rc)
        printf("target %s\n", target);
    free(target);
    return rc;
}

/* As the guest's configuration would say it, of all disks. */
static int do_domid(const char *arg)
{
    for (size_t i = 0; i < nr_disks; i++)
        disks[i].domid = (uint32_t)atoi(arg);
    return 0;
}

static int do_driver(const char *arg)
{
    int rc = 0;

    for (size_t i = 0; i < nr_disks && !rc; i++)
        rc = disk_driver_by_name(&c, arg, &disks[i].drv);
    return rc;
}

static int print_extent(void *arg, const struct disk_extent *e)
{
    (void)arg;
    printf("changed %llu %llu\n", (unsigned long long)e->offset_bytes,
           (unsigned long long)e->len_bytes);
    return 0;
}

/* "FROM:TO" */
static int do_changed(const char *arg)
{
    char from[256];
    const char *colon = strchr(arg, ':');

    if (!colon)
        return -EINVAL;
    snprintf(from, sizeof(from), "%.*s", (int)(colon - arg), arg);
    return disks[0].drv->changed(&c, from, colon + 1, print_extent, NULL);
}

/* "X:SNAPSHOT" into both. */
static int split(const char *arg, char x[256], const char **snapshot_out)
{
    const char *colon = strchr(arg, ':');

    if (!colon || colon - arg >= 256)
        return -EINVAL;
    snprintf(x, 256, "%.*s", (int)(colon - arg), arg);
    *snapshot_out = colon + 1;
    return 0;
}

/* What is in the extents, and holes for the rest. */
static int copy_content(struct disk_content *content, int fd)
{
    static char buf[1 << 20];
    int rc = ftruncate(fd, (off_t)content->size_bytes) < 0 ? -errno : 0;

    for (size_t i = 0; !rc && i < content->data.nr; i++) {
        const struct disk_extent *e = &content->data.list[i];

        for (uint64_t at = 0; !rc && at < e->len_bytes; at += sizeof(buf)) {
            const size_t len = e->len_bytes - at < sizeof(buf)
                                   ? (size_t)(e->len_bytes - at)
                                   : sizeof(buf);
            const off_t offset = (off_t)(e->offset_bytes + at);

            rc = disks[0].drv->read(&c, content, buf, len, (uint64_t)offset);
            if (!rc && pwrite(fd, buf, len, offset) != (ssize_t)len)
                rc = -EIO;
        }
    }
    return rc;
}

/* "FILE:SNAPSHOT": its content; says how much of it is no hole. */
static int do_read(const char *arg)
{
    struct disk_content content = {.fd = -1};
    const char *snapshot;
    char path[256];
    int fd, rc = split(arg, path, &snapshot);

    if (!rc)
        rc = disks[0].drv->open(&c, snapshot, &content);
    if (rc)
        return rc;
    printf("content %llu of %llu\n",
           (unsigned long long)disk_content_bytes(&content),
           (unsigned long long)content.size_bytes);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    rc = fd < 0 ? -errno : copy_content(&content, fd);
    disks[0].drv->close(&c, &content);
    close(fd);
    return rc;
}

/* "TAG:SNAPSHOT", as a device. */
static int do_view(const char *arg)
{
    char tag[256], device[DISK_VIEW_MAX];
    const char *snapshot;
    int rc = split(arg, tag, &snapshot);

    if (!rc)
        rc = disk_view_open(&c, disks[0].drv->name, snapshot, tag, device);
    if (!rc)
        printf("device %s\n", device);
    return rc;
}

static int do_unview(const char *arg)
{
    const char *snapshot;
    char tag[256];
    int rc = split(arg, tag, &snapshot);

    return rc ? rc : disk_view_close(&c, disks[0].drv->name, snapshot, tag);
}

/* What QEMU is given of it. */
static int do_show(const char *arg)
{
    struct disk_shown shown;
    const char *snapshot;
    char tag[256];
    int rc = split(arg, tag, &snapshot);

    if (!rc)
        rc = disks[0].drv->show(&c, snapshot, tag, &shown);
    if (!rc)
        printf("image %s %s\n", shown.format, shown.image);
    return rc;
}

/* --- a place for what an archive has --------------------------------------- */

static struct place place = {.fd = -1};

static int fill_place(int fd)
{
    static char buf[1 << 20];
    const off_t size = lseek(fd, 0, SEEK_END);
    ssize_t n;
    int rc;

    rc = place_make(&place, g, (uint64_t)size, (uint64_t)size);
    for (off_t at = 0; !rc && at < size; at += n) {
        n = pread(fd, buf, sizeof(buf), at);
        rc = n <= 0 ? -EIO : 0;
        if (!rc && (buf[0] || memcmp(buf, buf + 1, (size_t)n - 1)))
            rc = place_write(&place, (uint64_t)at, buf, (size_t)n);
    }
    return rc;
}

/* "FILE:PLACE": a new disk with the content of that, not snapshotted yet. */
static int do_place(const char *arg)
{
    const char *text;
    char path[256];
    int fd, rc = split(arg, path, &text);

    if (!rc)
        rc = place_open(&place, &c, "xvda", text);
    fd = rc ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (!rc)
        rc = fd < 0 ? -errno : fill_place(fd);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* "CHECKPOINT" */
static int do_placed(const char *arg)
{
    int rc = place_finish(&place, arg);

    if (!rc)
        printf("snapshot %s %s\n", place.disk.vdev, place.disk.snapshot);
    return rc;
}

static int do_unplace(const char *arg)
{
    (void)arg;
    place_undo(&place);
    return 0;
}

static int do_place_keep(const char *arg)
{
    (void)arg;
    place_keep(&place);
    return 0;
}

/* Says so, and waits for a line: the script does something meanwhile. */
static int do_wait(const char *arg)
{
    char line[8];

    (void)arg;
    return fgets(line, sizeof(line), stdin) ? 0 : -EPIPE;
}

static int do_kill(const char *arg)
{
    (void)arg;
    return raise(SIGKILL);
}

static const struct verb {
    const char *name;
    int (*run)(const char *arg);
} verbs[] = {
    {"probe", do_probe},
    {"guard", do_guard},
    {"stop", do_stop},
    {"arm", do_arm},
    {"lock", do_lock},
    {"unlock", do_unlock},
    {"cut", do_cut},
    {"drain", do_drain},
    {"undo", do_undo},
    {"keep", do_keep},
    {"fork", do_fork},
    {"end", do_end},
    {"rollback", do_rollback},
    {"remove", do_remove},
    {"check", do_check},
    {"wait", do_wait},
    {"kill", do_kill},
    {"write", do_write},
    {"still", do_still},
    {"written", do_written},
    {"domid", do_domid},
    {"driver", do_driver},
    {"changed", do_changed},
    {"read", do_read},
    {"view", do_view},
    {"unview", do_unview},
    {"show", do_show},
    {"place", do_place},
    {"placed", do_placed},
    {"unplace", do_unplace},
    {"place-keep", do_place_keep},
};

static int run_verb(const char *word)
{
    const size_t len = strcspn(word, ":");
    const uint64_t begin_us = now_us();
    int rc;

    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strlen(verbs[i].name) != len || strncmp(verbs[i].name, word, len))
            continue;
        if (!strcmp(verbs[i].name, "wait"))
            printf("waiting\n");
        rc = verbs[i].run(word[len] ? word + len + 1 : "");
        if (rc)
            printf("%s: %d %s\n", word, -rc, ckpt_error(&c));
        else
            printf("%s: ok %llu\n", word,
                   (unsigned long long)(now_us() - begin_us));
        return rc;
    }
    printf("%s: no such verb\n", word);
    return -EINVAL;
}

static int add_disk(const char *word)
{
    struct disk *d = &disks[nr_disks];
    const char *equals = strchr(word, '=');

    if (!equals || nr_disks == NR_DISKS_MAX)
        return -EINVAL;
    d->c = &c;
    d->drv = &disk_lvmthin;
    d->domid = DISK_NO_DOMAIN;
    d->vdev = strndup(word, (size_t)(equals - word));
    d->target = strdup(equals + 1);
    nr_disks++;
    return d->vdev && d->target ? 0 : -ENOMEM;
}

int main(int argc, char **argv)
{
    int i, rc = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (i = 1; i < argc && strcmp(argv[i], "--") && !rc; i++)
        rc = add_disk(argv[i]);
    for (i++; i < argc && !rc; i++)
        rc = run_verb(argv[i]);
    for (size_t n = 0; n < nr_disks; n++)
        disk_fini(&disks[n]);
    if (place.kind)
        place_fini(&place);
    guard_stop(g);
    return rc ? 1 : 0;
}
