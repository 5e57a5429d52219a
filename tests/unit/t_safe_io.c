/* SPDX-License-Identifier: LGPL-2.1-only */
#include "safe_io.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#include "ctx.h"
#include "fake/scratch.h"

struct world {
    struct ckpt c;
    char *dir;
    int fd; /* of the folder */
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->dir = scratch_dir();
    w->fd = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(w->fd >= 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    close(w->fd);
    scratch_remove(w->dir);
    free(w);
    return 0;
}

static void assert_content(struct world *w, const char *name, const char *want)
{
    char *data;
    size_t len;

    assert_int_equal(safe_slurp(&w->c, w->fd, name, 100, &data, &len), 0);
    assert_string_equal(data, want);
    assert_int_equal(len, strlen(want));
    free(data);
}

static void a_file_is_replaced_whole(void **state)
{
    struct world *w = *state;
    struct stat sb;

    assert_int_equal(safe_replace(&w->c, w->fd, "f", "old words", 9), 0);
    assert_content(w, "f", "old words");
    assert_int_equal(safe_replace(&w->c, w->fd, "f", "new", 3), 0);
    assert_content(w, "f", "new");
    assert_int_equal(scratch_count(w->dir, ""), 1);
    assert_int_equal(fstatat(w->fd, "f", &sb, 0), 0);
    assert_int_equal(sb.st_mode & 07777, 0600);
}

static void a_failed_replace_leaves_the_old_one(void **state)
{
    struct world *w = *state;

    assert_int_equal(mkdirat(w->fd, "d", 0700), 0);
    assert_int_equal(mkdirat(w->fd, "d/inside", 0700), 0);
    assert_true(safe_replace(&w->c, w->fd, "d", "x", 1) < 0);
    assert_non_null(strstr(w->c.error, "/d: rename: "));
    assert_int_equal(scratch_count(w->dir, ""), 2);
}

static void a_name_too_long_is_refused(void **state)
{
    struct world *w = *state;
    char name[300];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(safe_replace(&w->c, w->fd, name, "x", 1), -ENAMETOOLONG);
}

static void a_file_above_the_limit_is_not_read(void **state)
{
    struct world *w = *state;
    char *data = NULL;

    assert_int_equal(safe_replace(&w->c, w->fd, "f", "12345", 5), 0);
    assert_int_equal(safe_slurp(&w->c, w->fd, "f", 4, &data, NULL), -EFBIG);
    assert_null(data);
    assert_int_equal(safe_slurp(&w->c, w->fd, "f", 5, &data, NULL), 0);
    free(data);
    assert_int_equal(truncate(scratch_path(w->dir, "f"), (off_t)1 << 40), 0);
    assert_int_equal(safe_slurp(&w->c, w->fd, "f", 5, &data, NULL), -EFBIG);
}

static void only_regular_files_are_read(void **state)
{
    struct world *w = *state;
    char *data;

    assert_int_equal(mkdirat(w->fd, "d", 0700), 0);
    assert_int_equal(mkfifoat(w->fd, "p", 0600), 0);
    assert_int_equal(symlinkat("/etc/passwd", w->fd, "l"), 0);
    assert_int_equal(safe_slurp(&w->c, w->fd, "d", 99, &data, NULL), -EINVAL);
    assert_int_equal(safe_slurp(&w->c, w->fd, "p", 99, &data, NULL), -EINVAL);
    assert_int_equal(safe_slurp(&w->c, w->fd, "l", 99, &data, NULL), -ELOOP);
    assert_int_equal(safe_slurp(&w->c, w->fd, "x", 99, &data, NULL), -ENOENT);
}

static void publishing_never_replaces(void **state)
{
    struct world *w = *state;

    assert_int_equal(mkdirat(w->fd, "a", 0700), 0);
    assert_int_equal(mkdirat(w->fd, "b", 0700), 0);
    assert_int_equal(safe_publish(&w->c, w->fd, "a", w->fd, "b"), -EEXIST);
    assert_int_equal(safe_publish(&w->c, w->fd, "a", w->fd, "c"), 0);
    assert_int_equal(safe_publish(&w->c, w->fd, "a", w->fd, "d"), -ENOENT);
}

static void a_tree_is_removed_and_links_are_not_followed(void **state)
{
    struct world *w = *state;

    assert_int_equal(mkdirat(w->fd, "keep", 0700), 0);
    assert_int_equal(safe_replace(&w->c, w->fd, "f", "x", 1), 0);
    assert_int_equal(renameat(w->fd, "f", w->fd, "keep/f"), 0);
    assert_int_equal(mkdirat(w->fd, "t", 0700), 0);
    assert_int_equal(mkdirat(w->fd, "t/sub", 0700), 0);
    assert_int_equal(symlinkat("../../keep", w->fd, "t/sub/l"), 0);
    assert_int_equal(safe_remove_tree(&w->c, w->fd, "t"), 0);
    assert_int_equal(safe_remove_tree(&w->c, w->fd, "t"), 0);
    assert_int_equal(scratch_count(w->dir, ""), 2);
    assert_content(w, "keep/f", "x");
}

static void a_deep_tree_is_an_error_not_a_crash(void **state)
{
    struct world *w = *state;
    char path[256] = "t";

    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(mkdirat(w->fd, path, 0700), 0);
        strcat(path, "/t");
    }
    assert_int_equal(safe_remove_tree(&w->c, w->fd, "t"), -ELOOP);
    assert_int_equal(safe_remove_tree(&w->c, w->fd, "t/t/t/t/t/t/t/t"), 0);
    assert_int_equal(safe_remove_tree(&w->c, w->fd, "t"), 0);
}

static void a_short_file_is_told_from_an_error(void **state)
{
    struct world *w = *state;
    char data[8];
    int fd;

    assert_int_equal(safe_replace(&w->c, w->fd, "f", "12345", 5), 0);
    fd = openat(w->fd, "f", O_RDONLY | O_CLOEXEC);
    assert_int_equal(safe_read_all(fd, data, 5), 0);
    assert_int_equal(safe_read_all(fd, data, 1), -EPIPE);
    assert_int_equal(safe_pread_all(fd, data, 3, 2), 0);
    assert_memory_equal(data, "345", 3);
    assert_int_equal(safe_pread_all(fd, data, 4, 2), -EPIPE);
    assert_int_equal(safe_write_all(fd, "x", 1), -EBADF);
    close(fd);
}

/* A pipe takes 64 KiB, so a writer of more is cut short many times. */
static void a_long_vector_arrives_whole(void **state)
{
    enum {
        NR = 3000,
        LEN = 100
    };
    static char data[NR * LEN], back[NR * LEN];
    static struct iovec iov[NR];
    int ends[2], fd;
    pid_t pid;

    struct world *w = *state;

    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 256);
    for (unsigned i = 0; i < NR; i++)
        iov[i] = (struct iovec){.iov_base = data + i * LEN, .iov_len = LEN};
    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (!pid) {
        close(ends[0]);
        _exit(safe_writev_all(ends[1], iov, NR) ? 1 : 0);
    }
    close(ends[1]);
    assert_int_equal(safe_read_all(ends[0], back, sizeof(back)), 0);
    assert_memory_equal(data, back, sizeof(data));
    close(ends[0]);

    fd = openat(w->fd, "v", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(safe_pwritev_all(fd, iov, NR, 5), 0);
    memset(back, 0, sizeof(back));
    for (unsigned i = 0; i < NR; i++)
        iov[i] = (struct iovec){.iov_base = back + i * LEN, .iov_len = LEN};
    assert_int_equal(safe_preadv_all(fd, iov, NR, 5), 0);
    assert_memory_equal(data, back, sizeof(data));
    close(fd);
}

static void a_sweep_takes_only_what_the_dead_left(void **state)
{
    struct world *w = *state;
    int fd;

    assert_true(safe_is_temp(".f.0123" SAFE_TEMP_SUFFIX));
    assert_false(safe_is_temp("f.0123" SAFE_TEMP_SUFFIX));
    assert_false(safe_is_temp(".f"));
    assert_false(safe_is_temp(SAFE_TEMP_SUFFIX));
    fd = openat(w->fd, ".f" SAFE_TEMP_SUFFIX, O_RDWR | O_CREAT | O_CLOEXEC,
                0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    safe_sweep_temp(w->fd, ".f" SAFE_TEMP_SUFFIX);
    assert_int_equal(scratch_count(w->dir, ""), 1);
    close(fd);
    safe_sweep_temp(w->fd, ".f" SAFE_TEMP_SUFFIX);
    safe_sweep_temp(w->fd, ".f" SAFE_TEMP_SUFFIX);
    assert_int_equal(scratch_count(w->dir, ""), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_file_is_replaced_whole),
        T(a_failed_replace_leaves_the_old_one),
        T(a_name_too_long_is_refused),
        T(a_file_above_the_limit_is_not_read),
        T(only_regular_files_are_read),
        T(publishing_never_replaces),
        T(a_tree_is_removed_and_links_are_not_followed),
        T(a_deep_tree_is_an_error_not_a_crash),
        T(a_short_file_is_told_from_an_error),
        T(a_long_vector_arrives_whole),
        T(a_sweep_takes_only_what_the_dead_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
