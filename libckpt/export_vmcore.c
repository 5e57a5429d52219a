/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The memory as an ELF core with one PT_LOAD a run of frames, at its physical
 * addresses, as kdump and `virsh dump --memory-only` write it:
 *
 *     ELF head | program heads | notes | pages, run by run
 *
 * Tools that know Linux (crash, drgn) need the kernel's own VMCOREINFO note;
 * it lies in the guest's memory and is looked for there.  drgn also wants to
 * find the root of the kernel's page tables at its virtual address before it has
 * any: so that page has a program head more.  Zero pages are written as zeros,
 * as holes where the file can have them.
 */
#include "export.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "safe_io.h"
#include "store.h"

#define NOTE_NAME "VMCOREINFO"
#define NOTE_MAX 4096u
#define RUNS_MAX 60000u /* below PN_XNUM */
/* Where Linux has its image, and so the first page table: x86-64. */
#define KERNEL_MAP UINT64_C(0xffffffff80000000)

struct run {
    uint64_t gfn, nr;
};

struct vmcore {
    struct ckpt *c;
    struct image *img;
    int fd;
    bool can_seek;
    uint64_t hole_bytes; /* to be skipped before the next write */
    struct run *run;     /* owned */
    size_t nr_runs;
    uint8_t note[sizeof(Elf64_Nhdr) + 12 + NOTE_MAX];
    size_t note_bytes;
    uint64_t root_va, root_gfn; /* of the kernel's page tables; or root_va 0 */
    struct page_batch batch;
};

/* --- looking through it -------------------------------------------------- */

static int add_frame(struct vmcore *v, uint64_t gfn)
{
    struct run *last = v->nr_runs ? &v->run[v->nr_runs - 1] : NULL;

    if (last && last->gfn + last->nr == gfn) {
        last->nr++;
        return 0;
    }
    if (v->nr_runs == RUNS_MAX)
        return fail(v->c, -E2BIG, "memory in more than %u pieces", RUNS_MAX);
    if (v->nr_runs % 1024 == 0) {
        struct run *more =
            realloc(v->run, (v->nr_runs + 1024) * sizeof(*v->run));

        if (!more)
            return fail(v->c, -ENOMEM, "export");
        v->run = more;
    }
    v->run[v->nr_runs++] = (struct run){.gfn = gfn, .nr = 1};
    return 0;
}

/* The kernel keeps the note as it is to stand in a core, within one page. */
static void look_for_note(struct vmcore *v, const uint8_t *page)
{
    const uint8_t *at = page, *end = page + PAGE_SIZE_BYTES;
    Elf64_Nhdr head;
    size_t bytes;

    while (!v->note_bytes &&
           (at = memmem(at, (size_t)(end - at), NOTE_NAME, sizeof(NOTE_NAME)))) {
        const uint8_t *note = at - sizeof(head);

        at++;
        if (note < page)
            continue;
        memcpy(&head, note, sizeof(head));
        bytes = sizeof(head) + 12 + ((head.n_descsz + 3ul) & ~3ul);
        if (head.n_namesz != sizeof(NOTE_NAME) || head.n_type != 0 ||
            !head.n_descsz || head.n_descsz > NOTE_MAX ||
            bytes > (size_t)(end - note))
            continue;
        memcpy(v->note, note, bytes);
        v->note_bytes = bytes;
    }
}

static const struct run *run_of(const struct vmcore *v, uint64_t gfn)
{
    for (size_t i = 0; i < v->nr_runs; i++)
        if (gfn >= v->run[i].gfn && gfn - v->run[i].gfn < v->run[i].nr)
            return &v->run[i];
    return NULL;
}

/* As the note has it, "KEY=VALUE" a line.  It is the guest's word: what does not
 * lead to a page of its memory counts for nothing. */
static void look_for_root(struct vmcore *v)
{
    char text[NOTE_MAX + 2] = "\n";
    const char *at, *base;
    unsigned long long va;
    Elf64_Nhdr head;
    long long phys_base;
    uint64_t gfn;

    if (!v->note_bytes)
        return;
    memcpy(&head, v->note, sizeof(head));
    memcpy(text + 1, v->note + sizeof(head) + 12, head.n_descsz);
    text[1 + head.n_descsz] = '\0';
    at = strstr(text, "\nSYMBOL(swapper_pg_dir)=");
    base = strstr(text, "\nNUMBER(phys_base)=");
    if (!at || !base || sscanf(strchr(at, '=') + 1, "%llx", &va) != 1 ||
        sscanf(strchr(base, '=') + 1, "%lld", &phys_base) != 1 ||
        va < KERNEL_MAP || va % PAGE_SIZE_BYTES)
        return;
    gfn = (va - KERNEL_MAP + (uint64_t)phys_base) / PAGE_SIZE_BYTES;
    if (!run_of(v, gfn))
        return;
    v->root_va = va;
    v->root_gfn = gfn;
}

static int look(struct vmcore *v)
{
    uint64_t cursor = 0;
    int rc;

    do {
        rc = check_cancel(v->c);
        if (!rc)
            rc = image_next(v->img, &cursor, &v->batch);
        for (unsigned i = 0; !rc && i < v->batch.nr; i++) {
            rc = add_frame(v, v->batch.gfn[i]);
            if (v->batch.data[i] && !v->note_bytes)
                look_for_note(v, v->batch.data[i]);
        }
        progress(v->c, "memory looked through", cursor * PAGE_SIZE_BYTES,
                 image_nr_gfns(v->img) * PAGE_SIZE_BYTES);
    } while (!rc && v->batch.nr);
    return rc;
}

/* --- writing ------------------------------------------------------------- */

static int put(struct vmcore *v, const void *data, size_t len_bytes)
{
    int rc = 0;

    if (v->hole_bytes && lseek(v->fd, (off_t)v->hole_bytes, SEEK_CUR) < 0)
        rc = -errno;
    v->hole_bytes = 0;
    if (!rc)
        rc = safe_write_all(v->fd, data, len_bytes);
    return rc ? fail(v->c, rc, "writing the core") : 0;
}

static int put_page(struct vmcore *v, const void *page)
{
    static const uint8_t zeros[PAGE_SIZE_BYTES];

    if (page || !v->can_seek)
        return put(v, page ? page : zeros, PAGE_SIZE_BYTES);
    v->hole_bytes += PAGE_SIZE_BYTES;
    return 0;
}

/* The note's, one a run, and that of the page tables. */
static size_t nr_heads(const struct vmcore *v)
{
    return v->nr_runs + 1 + (v->root_va != 0);
}

static void fill_root(const struct vmcore *v, Elf64_Phdr *p)
{
    const struct run *r = run_of(v, v->root_gfn);

    p[v->nr_runs + 1] = p[1 + (r - v->run)];
    p += v->nr_runs + 1;
    p->p_offset += (v->root_gfn - r->gfn) * PAGE_SIZE_BYTES;
    p->p_paddr = v->root_gfn * PAGE_SIZE_BYTES;
    p->p_vaddr = v->root_va;
    p->p_filesz = p->p_memsz = PAGE_SIZE_BYTES;
}

static void fill_heads(const struct vmcore *v, Elf64_Ehdr *e, Elf64_Phdr *p)
{
    uint64_t offset = sizeof(*e) + nr_heads(v) * sizeof(*p);

    memcpy(e->e_ident, ELFMAG, SELFMAG);
    e->e_ident[EI_CLASS] = ELFCLASS64;
    e->e_ident[EI_DATA] = ELFDATA2LSB;
    e->e_ident[EI_VERSION] = EV_CURRENT;
    e->e_type = ET_CORE;
    e->e_machine = EM_X86_64;
    e->e_version = EV_CURRENT;
    e->e_phoff = sizeof(*e);
    e->e_ehsize = sizeof(*e);
    e->e_phentsize = sizeof(*p);
    e->e_phnum = (Elf64_Half)nr_heads(v);
    p[0].p_type = PT_NOTE;
    p[0].p_offset = offset;
    p[0].p_filesz = p[0].p_memsz = v->note_bytes;
    /* Pages at page boundaries, for who maps the file. */
    offset = (offset + v->note_bytes + PAGE_SIZE_BYTES - 1) &
             ~(uint64_t)(PAGE_SIZE_BYTES - 1);
    for (size_t i = 0; i < v->nr_runs; i++) {
        const uint64_t bytes = v->run[i].nr * PAGE_SIZE_BYTES;

        p[i + 1].p_type = PT_LOAD;
        p[i + 1].p_flags = PF_R | PF_W | PF_X;
        p[i + 1].p_offset = offset;
        p[i + 1].p_paddr = v->run[i].gfn * PAGE_SIZE_BYTES;
        p[i + 1].p_vaddr = p[i + 1].p_paddr;
        p[i + 1].p_filesz = p[i + 1].p_memsz = bytes;
        p[i + 1].p_align = PAGE_SIZE_BYTES;
        offset += bytes;
    }
    if (v->root_va)
        fill_root(v, p);
}

static int put_heads(struct vmcore *v)
{
    static const uint8_t zeros[PAGE_SIZE_BYTES];
    Elf64_Phdr *p = calloc(nr_heads(v), sizeof(*p));
    Elf64_Ehdr e = {.e_type = 0};
    size_t pad;
    int rc;

    if (!p)
        return fail(v->c, -ENOMEM, "export");
    fill_heads(v, &e, p);
    pad = (PAGE_SIZE_BYTES -
           (p[0].p_offset + v->note_bytes) % PAGE_SIZE_BYTES) % PAGE_SIZE_BYTES;
    rc = put(v, &e, sizeof(e));
    if (!rc)
        rc = put(v, p, nr_heads(v) * sizeof(*p));
    if (!rc)
        rc = put(v, v->note, v->note_bytes);
    if (!rc)
        rc = put(v, zeros, pad);
    free(p);
    return rc;
}

static int put_pages(struct vmcore *v)
{
    uint64_t cursor = 0;
    off_t end;
    int rc;

    do {
        rc = check_cancel(v->c);
        if (!rc)
            rc = image_next(v->img, &cursor, &v->batch);
        for (unsigned i = 0; !rc && i < v->batch.nr; i++)
            rc = put_page(v, v->batch.data[i]);
        progress(v->c, "memory exported", cursor * PAGE_SIZE_BYTES,
                 image_nr_gfns(v->img) * PAGE_SIZE_BYTES);
    } while (!rc && v->batch.nr);
    if (rc || !v->hole_bytes)
        return rc;
    end = lseek(v->fd, (off_t)v->hole_bytes, SEEK_CUR);
    if (end < 0 || ftruncate(v->fd, end) < 0)
        return fail(v->c, -errno, "writing the core");
    return 0;
}

int export_vmcore(struct ckpt *c, const struct ckpt_info *info,
                  struct image *img, int fd)
{
    struct vmcore *v = calloc(1, sizeof(*v));
    struct stat sb;
    int rc;

    if (!v)
        return fail(c, -ENOMEM, "export");
    v->c = c;
    v->img = img;
    v->fd = fd;
    v->can_seek = !fstat(fd, &sb) && S_ISREG(sb.st_mode);
    rc = look(v);
    look_for_root(v);
    if (!rc && !v->note_bytes)
        warn(c, "checkpoint %s: no VMCOREINFO in its memory: tools for Linux "
                "may not know it", info->id);
    if (!rc)
        rc = put_heads(v);
    if (!rc)
        rc = put_pages(v);
    free(v->run);
    free(v);
    return rc;
}
