/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The helper of xen_cow_tool inside of a guest: has pages of which it publishes
 * the frame numbers (and grants) in xenstore, below data/cow, and then does
 * what data/cow/do says, "SERIAL WORD", answering "SERIAL RC" in data/cow/done:
 *
 *   write      writes the pages "own" itself
 *   read       reads them
 *   hypercall  Xen writes the answers of hypercalls into the pages "own"
 *   vcpu-info  a vCPU that is offline gets its vcpu_info into "info"
 *   fifo       and its event control block into "fifo"; an event is sent to it
 *   age        the accessed bits of the tables of other areas are cleared
 *   look       half of these areas are read
 *   walk       a hypercall has its answers put into the other half
 *
 * But for "write", no page is written here after its frame number is known:
 * whoever changes it is Xen, dom0, or the walk of the page tables.
 */
/* Else Xen's headers give the hypercalls their oldest numbers. */
#define __XEN_INTERFACE_VERSION__ 0x00040d00

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/event_channel.h>
#include <xen/sys/gntalloc.h>
#include <xen/sys/privcmd.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/xen.h>

#include "xen_bus.h"

#define PAGE 4096ul
#define BIG (512 * PAGE)
#define NR_PAGES 16u
#define NR_AREAS 8u /* for each of look and walk */
#define NR_USES 4u  /* of what each vCPU allows once */

static struct bus bus;
static int privcmd;
static char *own, *info, *fifo, *big, *areas, *granted;
static uint32_t refs[NR_PAGES];
static unsigned nr_infos, nr_fifos;

static void give_up(const char *what)
{
    printf("COW-GUEST %s: %s\n", what, strerror(errno));
    exit(1);
}

static char *new_pages(size_t len, size_t align)
{
    char *p = mmap(NULL, len + align, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        give_up("mmap");
    return (char *)(((uintptr_t)p + align - 1) & ~(align - 1));
}

static void stay(const char *p, size_t len)
{
    if (mlock(p, len))
        give_up("mlock");
}

static uint64_t frame_of(const char *page)
{
    int fd = open("/proc/self/pagemap", O_RDONLY);
    uint64_t entry = 0;

    if (fd < 0 ||
        pread(fd, &entry, 8, (off_t)((uintptr_t)page / PAGE * 8)) != 8)
        give_up("pagemap");
    close(fd);
    return entry & ((UINT64_C(1) << 55) - 1);
}

static void publish(const char *name, const char *text)
{
    char path[64];

    snprintf(path, sizeof(path), "data/cow/%s", name);
    if (bus_write(&bus, path, text))
        give_up(path);
}

static void publish_pages(const char *name, const char *pages, unsigned nr,
                          size_t step)
{
    char text[NR_PAGES * 18 + 1] = "";
    unsigned i, n = 0;

    for (i = 0; i < nr; i++)
        n += (unsigned)snprintf(text + n, sizeof(text) - n, "%s%llx",
                                i ? " " : "",
                                (unsigned long long)frame_of(pages + i * step));
    publish(name, text);
}

/* --- what Xen is asked ---------------------------------------------------- */

static long hypercall(uint64_t op, uint64_t a, uint64_t b, uint64_t third)
{
    struct privcmd_hypercall call = {.op = op, .arg = {a, b, third}};
    long rc = ioctl(privcmd, IOCTL_PRIVCMD_HYPERCALL, &call);

    return rc < 0 ? -errno : rc;
}

static long answer_into(char *page)
{
    /* Its 16 bytes are written by Xen, and nobody else touches the page. */
    return hypercall(__HYPERVISOR_xen_version, XENVER_extraversion,
                     (uintptr_t)page, 0);
}

static long do_write(void)
{
    memset(own, 0x3c, NR_PAGES * PAGE);
    return 0;
}

static long do_read(void)
{
    for (size_t i = 0; i < NR_PAGES * PAGE; i += PAGE)
        (void)*(volatile char *)(own + i);
    return 0;
}

static long do_hypercall(void)
{
    long rc = 0;

    for (unsigned i = 0; !rc && i < NR_PAGES; i++)
        rc = answer_into(own + i * PAGE);
    return rc;
}

/* Each vCPU that is offline, until one takes it. */
static long do_vcpu_info(void)
{
    struct vcpu_register_vcpu_info arg = {.mfn =
                                              frame_of(info + nr_infos * PAGE)};
    long rc = -ENOENT;

    for (unsigned v = 1; v < 64 && rc; v++) {
        rc = hypercall(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, v,
                       (uintptr_t)&arg);
        if (rc == -ENOENT)
            break;
    }
    if (!rc && ++nr_infos < NR_USES)
        publish_pages("info", info + nr_infos * PAGE, 1, PAGE);
    return rc;
}

static long do_fifo(void)
{
    struct evtchn_init_control arg = {.control_gfn =
                                          frame_of(fifo + nr_fifos * PAGE)};
    struct evtchn_bind_ipi bind = {0};
    struct evtchn_unmask unmask;
    struct evtchn_send send;
    long rc = -ENOENT;

    for (arg.vcpu = 1; arg.vcpu < 64; arg.vcpu++) {
        rc = hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_init_control,
                       (uintptr_t)&arg, 0);
        if (!rc || rc == -ENOENT)
            break;
    }
    bind.vcpu = arg.vcpu;
    if (!rc)
        rc = hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi,
                       (uintptr_t)&bind, 0);
    send.port = unmask.port = bind.port;
    if (!rc)
        rc = hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_unmask,
                       (uintptr_t)&unmask, 0);
    if (!rc)
        rc = hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send,
                       (uintptr_t)&send, 0);
    if (!rc && ++nr_fifos < NR_USES)
        publish_pages("fifo", fifo + nr_fifos * PAGE, 1, PAGE);
    return rc;
}

/* --- page tables ----------------------------------------------------------- */

/* An area is 2 MiB with one page in it, so it has a table of its own. */
static long do_age(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY);
    long rc = fd >= 0 && write(fd, "1", 1) == 1 ? 0 : -errno;

    close(fd);
    return rc;
}

static long do_look(void)
{
    char sum = 0;

    for (unsigned i = 0; i < NR_AREAS; i++)
        sum += *(volatile char *)(areas + i * BIG);
    return sum ? 0 : -EIO;
}

static long do_walk(void)
{
    long rc = 0;

    for (unsigned i = NR_AREAS; !rc && i < 2 * NR_AREAS; i++)
        rc = answer_into(areas + i * BIG);
    return rc;
}

/* --- pages ---------------------------------------------------------------- */

static void make_grants(void)
{
    const size_t len =
        sizeof(struct ioctl_gntalloc_alloc_gref) + NR_PAGES * sizeof(uint32_t);
    struct ioctl_gntalloc_alloc_gref *arg = calloc(1, len);
    int fd = open("/dev/xen/gntalloc", O_RDWR);
    char text[NR_PAGES * 10 + 1] = "";
    unsigned n = 0;

    if (fd < 0 || !arg)
        give_up("gntalloc");
    arg->domid = 0;
    arg->flags = GNTALLOC_FLAG_WRITABLE;
    arg->count = NR_PAGES;
    if (ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, arg))
        give_up("grants");
    memcpy(refs, arg->gref_ids, sizeof(refs));
    granted = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
                   fd, (off_t)arg->index);
    if (granted == MAP_FAILED)
        give_up("map grants");
    free(arg);
    for (unsigned i = 0; i < NR_PAGES; i++)
        n += (unsigned)snprintf(text + n, sizeof(text) - n, "%s%x",
                                i ? " " : "", refs[i]);
    publish("refs", text);
}

static void make_pages(void)
{
    own = new_pages(NR_PAGES * PAGE, PAGE);
    info = new_pages(NR_USES * PAGE, PAGE);
    fifo = new_pages(NR_USES * PAGE, PAGE);
    big = new_pages(BIG, BIG);
    areas = new_pages(2 * NR_AREAS * BIG, BIG);
    madvise(big, BIG, MADV_HUGEPAGE);
    madvise(areas, 2 * NR_AREAS * BIG, MADV_NOHUGEPAGE);
    make_grants();
    memset(own, 0xa5, NR_PAGES * PAGE);
    memset(granted, 0xa5, NR_PAGES * PAGE);
    memset(big, 0xa5, BIG);
    memset(fifo, 0, NR_USES * PAGE);
    memset(info, 0xa5, NR_USES * PAGE);
    for (unsigned i = 0; i < 2 * NR_AREAS; i++) {
        memset(areas + i * BIG, 0xa5, PAGE);
        stay(areas + i * BIG, PAGE);
    }
    stay(own, NR_PAGES * PAGE);
    stay(fifo, NR_USES * PAGE);
    stay(info, NR_USES * PAGE);
    stay(big, BIG);
    publish_pages("own", own, NR_PAGES, PAGE);
    publish_pages("granted", granted, NR_PAGES, PAGE);
    publish_pages("info", info, 1, PAGE);
    publish_pages("fifo", fifo, 1, PAGE);
    publish_pages("big", big, NR_PAGES, 32 * PAGE);
    publish("none", "");
}

static long obey(const char *word)
{
    static const struct {
        const char *word;
        long (*run)(void);
    } table[] = {
        {"write", do_write},         {"read", do_read},
        {"hypercall", do_hypercall}, {"vcpu-info", do_vcpu_info},
        {"fifo", do_fifo},           {"age", do_age},
        {"look", do_look},           {"walk", do_walk},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (!strcmp(word, table[i].word))
            return table[i].run();
    return -ENOSYS;
}

int main(void)
{
    char value[BUS_VALUE_MAX + 1], last[64] = "", answer[96], *word;

    privcmd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
    if (privcmd < 0 || bus_open(&bus, NULL))
        give_up("devices");
    make_pages();
    if (bus_watch(&bus, "data/cow/do"))
        give_up("watch");
    puts("COW-GUEST ready");
    for (;;) {
        if (!bus_read(&bus, "data/cow/do", value) &&
            (word = strchr(value, ' '))) {
            *word++ = '\0';
            if (strcmp(value, last)) {
                snprintf(last, sizeof(last), "%.60s", value);
                snprintf(answer, sizeof(answer), "%s %ld", last, obey(word));
                publish("done", answer);
            }
        }
        bus_wait(&bus, -1, NULL);
    }
}
