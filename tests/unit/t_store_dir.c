/* SPDX-License-Identifier: LGPL-2.1-only */
/* The directory store's own promises; those of every store are in
 * tests/conform/store.c. */
#include "store_dir.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#include "ctx.h"
#include "fake/scratch.h"
#include "safe_io.h"
#include "store_format.h"

#define ID "00000000000000aa"
#define NR 400u /* frames: three blocks of the index */

struct world {
    char *dir;
    struct ckpt *c;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->dir = scratch_dir();
    w->c = scratch_open(w->dir);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    ckpt_close(w->c);
    scratch_remove(w->dir);
    free(w);
    return 0;
}

static const char *file_of(struct world *w, const char *name)
{
    char rest[128];

    snprintf(rest, sizeof(rest), "store/checkpoints/" ID "/%s", name);
    return scratch_path(w->dir, rest);
}

/* NR frames, blob "state", manifest "{}". */
static void make_image(struct world *w)
{
    struct image *img;

    assert_int_equal(image_create(w->c->store, ID, &img), 0);
    for (unsigned i = 0; i < NR; i++)
        assert_int_equal(scratch_put(img, 2 * i, i + 1), 0);
    assert_int_equal(image_put_blob(img, "state", "machine state", 13), 0);
    assert_int_equal(image_commit(img, "{}"), 0);
}

/* Reads every byte of the image; the first error. */
static int read_all(struct world *w)
{
    static struct page_batch b;
    struct image *img = NULL;
    uint64_t cursor = 0;
    void *data = NULL;
    size_t len;
    int rc;

    rc = image_open(w->c->store, ID, &img);
    do {
        if (!rc)
            rc = image_next(img, &cursor, &b);
    } while (!rc && b.nr);
    if (!rc)
        rc = image_blob(img, "state", &data, &len);
    free(data);
    image_close(img);
    return rc;
}

/* --- the folder ---------------------------------------------------------- */

static void only_its_owner_sees_anything(void **state)
{
    static const char *const files[] = {
        "checkpoints/" ID "/pages",
        "checkpoints/" ID "/index",
        "checkpoints/" ID "/blob.state",
        "checkpoints/" ID "/manifest.json",
        "values/k",
        "locks/k",
        "format",
    };
    struct world *w = *state;
    struct store_lock *l;
    struct stat sb;
    char rest[128];

    make_image(w);
    assert_int_equal(store_set(w->c->store, "k", "v"), 0);
    assert_int_equal(store_lock(w->c->store, "k", &l, NULL), 0);
    store_unlock(l);
    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(rest, sizeof(rest), "store/%s", files[i]);
        assert_int_equal(stat(scratch_path(w->dir, rest), &sb), 0);
        assert_int_equal(sb.st_mode & 07777, 0600);
    }
    assert_int_equal(stat(scratch_path(w->dir, "store"), &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0700);
    assert_int_equal(stat(file_of(w, ""), &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0700);
}

static void another_folder_is_not_made_a_store(void **state)
{
    struct world *w = *state;
    ckpt *c;

    assert_int_equal(mkdir(scratch_path(w->dir, "home"), 0700), 0);
    assert_int_equal(mkdir(scratch_path(w->dir, "home/letters"), 0700), 0);
    assert_int_equal(ckpt_open(scratch_path(w->dir, "home"), NULL, &c),
                     -EINVAL);
    assert_non_null(strstr(ckpt_error(c), "letters"));
    ckpt_close(c);
    assert_int_equal(scratch_count(w->dir, "home"), 1);
    assert_int_equal(ckpt_open(scratch_path(w->dir, "a/b"), NULL, &c), -ENOENT);
    ckpt_close(c);
}

static void an_empty_folder_becomes_a_store(void **state)
{
    struct world *w = *state;
    struct stat sb;
    ckpt *c;

    /* As a fresh filesystem mounted there would be. */
    assert_int_equal(mkdir(scratch_path(w->dir, "new"), 0755), 0);
    assert_int_equal(mkdir(scratch_path(w->dir, "new/lost+found"), 0700), 0);
    assert_int_equal(ckpt_open(scratch_path(w->dir, "new"), NULL, &c), 0);
    ckpt_close(c);
    assert_int_equal(stat(scratch_path(w->dir, "new"), &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0700);
    /* And again, also when a copy left the empty folders behind. */
    assert_int_equal(rmdir(scratch_path(w->dir, "new/tmp")), 0);
    assert_int_equal(ckpt_open(scratch_path(w->dir, "new"), NULL, &c), 0);
    ckpt_close(c);
}

static void a_store_others_may_write_to_is_refused(void **state)
{
    struct world *w = *state;
    ckpt *c;

    assert_int_equal(chmod(scratch_path(w->dir, "store"), 0770), 0);
    assert_int_equal(ckpt_open(scratch_path(w->dir, "store"), NULL, &c),
                     -EPERM);
    ckpt_close(c);
}

static void write_format(struct world *w, const char *text)
{
    int fd = open(scratch_path(w->dir, "store"), O_RDONLY | O_CLOEXEC);

    assert_int_equal(safe_replace(w->c, fd, "format", text, strlen(text)), 0);
    close(fd);
}

static void a_newer_format_is_left_alone(void **state)
{
    struct world *w = *state;
    ckpt *c;

    write_format(w, "xen-ckpt store 2\n");
    assert_int_equal(ckpt_open(scratch_path(w->dir, "store"), NULL, &c),
                     -ENOTSUP);
    assert_non_null(strstr(ckpt_error(c), "format 2 needs a newer xen-ckpt"));
    ckpt_close(c);
    write_format(w, "xen-ckpt");
    assert_int_equal(ckpt_open(scratch_path(w->dir, "store"), NULL, &c),
                     -EUCLEAN);
    ckpt_close(c);
}

/* --- the waste of the dead ----------------------------------------------- */

static void what_a_dead_writer_left_is_swept(void **state)
{
    struct world *w = *state;
    int status;
    pid_t pid;

    pid = fork();
    if (!pid) {
        struct image *img;

        if (image_create(w->c->store, ID, &img) || scratch_put(img, 1, 1))
            _exit(1);
        _exit(0); /* without a word */
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 2);
    ckpt_close(scratch_open(w->dir));
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 0);
}

static void what_a_living_writer_has_is_not_swept(void **state)
{
    struct world *w = *state;
    struct image *img;

    assert_int_equal(image_create(w->c->store, ID, &img), 0);
    assert_int_equal(scratch_put(img, 1, 1), 0);
    ckpt_close(scratch_open(w->dir));
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 2);
    assert_int_equal(image_commit(img, "{}"), 0);
    assert_int_equal(image_open(w->c->store, ID, &img), 0);
    image_close(img);
}

static void half_a_removal_is_completed(void **state)
{
    struct world *w = *state;

    make_image(w);
    assert_int_equal(
        rename(file_of(w, ""), scratch_path(w->dir, "store/tmp/" ID ".1.drop")),
        0);
    assert_int_equal(
        unlink(scratch_path(w->dir, "store/tmp/" ID ".1.drop/pages")), 0);
    ckpt_close(scratch_open(w->dir));
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 0);
}

/* --- damage -------------------------------------------------------------- */

static void any_byte_turned_over_is_noticed(void **state)
{
    static const char *const names[] = {"pages", "index", "blob.state",
                                        "manifest.json"};
    struct world *w = *state;

    make_image(w);
    assert_int_equal(read_all(w), 0);
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *path = file_of(w, names[i]);
        const long bytes = scratch_size(path);
        /* All of the small ones, some of the large. */
        const long step = bytes > 100000 ? 9001 : bytes > 1000 ? 97 : 1;

        for (long at = 0; at < bytes; at += step) {
            path = file_of(w, names[i]);
            scratch_flip(path, at);
            assert_int_equal(read_all(w), -EUCLEAN);
            assert_non_null(strstr(ckpt_error(w->c), names[i]));
            assert_non_null(strstr(ckpt_error(w->c), ID));
            scratch_flip(path, at);
        }
    }
    assert_int_equal(read_all(w), 0);
}

static void a_file_cut_or_missing_is_noticed(void **state)
{
    static const char *const names[] = {"pages", "index", "blob.state",
                                        "manifest.json"};
    struct world *w = *state;

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (int how = 0; how < 4; how++) {
            long bytes;

            make_image(w);
            bytes = scratch_size(file_of(w, names[i]));
            if (how == 0)
                assert_int_equal(truncate(file_of(w, names[i]), bytes - 1), 0);
            else if (how == 1)
                assert_int_equal(truncate(file_of(w, names[i]), bytes + 4096),
                                 0);
            else if (how == 2)
                assert_int_equal(truncate(file_of(w, names[i]), 0), 0);
            else
                assert_int_equal(unlink(file_of(w, names[i])), 0);
            assert_true(read_all(w) < 0);
            assert_non_null(strstr(ckpt_error(w->c), names[i]));
            assert_int_equal(store_drop(w->c->store, ID), 0);
        }
    }
}

static void a_damaged_page_is_named_and_passed_over(void **state)
{
    static struct page_batch b;
    struct world *w = *state;
    char page[PAGE_SIZE_BYTES];
    struct image *img;
    uint64_t cursor = 0;
    unsigned good = 0;

    make_image(w);
    scratch_flip(file_of(w, "pages"), 4096 * 101 + 5); /* frame 200 */
    assert_int_equal(image_open(w->c->store, ID, &img), 0);
    assert_int_equal(image_get(img, 200, page, NULL), -EUCLEAN);
    assert_non_null(strstr(ckpt_error(w->c), "frame 0xc8"));
    assert_int_equal(image_get(img, 202, page, NULL), 0);

    w->c->error[0] = '\0';
    assert_int_equal(image_next(img, &cursor, &b), 0);
    assert_string_equal(ckpt_error(w->c), "");
    assert_int_equal(b.nr, 100);
    assert_int_equal(image_next(img, &cursor, &b), -EUCLEAN);
    assert_int_equal(b.nr, 1);
    assert_int_equal(b.gfn[0], 200);
    while (!image_next(img, &cursor, &b) && b.nr)
        good += b.nr;
    assert_int_equal(good, NR - 101);
    image_close(img);
}

/* Reads all it can and counts. */
static void count_frames(struct image *img, unsigned *good_out,
                         unsigned *bad_out)
{
    static struct page_batch b;
    uint64_t cursor = 0, before;
    int rc;

    *good_out = *bad_out = 0;
    do {
        before = cursor;
        rc = image_next(img, &cursor, &b);
        if (rc == -EUCLEAN)
            *bad_out += b.nr;
        else
            *good_out += b.nr;
        assert_true(!rc || rc == -EUCLEAN);
        assert_true(cursor > before || !b.nr);
    } while (b.nr);
}

static void a_damaged_block_is_counted_and_passed_over(void **state)
{
    static const unsigned in_block[] = {STORE_BLOCK_ENTRIES,
                                        STORE_BLOCK_ENTRIES};
    struct world *w = *state;
    unsigned good, bad;
    struct image *img;

    make_image(w);
    for (unsigned n = 0; n < 2; n++) {
        scratch_flip(file_of(w, "index"), 4096 * (n + 1) + 100);
        assert_int_equal(image_open(w->c->store, ID, &img), 0);
        count_frames(img, &good, &bad);
        assert_int_equal(bad, in_block[n]);
        assert_int_equal(good, NR - in_block[n]);
        image_close(img);
        scratch_flip(file_of(w, "index"), 4096 * (n + 1) + 100);
    }
    /* Without the last block not even the number of frames is known. */
    scratch_flip(file_of(w, "index"), 4096 * 3 + 100);
    assert_int_equal(image_open(w->c->store, ID, &img), -EUCLEAN);
}

static void a_file_of_another_checkpoint_is_noticed(void **state)
{
    static const char *const names[] = {"pages", "index", "blob.state"};
    struct world *w = *state;
    char other[128];

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        make_image(w);
        scratch_image(w->c, "00000000000000bb", NR);
        snprintf(other, sizeof(other), "store/checkpoints/00000000000000bb/%s",
                 i < 2 ? names[i] : "pages");
        assert_int_equal(
            rename(scratch_path(w->dir, other), file_of(w, names[i])), 0);
        assert_int_equal(read_all(w), -EUCLEAN);
        assert_non_null(strstr(ckpt_error(w->c), names[i]));
        assert_int_equal(store_drop(w->c->store, "00000000000000bb"), 0);
        assert_int_equal(store_drop(w->c->store, ID), 0);
    }
}

static void a_damaged_value_is_noticed(void **state)
{
    struct world *w = *state;
    char *value;

    assert_int_equal(store_set(w->c->store, "head", "words"), 0);
    for (long at = 0;
         at < scratch_size(scratch_path(w->dir, "store/values/head")); at++) {
        scratch_flip(scratch_path(w->dir, "store/values/head"), at);
        assert_int_equal(store_get(w->c->store, "head", &value), -EUCLEAN);
        scratch_flip(scratch_path(w->dir, "store/values/head"), at);
    }
    assert_int_equal(store_get(w->c->store, "head", &value), 0);
    free(value);
}

/* --- the disk is full ---------------------------------------------------- */

static void a_file_size_limit_stops_the_image_and_no_more(void **state)
{
    struct world *w = *state;
    int status;
    pid_t pid;

    pid = fork();
    if (!pid) {
        struct image *img;
        int rc = 0;

        /* /dev/full for files: EFBIG, with SIGXFSZ out of the way. */
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){65536, 65536}) ||
            image_create(w->c->store, ID, &img))
            _exit(1);
        for (unsigned i = 0; !rc && i < 100; i++)
            rc = scratch_put(img, i, i + 1);
        if (rc != -EFBIG || scratch_put(img, 0, 1) != -EFBIG)
            _exit(2);
        _exit(image_commit(img, "{}") == -EFBIG ? 0 : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 0);
    assert_int_equal(scratch_count(w->dir, "store/checkpoints"), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(only_its_owner_sees_anything),
        T(another_folder_is_not_made_a_store),
        T(an_empty_folder_becomes_a_store),
        T(a_store_others_may_write_to_is_refused),
        T(a_newer_format_is_left_alone),
        T(what_a_dead_writer_left_is_swept),
        T(what_a_living_writer_has_is_not_swept),
        T(half_a_removal_is_completed),
        T(any_byte_turned_over_is_noticed),
        T(a_file_cut_or_missing_is_noticed),
        T(a_damaged_page_is_named_and_passed_over),
        T(a_damaged_block_is_counted_and_passed_over),
        T(a_file_of_another_checkpoint_is_noticed),
        T(a_damaged_value_is_noticed),
        T(a_file_size_limit_stops_the_image_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
