/* SPDX-License-Identifier: LGPL-2.1-only */
/* Archives: out, in again, and what is refused on the way. */
#include "ckpt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#include "archive_format.h"
#include "checkpoint.h"
#include "ctx.h"
#include "fake/golden.h"
#include "fake/scratch.h"
#include "machine.h"
#include "store.h"

#define UUID "11111111-1111-1111-1111-111111111111"
#define ID "00000000000000aa"
#define NR 1500u
#define TOP 0xfefffu
#define CONFIG                                                                 \
    "{\"c_info\":{\"type\":\"hvm\",\"name\":\"web\",\"uuid\":\"" UUID "\"}}"

static uint64_t seed_of(uint64_t gfn)
{
    return gfn % 3 ? (gfn + 1) | (gfn % 2 ? SCRATCH_DULL : 0) : 0;
}

static void put_blob(struct image *img, const char *name, const char *text)
{
    assert_int_equal(image_put_blob(img, name, text, strlen(text) + 1), 0);
}

static int setup(void **state)
{
    struct scratch_world *w;
    struct ckpt_info info;
    struct image *img;
    char *json;

    scratch_setup(state);
    w = *state;
    scratch_info(&info, ID, "one", "web", UUID);
    info.has_memory = true;
    info.keep = true;
    free(info.tags);
    info.tags = strdup("gold");
    info.created_unix_us = INT64_C(4000000000000000); /* yet to come */
    assert_int_equal(image_create(w->c->store, ID, &img), 0);
    for (unsigned i = 0; i < NR; i++)
        assert_int_equal(scratch_put(img, i, seed_of(i)), 0);
    assert_int_equal(scratch_put(img, TOP, 99), 0);
    put_blob(img, MACHINE_BLOB_HEAD, "the head");
    put_blob(img, MACHINE_BLOB_TAIL, "the tail");
    put_blob(img, "config", CONFIG);
    assert_int_equal(checkpoint_to_json(w->c, &info, &json), 0);
    assert_int_equal(image_commit(img, json), 0);
    free(json);
    ckpt_info_fini(&info);
    return 0;
}

static int export(struct scratch_world *w, const struct ckpt_export_opts *opts)
{
    int fd = memfd_create("archive", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ckpt_export_archive(w->c, "one", opts, fd, NULL), 0);
    return fd;
}

static int import(struct scratch_world *w, int fd, const char *name,
                  const struct ckpt_import_opts *opts, struct ckpt_info *info)
{
    struct ckpt_import_opts with = {.name = name};

    if (opts)
        with = *opts;
    with.name = name;
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return ckpt_import_with(w->c, fd, &with, info);
}

static void assert_same(struct ckpt *c, const char *id)
{
    static const char *const blobs[] = {MACHINE_BLOB_HEAD, MACHINE_BLOB_TAIL,
                                        "config", NULL};

    assert_true(scratch_same(c, ID, id, blobs));
}

/* --- what comes back ------------------------------------------------------- */

static void what_goes_out_comes_back(void **state)
{
    struct scratch_world *w = *state;
    int fd = export(w, NULL);
    struct ckpt_info info;

    assert_int_equal(import(w, fd, "two", NULL, &info), 0);
    assert_string_equal(info.domain_name, "web");
    assert_string_equal(info.domain_uuid, UUID);
    assert_string_equal(info.name, "two");
    assert_same(w->c, info.id);
    ckpt_info_fini(&info);
    assert_int_equal(import(w, fd, "two", NULL, NULL), -EEXIST);
    assert_int_equal(import(w, fd, NULL, NULL, NULL), -EEXIST); /* "one" */
    close(fd);
}

static void what_meant_something_elsewhere_is_forgotten(void **state)
{
    struct scratch_world *w = *state;
    int fd = export(w, NULL);
    struct ckpt_info info;

    assert_int_equal(import(w, fd, "two", NULL, &info), 0);
    assert_string_not_equal(info.id, ID);
    assert_false(info.keep);
    assert_string_equal(info.tags, "");
    assert_string_equal(info.parent, "");
    assert_true(info.created_unix_us <= now_unix_us());
    ckpt_info_fini(&info);
    close(fd);
}

/* A pipe has neither an end to seek to nor a length. */
static void it_goes_through_a_pipe(void **state)
{
    struct scratch_world *w = *state;
    const struct ckpt_import_opts opts = {.name = "two"};
    struct ckpt_info info;
    int fds[2], status;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        _exit(ckpt_export_archive(w->c, "one", NULL, fds[1], NULL) ? 1 : 0);
    }
    close(fds[1]);
    assert_int_equal(ckpt_import_with(w->c, fds[0], &opts, &info), 0);
    assert_same(w->c, info.id);
    ckpt_info_fini(&info);
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* --- damage ---------------------------------------------------------------- */

static void assert_nothing_is_left(struct scratch_world *w)
{
    assert_int_equal(scratch_count(w->dir, "store/checkpoints"), 1);
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 0);
}

static void an_archive_cut_short_is_no_checkpoint(void **state)
{
    struct scratch_world *w = *state;
    int fd = export(w, NULL);
    struct stat sb;

    assert_int_equal(fstat(fd, &sb), 0);
    for (off_t end = sb.st_size - 1; end >= 0;
         end -= end < 1100 || end > sb.st_size - 200 ? 7 : 123457) {
        assert_int_equal(ftruncate(fd, end), 0);
        assert_int_equal(import(w, fd, "two", NULL, NULL), -EUCLEAN);
        assert_true(*ckpt_error(w->c));
    }
    assert_nothing_is_left(w);
    close(fd);
}

static void flip(int fd, off_t at)
{
    uint8_t octet;

    assert_int_equal(pread(fd, &octet, 1, at), 1);
    octet ^= 0x10;
    assert_int_equal(pwrite(fd, &octet, 1, at), 1);
}

/* Whatever it is, a changed octet is not believed; -EPERM: of who signed. */
static void assert_no_octet_can_be_changed(struct scratch_world *w, int fd,
                                           const struct ckpt_import_opts *opts)
{
    struct stat sb;

    assert_int_equal(fstat(fd, &sb), 0);
    for (off_t at = 0; at < sb.st_size; at += at < 1100 ? 13 : 40009) {
        int rc;

        flip(fd, at);
        rc = import(w, fd, "two", opts, NULL);
        if (rc != -EUCLEAN && rc != -EPERM)
            print_error("octet %ld: %d\n", (long)at, rc);
        assert_true(rc == -EUCLEAN || rc == -EPERM);
        flip(fd, at);
    }
    assert_nothing_is_left(w);
    assert_int_equal(import(w, fd, "two", opts, NULL), 0);
}

static void no_octet_can_be_changed(void **state)
{
    struct scratch_world *w = *state;
    int fd = export(w, NULL);

    assert_no_octet_can_be_changed(w, fd, NULL);
    close(fd);
}

/* --- keys ------------------------------------------------------------------ */

static const char *key(struct scratch_world *w, enum ckpt_key kind,
                       const char *name)
{
    const char *path = scratch_path(w->dir, name);

    assert_int_equal(ckpt_keygen(w->c, kind, path), 0);
    return path;
}

static void encrypted_it_is_for_the_keys_named(void **state)
{
    struct scratch_world *w = *state;
    char mine[300], shared[300], other[300], public[310];
    const char *const to[] = {public, shared, NULL};
    const struct ckpt_export_opts out = {.encrypt_to = to};
    struct ckpt_import_opts in = {.name = NULL};
    const char *with[] = {NULL, NULL};
    int fd;

    snprintf(mine, sizeof(mine), "%s", key(w, CKPT_KEY_READ, "mine"));
    snprintf(other, sizeof(other), "%s", key(w, CKPT_KEY_READ, "other"));
    snprintf(shared, sizeof(shared), "%s", key(w, CKPT_KEY_SHARED, "shared"));
    snprintf(public, sizeof(public), "%s.pub", mine);
    fd = export(w, &out);
    assert_int_equal(import(w, fd, "two", NULL, NULL), -EPERM);
    in.decrypt_with = with;
    with[0] = other;
    assert_int_equal(import(w, fd, "two", &in, NULL), -EPERM);
    with[0] = public;
    assert_int_equal(import(w, fd, "two", &in, NULL), -EINVAL);
    with[0] = mine;
    assert_int_equal(import(w, fd, "two", &in, NULL), 0);
    with[0] = shared;
    assert_int_equal(import(w, fd, "three", &in, NULL), 0);
    close(fd);
    fd = export(w, NULL); /* who asks for a key wants no other archive */
    assert_int_equal(import(w, fd, "four", &in, NULL), -EPERM);
    close(fd);
}

/* Not one word of the guest or of its configuration. */
static void encrypted_nothing_of_it_can_be_read(void **state)
{
    struct scratch_world *w = *state;
    const char *const to[] = {key(w, CKPT_KEY_SHARED, "shared"), NULL};
    const struct ckpt_export_opts out = {.encrypt_to = to};
    const struct ckpt_import_opts in = {.decrypt_with = to};
    int fd = export(w, &out);
    struct stat sb;
    void *all;

    assert_int_equal(fstat(fd, &sb), 0);
    all = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(all != MAP_FAILED);
    assert_null(memmem(all, (size_t)sb.st_size, UUID, strlen(UUID)));
    assert_null(memmem(all, (size_t)sb.st_size, "the tail", 8));
    munmap(all, (size_t)sb.st_size);
    assert_no_octet_can_be_changed(w, fd, &in);
    close(fd);
}

static void signed_it_is_by_whom_it_must(void **state)
{
    struct scratch_world *w = *state;
    char mine[300], public[310], other[310];
    const char *by[] = {public, NULL};
    struct ckpt_export_opts out = {.sign_with = mine};
    const struct ckpt_import_opts in = {.signed_by = by};
    int fd, plain;

    snprintf(mine, sizeof(mine), "%s", key(w, CKPT_KEY_SIGN, "mine"));
    snprintf(public, sizeof(public), "%s.pub", mine);
    snprintf(other, sizeof(other), "%s.pub", key(w, CKPT_KEY_SIGN, "other"));
    fd = export(w, &out);
    assert_no_octet_can_be_changed(w, fd, &in);
    by[0] = other;
    assert_int_equal(import(w, fd, "three", &in, NULL), -EPERM);
    by[0] = public;
    plain = export(w, NULL);
    assert_int_equal(import(w, plain, "three", &in, NULL), -EPERM);
    assert_int_equal(import(w, fd, "three", NULL, NULL), 0); /* and warned */
    close(plain);
    close(fd);
}

/* Each of two archives is good; one with a chunk of the other is none. */
static void chunks_of_two_archives_do_not_mix(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_export_opts out = {.sign_with = key(w, CKPT_KEY_SIGN, "k")};
    struct archive_chunk a, b;
    char *chunk;
    int x, y;

    x = export(w, &out);
    assert_int_equal(import(w, x, "two", NULL, NULL), 0);
    assert_int_equal(pread(x, &a, sizeof(a), 1024), sizeof(a));
    y = memfd_create("other", MFD_CLOEXEC);
    assert_int_equal(ckpt_export_archive(w->c, "two", &out, y, NULL), 0);
    assert_int_equal(pread(y, &b, sizeof(b), 1024), sizeof(b));
    /* the second chunks, of memory, which is the same */
    chunk = malloc(2u << 20);
    assert_true(pread(y, chunk, sizeof(b) + b.stored + 64, 1024) > 64);
    assert_true(pwrite(x, chunk, sizeof(b) + b.stored + 64, 1024) > 64);
    free(chunk);
    assert_int_equal(import(w, x, "three", NULL, NULL), -EUCLEAN);
    close(x);
    close(y);
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    struct scratch_world *w = *state;
    const char *path = key(w, CKPT_KEY_SIGN, "mine");
    const struct ckpt_export_opts out = {.sign_with = path};
    struct stat st;
    int fd = memfd_create("archive", MFD_CLOEXEC);

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(ckpt_keygen(w->c, CKPT_KEY_SIGN, path), -EEXIST);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(ckpt_export_archive(w->c, "one", &out, fd, NULL), -EPERM);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 30), 0);
    assert_int_equal(ckpt_export_archive(w->c, "one", &out, fd, NULL), -EINVAL);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 0); /* keys are looked at first */
    close(fd);
}

/* --- disks ----------------------------------------------------------------- */

/* A checkpoint of a raw file, as the driver makes it. */
static void take_with_disk(struct scratch_world *w, const char *snapshot)
{
    struct ckpt_info info;
    struct image *img;
    char *json;

    scratch_info(&info, "00000000000000bb", "disk", "web", UUID);
    info.disks = calloc(1, sizeof(*info.disks));
    info.nr_disks = 1;
    info.disks[0] = (struct ckpt_disk){.vdev = strdup("xvda"),
                                       .driver = strdup("reflink"),
                                       .target = strdup("/old/web.img"),
                                       .snapshot = strdup(snapshot),
                                       .size_bytes = 300u << 10};
    assert_int_equal(image_create(w->c->store, info.id, &img), 0);
    put_blob(
        img, "config",
        "{\"disks\":[{\"vdev\":\"xvda\",\"pdev_path\":\"/old/web.img\"}]}");
    assert_int_equal(checkpoint_to_json(w->c, &info, &json), 0);
    assert_int_equal(image_commit(img, json), 0);
    free(json);
    ckpt_info_fini(&info);
}

static int export_with_disk(struct scratch_world *w,
                            struct ckpt_export_result *result)
{
    const char *snapshot =
        scratch_path(w->dir, "web.img.ckpt-00000000000000bb-xvda");
    int disk = open(snapshot, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int fd = memfd_create("archive", MFD_CLOEXEC);

    assert_true(disk >= 0);
    assert_int_equal(ftruncate(disk, 300 << 10), 0);
    assert_int_equal(pwrite(disk, "begin", 5, 0), 5);
    assert_int_equal(pwrite(disk, "middle", 6, 123456), 6);
    assert_int_equal(pwrite(disk, "end", 3, (300 << 10) - 3), 3);
    close(disk);
    take_with_disk(w, snapshot);
    assert_int_equal(ckpt_export_archive(w->c, "disk", NULL, fd, result), 0);
    return fd;
}

static void of_a_disk_what_is_zero_is_not_there(void **state)
{
    struct ckpt_export_result result;
    int fd = export_with_disk(*state, &result);

    assert_int_equal(result.nr_disks, 1);
    assert_int_equal(result.disk_bytes, 3 * 4096);
    assert_true(result.archive_bytes < 4096);
    close(fd);
}

static void a_disk_needs_a_place(void **state)
{
    struct scratch_world *w = *state;
    int fd = export_with_disk(w, NULL);
    char there[300];
    const char *words[] = {NULL, NULL, NULL};
    struct ckpt_import_opts in = {.disks = words};
    struct ckpt_info info;
    char *word;

    assert_int_equal(import(w, fd, "two", NULL, NULL), -EINVAL);
    assert_non_null(strstr(ckpt_error(w->c), "xvda"));
    words[0] = "xvdb=none";
    assert_int_equal(import(w, fd, "two", &in, NULL), -EINVAL);
    words[0] = "xvda=relative";
    assert_int_equal(import(w, fd, "two", &in, NULL), -EINVAL);
    words[0] = "xvda=thin:vg/pool";
    assert_int_equal(import(w, fd, "two", &in, NULL), -EINVAL);
    words[0] = "xvda=dmthin:pool/a/b";
    assert_int_equal(import(w, fd, "two", &in, NULL), -EINVAL);
    words[0] = "xvda=rbd:rbd/web@mine";
    assert_int_equal(import(w, fd, "two", &in, NULL), -EINVAL);
    words[0] = "xvda=rbd:rbd/web:log_file=/etc/passwd";
    assert_int_equal(import(w, fd, "two", &in, NULL), -EINVAL);
    words[0] = "xvda=none";
    words[1] = "xvda=none";
    assert_int_equal(import(w, fd, "two", &in, NULL), -EINVAL);
    words[1] = NULL;
    snprintf(there, sizeof(there), "%s",
             scratch_path(w->dir, "web.img.ckpt-00000000000000bb-xvda"));
    assert_true(asprintf(&word, "xvda=%s", there) > 0);
    words[0] = word;
    assert_int_equal(import(w, fd, "two", &in, NULL), -EEXIST);
    free(word);
    assert_int_equal(scratch_size(there), 300 << 10);
    words[0] = "xvda=none";
    assert_int_equal(import(w, fd, "two", &in, &info), 0);
    assert_string_equal(info.disks[0].why_none, "excluded");
    assert_null(info.disks[0].snapshot);
    assert_string_equal(info.disks[0].driver, "none");
    ckpt_info_fini(&info);
    close(fd);
}

static void a_disk_can_be_left_out(void **state)
{
    struct scratch_world *w = *state;
    const char *const exclude[] = {"xvda", NULL}, *const other[] = {"xvdb",
                                                                    NULL};
    struct ckpt_export_opts out = {.exclude_disks = exclude};
    int fd = export_with_disk(w, NULL);
    struct ckpt_info info;

    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(ckpt_export_archive(w->c, "disk", &out, fd, NULL), 0);
    assert_int_equal(import(w, fd, "two", NULL, &info), 0);
    assert_string_equal(info.disks[0].why_none, "excluded");
    ckpt_info_fini(&info);
    out.exclude_disks = other;
    assert_int_equal(ckpt_export_archive(w->c, "disk", &out, fd, NULL),
                     -EINVAL);
    close(fd);
}

/* --- what other versions wrote --------------------------------------------- */

#define GOLDEN_NR 20u

static void assert_golden(struct ckpt *c, const char *id)
{
    uint8_t page[PAGE_SIZE_BYTES], want[PAGE_SIZE_BYTES];
    struct image *img;
    void *data;
    size_t len;

    assert_int_equal(image_open(c->store, id, &img), 0);
    for (uint64_t i = 0; i < GOLDEN_NR; i++) {
        assert_int_equal(image_get(img, 7 * i, page, NULL), 0);
        scratch_page(want, i % 4 ? SCRATCH_DULL | i : 0);
        assert_memory_equal(page, want, sizeof(page));
        assert_int_equal(image_get(img, 7 * i + 1, page, NULL), -ENOENT);
    }
    assert_int_equal(image_blob(img, "config", &data, &len), 0);
    assert_string_equal(data, CONFIG);
    free(data);
    image_close(img);
}

/* tests/golden/archive/format-1.hex has one as it is, one that is encrypted and
 * signed, and the keys. */
static void archives_of_format_1_are_read(void **state)
{
    struct scratch_world *w = *state;
    static const char *const names[] = {"plain", "sealed"};
    char dir[300], path[340], secret[340], public[340];
    const char *const with[] = {secret, NULL}, *const by[] = {public, NULL};
    struct ckpt_import_opts opts = {.name = NULL};
    struct ckpt_info info;

    snprintf(dir, sizeof(dir), "%s", scratch_path(w->dir, "golden"));
    golden_unpack("tests/golden/archive/format-1.hex", dir);
    snprintf(secret, sizeof(secret), "%s/mine", dir);
    snprintf(public, sizeof(public), "%s/signer.pub", dir);
    for (unsigned i = 0; i < 2; i++) {
        int fd;

        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        opts.decrypt_with = i ? with : NULL;
        opts.signed_by = i ? by : NULL;
        assert_int_equal(import(w, fd, names[i], &opts, &info), 0);
        assert_int_equal(info.created_unix_us, 1700000000000000);
        assert_string_equal(info.domain_name, "gold");
        assert_golden(w->c, info.id);
        ckpt_info_fini(&info);
        close(fd);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_goes_out_comes_back),
        T(what_meant_something_elsewhere_is_forgotten),
        T(it_goes_through_a_pipe),
        T(an_archive_cut_short_is_no_checkpoint),
        T(no_octet_can_be_changed),
        T(encrypted_it_is_for_the_keys_named),
        T(encrypted_nothing_of_it_can_be_read),
        T(signed_it_is_by_whom_it_must),
        T(chunks_of_two_archives_do_not_mix),
        T(a_key_that_others_can_read_is_refused),
        T(of_a_disk_what_is_zero_is_not_there),
        T(a_disk_needs_a_place),
        T(a_disk_can_be_left_out),
        T(archives_of_format_1_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
