/* SPDX-License-Identifier: LGPL-2.1-only */
/* Out as others read it, and back. */
#include "ckpt.h"

#include <arpa/inet.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#include "checkpoint.h"
#include "ctx.h"
#include "export.h"
#include "fake/scratch.h"
#include "libxc_stream.h"
#include "machine.h"
#include "store.h"

#define UUID "11111111-1111-1111-1111-111111111111"
#define ID "00000000000000aa"
#define NR 3000u
#define TOP 0xfefffu
#define NOTE_FRAME 77u
#define CONFIG                                                                 \
    "{\"c_info\":{\"type\":\"hvm\",\"name\":\"web\",\"uuid\":\"" UUID "\"},"   \
    "\"disks\":[{\"pdev_path\":\"/dev/vg/a\",\"vdev\":\"xvda\","              \
    "\"readwrite\":1},{\"vdev\":\"hdc\",\"is_cdrom\":1},"                      \
    "{\"pdev_path\":\"/dev/vg/b\",\"vdev\":\"xvdb\"}]}"

/* As Xen begins and ends a stream of an HVM guest, in short. */
static void make_machine(struct ckpt *c, struct machine *m)
{
    const struct xc_image_header image = {.marker = XC_MARKER,
                                          .id = htonl(XC_ID),
                                          .version = htonl(XC_VERSION)};
    const struct xc_domain_header domain = {.type = XC_DOMAIN_HVM,
                                            .page_shift = 12,
                                            .xen_major = 4,
                                            .xen_minor = 17};

    memset(m, 0, sizeof(*m));
    assert_int_equal(blob_add(c, &m->head, &image, sizeof(image)), 0);
    assert_int_equal(blob_add(c, &m->head, &domain, sizeof(domain)), 0);
    assert_int_equal(blob_add_record(c, &m->head, XC_REC_STATIC_DATA_END, NULL, 0),
                     0);
    assert_int_equal(blob_add_record(c, &m->tail, XC_REC_HVM_CONTEXT, "hvm", 3),
                     0);
    assert_int_equal(blob_add(c, &m->emulator, "QEVM state", 10), 0);
}

static uint64_t seed_of(uint64_t gfn)
{
    return gfn % 3 ? gfn + 1 : 0;
}

/* The page tables lie where ROOT_FRAME is. */
#define NOTE                                                                   \
    "OSRELEASE=6.1.0\nSYMBOL(swapper_pg_dir)=ffffffff80400000\n"               \
    "NUMBER(phys_base)=-2097152\n"
#define ROOT_FRAME 512u

static void make_note(uint8_t *page)
{
    const Elf64_Nhdr head = {
        .n_namesz = 11, .n_descsz = sizeof(NOTE), .n_type = 0};

    memcpy(page + 500, "VMCOREINFO", 11); /* a string, and no note */
    memcpy(page + 1000, &head, sizeof(head));
    memcpy(page + 1012, "VMCOREINFO", 11);
    memcpy(page + 1024, NOTE, sizeof(NOTE));
}

static int setup(void **state)
{
    struct scratch_world *w;
    static struct page_batch b;
    static uint8_t page[PAGE_SIZE_BYTES];
    struct ckpt_info info;
    struct machine m;
    struct image *img;
    char *json;

    scratch_setup(state);
    w = *state;
    scratch_info(&info, ID, "one", "web", UUID);
    info.has_memory = true;
    assert_int_equal(image_create(w->c->store, ID, &img), 0);
    for (unsigned i = 0; i < NR; i++)
        assert_int_equal(scratch_put(img, i, seed_of(i)), 0);
    assert_int_equal(scratch_put(img, TOP, 99), 0);
    make_note(page);
    b = (struct page_batch){.nr = 1, .gfn = {NOTE_FRAME}, .data = {page}};
    assert_int_equal(image_put(img, &b), 0);
    make_machine(w->c, &m);
    assert_int_equal(machine_store(&m, img), 0);
    machine_fini(&m);
    assert_int_equal(image_put_blob(img, "config", CONFIG, sizeof(CONFIG)), 0);
    assert_int_equal(checkpoint_to_json(w->c, &info, &json), 0);
    assert_int_equal(image_commit(img, json), 0);
    free(json);
    ckpt_info_fini(&info);
    return 0;
}

static int export_to_memory(struct scratch_world *w, enum ckpt_format format)
{
    int fd = memfd_create("export", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ckpt_export(w->c, "one", format, fd), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void assert_same(struct ckpt *c, const char *id)
{
    static const char *const blobs[] = {MACHINE_BLOB_HEAD, MACHINE_BLOB_TAIL,
                                        MACHINE_BLOB_EMULATOR, "config", NULL};

    assert_true(scratch_same(c, ID, id, blobs));
}

static void what_goes_out_comes_back(void **state)
{
    struct scratch_world *w = *state;
    int fd = export_to_memory(w, CKPT_FORMAT_XL);
    struct ckpt_info info;

    assert_int_equal(ckpt_import(w->c, fd, "two", &info), 0);
    assert_string_equal(info.domain_name, "web");
    assert_string_equal(info.domain_uuid, UUID);
    assert_string_equal(info.domain_type, "hvm");
    assert_int_equal(info.nr_disks, 3);
    assert_string_equal(info.disks[0].target, "/dev/vg/a");
    assert_string_equal(info.disks[0].why_none, "imported");
    assert_string_equal(info.disks[1].why_none, "empty");
    assert_string_equal(info.disks[2].why_none, "read-only");
    assert_true(info.stored_bytes < 64 * 1024); /* all pages are there */
    assert_same(w->c, info.id);
    ckpt_info_fini(&info);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(ckpt_import(w->c, fd, "two", NULL), -EEXIST);
    close(fd);
}

/* Cut anywhere, it is refused, and nothing is left. */
static void a_file_cut_short_is_no_checkpoint(void **state)
{
    struct scratch_world *w = *state;
    int fd = export_to_memory(w, CKPT_FORMAT_XL);
    struct stat sb;

    assert_int_equal(fstat(fd, &sb), 0);
    for (off_t end = sb.st_size - 1; end >= 0; end -= end < 600 ? 1 : 98765) {
        assert_int_equal(ftruncate(fd, end), 0);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        assert_true(ckpt_import(w->c, fd, "two", NULL) < 0);
        assert_true(*ckpt_error(w->c));
    }
    assert_int_equal(scratch_count(w->dir, "store/checkpoints"), 1);
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 0);
    close(fd);
}

static void a_core_has_every_page_at_its_address(void **state)
{
    struct scratch_world *w = *state;
    int fd = export_to_memory(w, CKPT_FORMAT_VMCORE);
    Elf64_Ehdr e;
    Elf64_Phdr p[4];
    uint8_t note[160], page[PAGE_SIZE_BYTES], want[PAGE_SIZE_BYTES];

    assert_int_equal(pread(fd, &e, sizeof(e), 0), sizeof(e));
    assert_memory_equal(e.e_ident, ELFMAG, SELFMAG);
    assert_int_equal(e.e_type, ET_CORE);
    /* the note, two pieces of memory, and the root of the page tables */
    assert_int_equal(e.e_phnum, 4);
    assert_int_equal(pread(fd, p, sizeof(p), (off_t)e.e_phoff), sizeof(p));
    assert_int_equal(p[0].p_type, PT_NOTE);
    assert_int_equal(p[0].p_filesz, 12 + 12 + ((sizeof(NOTE) + 3) & ~3ul));
    assert_int_equal(pread(fd, note, p[0].p_filesz, (off_t)p[0].p_offset),
                     p[0].p_filesz);
    assert_string_equal((char *)note + 24, NOTE);
    assert_int_equal(p[3].p_vaddr, 0xffffffff80400000);
    assert_int_equal(p[3].p_paddr, ROOT_FRAME * 4096);
    assert_int_equal(p[3].p_filesz, 4096);
    assert_int_equal(p[3].p_offset, p[1].p_offset + ROOT_FRAME * 4096);
    assert_int_equal(p[1].p_filesz, NR * 4096);
    assert_int_equal(p[2].p_paddr, TOP * UINT64_C(4096));
    for (unsigned i = 0; i < NR; i++) {
        if (i == NOTE_FRAME)
            continue;
        scratch_page(want, seed_of(i));
        assert_int_equal(
            pread(fd, page, 4096, (off_t)(p[1].p_offset + i * 4096ul)), 4096);
        assert_memory_equal(page, want, sizeof(page));
    }
    scratch_page(want, 99);
    assert_int_equal(pread(fd, page, 4096, (off_t)p[2].p_offset), 4096);
    assert_memory_equal(page, want, sizeof(page));
    close(fd);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_goes_out_comes_back),
        T(a_file_cut_short_is_no_checkpoint),
        T(a_core_has_every_page_at_its_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
