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
#define NUMBER ".00000001"
#define NR 400u /* frames: two blocks of nodes */

/* The first pack of the store. */
static const char *pack_of(struct scratch_world *w)
{
    return scratch_path(w->dir, "store/checkpoints/" ID NUMBER);
}

/* Reads every byte of the image; the first error. */
static int read_all(struct scratch_world *w)
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
        "checkpoints/" ID NUMBER,
        "manifests/00000000000000aa",
        "equals",
        "values/k",
        "locks/k",
        "format",
    };
    static const char *const folders[] = {
        "", "checkpoints", "dropped", "packs", "manifests", "tmp", "locks",
        "values",
    };
    struct scratch_world *w = *state;
    struct store_lock *l;
    struct stat sb;
    char rest[128];

    scratch_image_sparse(w->c, ID, NR);
    assert_int_equal(store_set_manifest(w->c->store, ID, "{}"), 0);
    assert_int_equal(store_set(w->c->store, "k", "v"), 0);
    assert_int_equal(store_lock(w->c->store, "k", &l, NULL), 0);
    store_unlock(l);
    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(rest, sizeof(rest), "store/%s", files[i]);
        assert_int_equal(stat(scratch_path(w->dir, rest), &sb), 0);
        assert_int_equal(sb.st_mode & 07777, 0600);
    }
    for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        snprintf(rest, sizeof(rest), "store/%s", folders[i]);
        assert_int_equal(stat(scratch_path(w->dir, rest), &sb), 0);
        assert_int_equal(sb.st_mode & 07777, 0700);
    }
}

static void another_folder_is_not_made_a_store(void **state)
{
    struct scratch_world *w = *state;
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
    struct scratch_world *w = *state;
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
    struct scratch_world *w = *state;
    ckpt *c;

    assert_int_equal(chmod(scratch_path(w->dir, "store"), 0770), 0);
    assert_int_equal(ckpt_open(scratch_path(w->dir, "store"), NULL, &c),
                     -EPERM);
    ckpt_close(c);
}

static void write_format(struct scratch_world *w, const char *text)
{
    int fd = open(scratch_path(w->dir, "store"), O_RDONLY | O_CLOEXEC);

    assert_int_equal(safe_replace(w->c, fd, "format", text, strlen(text)), 0);
    close(fd);
}

static void a_newer_format_is_left_alone(void **state)
{
    struct scratch_world *w = *state;
    ckpt *c;

    write_format(w, "xen-ckpt store 3\n");
    assert_int_equal(ckpt_open(scratch_path(w->dir, "store"), NULL, &c),
                     -ENOTSUP);
    assert_non_null(strstr(ckpt_error(c), "format 3 needs a newer xen-ckpt"));
    ckpt_close(c);
    write_format(w, "xen-ckpt");
    assert_int_equal(ckpt_open(scratch_path(w->dir, "store"), NULL, &c),
                     -EUCLEAN);
    ckpt_close(c);
}

/* --- the waste of the dead ----------------------------------------------- */

static void what_a_dead_writer_left_is_swept(void **state)
{
    struct scratch_world *w = *state;
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
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 1);
    ckpt_close(scratch_open(w->dir));
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 0);
}

static void what_a_living_writer_has_is_not_swept(void **state)
{
    struct scratch_world *w = *state;
    struct image *img;

    assert_int_equal(image_create(w->c->store, ID, &img), 0);
    assert_int_equal(scratch_put(img, 1, 1), 0);
    ckpt_close(scratch_open(w->dir));
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 1);
    assert_int_equal(image_commit(img, "{}"), 0);
    assert_int_equal(image_open(w->c->store, ID, &img), 0);
    image_close(img);
}

/* --- damage -------------------------------------------------------------- */

/* What lies between blobs, and behind the last, is nobody's. */
static bool is_padding(const struct pack_head *h, uint64_t at)
{
    const struct pack_blob *all[] = {&h->blobs[0], &h->manifest};

    if (at < h->blobs[0].offset)
        return false;
    for (unsigned i = 0; i < 2; i++) {
        if (at >= all[i]->offset && at < all[i]->offset + all[i]->len_bytes)
            return false;
    }
    return true;
}

static void any_byte_turned_over_is_noticed(void **state)
{
    struct scratch_world *w = *state;
    /* Under valgrind, where each takes 20 times as long, an eighth of them. */
    const unsigned step = getenv("CKPT_TEST_VALGRIND") ? 8 : 1;
    struct pack_head h;
    unsigned nr = 0;

    scratch_image_sparse(w->c, ID, NR);
    assert_int_equal(read_all(w), 0);
    scratch_pack_head(w->dir, ID, &h);
    for (long at = 0; at < scratch_size(pack_of(w));
         at += step * (1 + at % 997)) {
        if (is_padding(&h, (uint64_t)at))
            continue;
        scratch_flip(pack_of(w), at);
        assert_int_equal(read_all(w), -EUCLEAN);
        assert_non_null(strstr(ckpt_error(w->c), ID));
        scratch_flip(pack_of(w), at);
        nr++;
    }
    for (uint64_t at = h.manifest.offset; !is_padding(&h, at);
         at += step, nr++) {
        scratch_flip(pack_of(w), (long)at);
        assert_int_equal(read_all(w), -EUCLEAN);
        scratch_flip(pack_of(w), (long)at);
    }
    assert_true(nr > 1000 / step);
    assert_int_equal(read_all(w), 0);
}

static void a_file_cut_or_missing_is_noticed(void **state)
{
    struct scratch_world *w = *state;
    long bytes;

    for (int how = 0; how < 5; how++) {
        scratch_image_sparse(w->c, ID, NR);
        bytes = scratch_size(pack_of(w));
        if (how == 0)
            assert_int_equal(truncate(pack_of(w), bytes - 1), 0);
        else if (how == 1)
            assert_int_equal(truncate(pack_of(w), bytes + 4096), 0);
        else if (how == 2)
            assert_int_equal(truncate(pack_of(w), 0), 0);
        else if (how == 3)
            assert_int_equal(truncate(pack_of(w), bytes - 4096), 0);
        else
            assert_int_equal(unlink(pack_of(w)), 0);
        assert_true(read_all(w) < 0);
        assert_non_null(strstr(ckpt_error(w->c), ID));
        /* And can be removed. */
        assert_int_equal(store_drop(w->c->store, ID, NULL),
                         how == 4 ? -ENOENT : 0);
        assert_int_equal(scratch_count(w->dir, "store/checkpoints"), 0);
        assert_int_equal(scratch_count(w->dir, "store/dropped"), 0);
    }
}

static void a_damaged_page_is_named_and_passed_over(void **state)
{
    static struct page_batch b;
    struct scratch_world *w = *state;
    char page[PAGE_SIZE_BYTES];
    struct image *img;
    uint64_t cursor = 0;
    unsigned good = 0;

    scratch_image_sparse(w->c, ID, NR);
    scratch_flip(pack_of(w), 4096 * 101 + 5); /* frame 200 */
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

/* A leaf has 8 of our frames, a block of nodes is 31 of them and others. */
static void damaged_nodes_are_passed_over(void **state)
{
    struct scratch_world *w = *state;
    unsigned good, bad, all_bad = 0;
    struct pack_head h;
    struct image *img;

    scratch_image_sparse(w->c, ID, NR);
    scratch_pack_head(w->dir, ID, &h);
    assert_int_equal((h.nr_nodes + BLOCK_NODES - 1) / BLOCK_NODES, 2);
    for (uint64_t n = 0; n < 2; n++) {
        const long at = (long)((h.nodes_block + n) * 4096 + 200);

        scratch_flip(pack_of(w), at);
        assert_int_equal(image_open(w->c->store, ID, &img), 0);
        count_frames(img, &good, &bad);
        assert_true(bad >= NR - good); /* what may have been there */
        all_bad += NR - good;
        image_close(img);
        scratch_flip(pack_of(w), at);
    }
    /* The root is in the second, with which all is lost. */
    assert_true(all_bad > NR && all_bad < 2 * NR);
}

static void a_file_of_another_checkpoint_is_noticed(void **state)
{
    struct scratch_world *w = *state;

    scratch_image_sparse(w->c, ID, NR);
    scratch_image(w->c, "00000000000000bb", NR);
    assert_int_equal(
        rename(scratch_path(w->dir, "store/checkpoints/00000000000000bb"
                                    ".00000002"),
               pack_of(w)),
        0);
    assert_int_equal(read_all(w), -EUCLEAN);
    assert_non_null(strstr(ckpt_error(w->c), ID));
}

static void a_damaged_value_is_noticed(void **state)
{
    struct scratch_world *w = *state;
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
    struct scratch_world *w = *state;
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
        /* To a disk it writes later, and so it is told later. */
        for (unsigned i = 0; !rc && i < 2000; i++)
            rc = scratch_put(img, i, i + 1);
        if (rc != -EFBIG)
            _exit(2);
        _exit(image_commit(img, "{}") == -EFBIG ? 0 : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 0);
    assert_int_equal(scratch_count(w->dir, "store/checkpoints"), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

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
        T(any_byte_turned_over_is_noticed),
        T(a_file_cut_or_missing_is_noticed),
        T(a_damaged_page_is_named_and_passed_over),
        T(damaged_nodes_are_passed_over),
        T(a_file_of_another_checkpoint_is_noticed),
        T(a_damaged_value_is_noticed),
        T(a_file_size_limit_stops_the_image_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
