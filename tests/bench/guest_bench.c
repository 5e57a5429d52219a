/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * All of a guest's user space, while what a guest pays is measured by its own
 * clock.  Static, in the place of the witness:
 *
 *   guest-bench REGIONS FILE     REGIONS times 8 MiB of its own; FILE on a disk
 *
 * dom0 writes `SEQ WORK BATCHES [REGION]' into the node control/bench of the
 * guest; the answer is a line on the console: nanoseconds for one of what is
 * done, over as many batches, and for all of it:
 *
 *   BENCH SEQ mean 123.4 median 120.1 min 119.0 total 98765
 *
 * where the total is as if each batch had taken as long as the median one:
 * a disk now and then takes ten times that.
 *
 * Nothing is done in between, and what is measured touches no page of the
 * program but those it says.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "xen_bus.h"

#define PAGE 4096u
#define WORDS (PAGE / sizeof(uint64_t))
#define SUPERPAGE (2u << 20)
#define REGION_BYTES (8u << 20)
#define REGION_PAGES (REGION_BYTES / PAGE)
#define TOUCH_PAGES                                                            \
    256u /* a batch; reading the clock takes 11000 instructions */
#define SWEEPS 16u
#define MAX_BATCHES 1024u
#define MAP_PAGES 256u
#define NODE "control/bench"
#define HOST "192.0.2.1" /* dom0's bridge */
#define BALLOON "/sys/devices/system/xen_memory/xen_memory0"
#define BALLOON_KIB 8192u

static struct bench {
    volatile uint64_t *memory, *region; /* the one in question */
    unsigned nr_regions;
    const char *file;
    int fd; /* of it */
    int sock;
    struct bus bus;
    char *buf;                                /* aligned, a region's size */
    uint64_t sample[MAX_BATCHES], nr_samples; /* ns, per batch */
} bench;

__attribute__((noreturn)) static void die(const char *what)
{
    printf("BENCH BROKEN %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- kinds of work: a batch each ------------------------------------------ */

/* One word of each of the next pages of the region. */
static void touch(unsigned batch)
{
    volatile uint64_t *p = bench.region + batch % (REGION_PAGES / TOUCH_PAGES) *
                                              TOUCH_PAGES * WORDS;

    for (unsigned i = 0; i < TOUCH_PAGES; i++)
        p[i * WORDS] = batch + i + 1;
}

/* One word of each page of it, again and again. */
static void sweep(unsigned batch)
{
    for (unsigned i = 0; i < SWEEPS * REGION_PAGES; i++)
        bench.region[i % REGION_PAGES * WORDS] = batch + i + 1;
}

static void look(unsigned batch)
{
    (void)batch;
    for (unsigned i = 0; i < REGION_PAGES; i++)
        (void)bench.region[i * WORDS + 8];
}

/* Every word of the region; @tail: all are zero but the last of a page. */
static void fill(uint64_t value, uint64_t last)
{
    for (unsigned i = 0; i < REGION_PAGES * WORDS; i++)
        bench.region[i] = i % WORDS == WORDS - 1 ? last : value + i * !!value;
}

static void fill_full(unsigned batch)
{
    fill(batch + 1, 1);
}

static void fill_zero(unsigned batch)
{
    (void)batch;
    fill(0, 0);
}

/* What takes longest to tell from a page of zeros. */
static void fill_tail(unsigned batch)
{
    (void)batch;
    fill(0, 1);
}

/* Computing, reading, and writing where it wrote before. */
static void compute(unsigned batch)
{
    uint64_t x = batch + 1, sum = 0;

    for (unsigned i = 0; i < 100000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        sum += bench.region[x % (REGION_PAGES * WORDS)];
        if (!(i % 16))
            bench.region[(x >> 8) % (REGION_PAGES * WORDS)] = sum;
    }
}

static void call_kernel(unsigned batch)
{
    (void)batch;
    for (unsigned i = 0; i < 1000; i++)
        syscall(SYS_getppid);
}

static void fork_wait(unsigned batch)
{
    pid_t pid = fork();

    (void)batch;
    if (pid < 0)
        die("fork");
    if (!pid)
        _exit(0);
    waitpid(pid, NULL, 0);
}

/* New memory, its first use, a change of rights, and its end. */
static void map_unmap(unsigned batch)
{
    volatile char *p = mmap(NULL, MAP_PAGES * PAGE, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)batch;
    if (p == MAP_FAILED)
        die("mmap");
    for (unsigned i = 0; i < MAP_PAGES; i++)
        p[i * PAGE] = 1;
    if (mprotect((char *)p, MAP_PAGES * PAGE, PROT_READ) ||
        munmap((char *)p, MAP_PAGES * PAGE))
        die("munmap");
}

/* Two processes by turns: a switch of page tables each way. */
static void pass_token(unsigned batch)
{
    int to[2], from[2];
    char token = 0;
    pid_t pid;

    (void)batch;
    if (pipe(to) || pipe(from) || (pid = fork()) < 0)
        die("pipe");
    if (!pid) {
        close(to[1]);
        while (read(to[0], &token, 1) == 1 && write(from[1], &token, 1) == 1)
            ;
        _exit(0);
    }
    for (unsigned i = 0; i < 100; i++)
        if (write(to[1], &token, 1) != 1 || read(from[0], &token, 1) != 1)
            die("token");
    close(to[0]);
    close(to[1]);
    close(from[0]);
    close(from[1]);
    waitpid(pid, NULL, 0);
}

/* Block requests, by grants: 64 KiB each way. */
static void disk(unsigned batch)
{
    off_t at = (off_t)(batch % 64) * 65536;

    if (pwrite(bench.fd, bench.buf, 65536, at) != 65536 ||
        pread(bench.fd, bench.buf, 65536, at) != 65536)
        die(bench.file);
}

static uint16_t checksum(const uint16_t *p, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len / 2; i++)
        sum += p[i];
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~(sum + (sum >> 16));
}

/* Packets, by grants and copies of them: dom0's kernel answers. */
static void ping(unsigned batch)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    static _Alignas(8) uint8_t packet[1408], got[2048];
    struct icmphdr *h = (void *)packet;
    const struct icmphdr *r = (const void *)(got + 20);

    inet_pton(AF_INET, HOST, &to.sin_addr);
    *h = (struct icmphdr){.type = ICMP_ECHO,
                          .un.echo = {.id = 77, .sequence = (uint16_t)batch}};
    h->checksum =
        checksum((const uint16_t *)(const void *)packet, sizeof(packet));
    if (sendto(bench.sock, packet, sizeof(packet), 0, (struct sockaddr *)&to,
               sizeof(to)) < 0)
        die("ping");
    do {
        if (recv(bench.sock, got, sizeof(got), 0) < 0)
            die("no answer to a ping");
    } while (r->type != ICMP_ECHOREPLY ||
             r->un.echo.sequence != (uint16_t)batch);
}

/* Event channels and rings of pages that dom0 maps. */
static void ask_store(unsigned batch)
{
    char value[BUS_VALUE_MAX + 1];

    (void)batch;
    for (unsigned i = 0; i < 10; i++)
        if (bus_read(&bench.bus, "name", value))
            die("xenstore");
}

static uint64_t read_kib(const char *path)
{
    uint64_t kib = 0;
    FILE *f = fopen(path, "re");

    if (!f || fscanf(f, "%lu", &kib) != 1)
        die(path);
    fclose(f);
    return kib;
}

static void balloon_to(uint64_t kib)
{
    FILE *f = fopen(BALLOON "/target_kb", "we");

    if (!f || fprintf(f, "%lu", kib) < 0 || fclose(f))
        die("balloon");
    while (read_kib(BALLOON "/info/current_kb") != kib)
        usleep(1000); /* lint: sleep ok: the balloon has no event */
}

/* Pages go to Xen and come back. */
static void balloon(unsigned batch)
{
    uint64_t kib = read_kib(BALLOON "/info/current_kb");

    (void)batch;
    balloon_to(kib - BALLOON_KIB);
    balloon_to(kib);
}

/* clang-format off */
static const struct work {
    const char *name;
    void (*batch)(unsigned batch);
    unsigned per_batch; /* what a time is divided by */
} works[] = {
    { "touch",     touch,       TOUCH_PAGES          },
    { "sweep",     sweep,       SWEEPS * REGION_PAGES },
    { "look",      look,        REGION_PAGES         },
    { "full",      fill_full,   REGION_PAGES         },
    { "zero",      fill_zero,   REGION_PAGES         },
    { "tail",      fill_tail,   REGION_PAGES         },
    { "compute",   compute,     1                    },
    { "syscall",   call_kernel, 1000                 },
    { "fork",      fork_wait,   1                    },
    { "map",       map_unmap,   MAP_PAGES            },
    { "token",     pass_token,  100                  },
    { "disk",      disk,        1                    },
    { "ping",      ping,        1                    },
    { "store",     ask_store,   10                   },
    { "balloon",   balloon,     BALLOON_KIB / 4 * 2  },
};
/* clang-format on */

/* --- asked and answered ----------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void measure(const struct work *w, unsigned nr)
{
    uint64_t begin, end;

    /* dom0's instructions count as time, and it is still about to wait. */
    sleep(1); /* lint: sleep ok: until nobody does anything is no event */
    /* Its pages may be write protected as any: not in the middle of it. */
    memset(bench.sample, 0, sizeof(bench.sample));
    begin = now_ns();
    for (unsigned i = 0; i < nr; i++) {
        w->batch(i);
        end = now_ns();
        bench.sample[i] = end - begin;
        begin = end;
    }
    bench.nr_samples = nr;
}

static void answer(const char *seq, unsigned per_batch)
{
    uint64_t n = bench.nr_samples, sum = 0;
    double per = per_batch, median;

    for (uint64_t i = 0; i < n; i++)
        sum += bench.sample[i];
    qsort(bench.sample, n, sizeof(bench.sample[0]), by_value);
    median = (double)(bench.sample[n / 2] + bench.sample[(n - 1) / 2]) / 2;
    printf("BENCH %s mean %.3f median %.3f min %.3f total %.0f\n", seq,
           (double)sum / (double)n / per, median / per,
           (double)bench.sample[0] / per, median * (double)n);
}

static void obey(const char *words)
{
    unsigned nr = 0, region = 0;
    char seq[16], name[16];

    if (sscanf(words, "%15s %15s %u %u", seq, name, &nr, &region) < 3)
        return;
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
        if (!strcmp(works[i].name, name) && nr && nr <= MAX_BATCHES &&
            region < bench.nr_regions) {
            bench.region = bench.memory + region * (REGION_BYTES / 8);
            measure(&works[i], nr);
            answer(seq, works[i].per_batch);
            return;
        }
    printf("BENCH %s what is \"%s\"?\n", seq, words);
}

static void prepare(void)
{
    size_t len = (size_t)bench.nr_regions * REGION_BYTES;
    struct timeval limit = {.tv_sec = 5};
    char *p = mmap(NULL, len + SUPERPAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        die("memory");
    p += SUPERPAGE - (uintptr_t)p % SUPERPAGE;
    /* As large as Xen's own entries, so that each of those is split once. */
    madvise(p, len, MADV_HUGEPAGE);
    bench.memory = (void *)p;
    for (unsigned i = 0; i < bench.nr_regions; i++) {
        bench.region = bench.memory + i * (REGION_BYTES / 8);
        fill_full(i);
    }
    bench.buf = aligned_alloc(PAGE, 65536);
    memset(bench.buf, 'b', 65536);
    bench.fd = open(bench.file, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    if (bench.fd >= 0)
        for (unsigned i = 0; i < 64; i++)
            disk(i);
    bench.sock = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (bench.sock >= 0)
        setsockopt(bench.sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    mlockall(MCL_CURRENT);
}

int main(int argc, char **argv)
{
    char value[BUS_VALUE_MAX + 1], last[BUS_VALUE_MAX + 1] = "";

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 3)
        die("usage");
    bench.nr_regions = (unsigned)atoi(argv[1]);
    bench.file = argv[2];
    prepare();
    if (bus_open(&bench.bus, NULL) || bus_watch(&bench.bus, NODE))
        die("xenstore");
    printf("BENCH READY\n");
    while (!bus_wait(&bench.bus, -1, NULL)) {
        if (bus_read(&bench.bus, NODE, value) || !strcmp(value, last))
            continue;
        strcpy(last, value);
        obey(value);
    }
    die("xenstore");
}
