/* SPDX-License-Identifier: LGPL-2.1-only */
/* Files as the kernel writes them, of chunks of 4 KiB: 256 pairs in a list. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "ctx.h"
#include "disk_dmsnap.h"

#define CHUNK 4096u
#define NR_PAIRS (CHUNK / 16)
#define FILE_CHUNKS 1024u
#define DISK_BYTES (1000u * CHUNK)

static struct ckpt c;
static char dir[] = "/tmp/t_dmsnap_changed.XXXXXX";
static char from[64], to[64], said[4096];

struct keeper {
    int fd;
    uint64_t next; /* chunk of the file */
    uint64_t nr;
};

static void put(int fd, const void *data, size_t len, uint64_t at)
{
    assert_int_equal(pwrite(fd, data, len, (off_t)at), (ssize_t)len);
}

static struct keeper begin(const char *path)
{
    const uint32_t head[4] = {htole32(0x70416e53), htole32(1), htole32(1),
                              htole32(CHUNK / 512)};
    struct keeper k = {.next = 2};

    k.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(k.fd >= 0);
    assert_int_equal(ftruncate(k.fd, FILE_CHUNKS * CHUNK), 0);
    put(k.fd, head, sizeof(head), 0);
    return k;
}

/* The chunk @at of the disk was full of @byte. */
static void keep(struct keeper *k, uint64_t at, char byte)
{
    const uint64_t area = 1 + k->nr / NR_PAIRS * (NR_PAIRS + 1);
    const uint64_t pair[2] = {htole64(at), htole64(k->next)};
    char chunk[CHUNK];

    memset(chunk, byte, sizeof(chunk));
    put(k->fd, chunk, sizeof(chunk), k->next * CHUNK);
    put(k->fd, pair, sizeof(pair), area * CHUNK + k->nr % NR_PAIRS * 16);
    k->nr++;
    if (++k->next % (NR_PAIRS + 1) == 1)
        k->next++;
}

static int say_extent(void *arg, const struct disk_extent *e)
{
    const size_t len = strlen(said);

    (void)arg;
    snprintf(said + len, sizeof(said) - len, "%s%llu+%llu", len ? " " : "",
             (unsigned long long)e->offset_bytes / CHUNK,
             (unsigned long long)e->len_bytes);
    return 0;
}

static int changed(void)
{
    said[0] = '\0';
    return dmsnap_changed_files(&c, from, to, DISK_BYTES, say_extent, NULL);
}

static void what_either_kept_and_not_both_alike_has_changed(void **state)
{
    struct keeper a = begin(from), b = begin(to);

    (void)state;
    keep(&a, 7, 'x'); /* in no order */
    keep(&a, 3, 'x');
    keep(&a, 4, 'x');
    keep(&a, 9, 'x');
    keep(&b, 9, 'x'); /* written after both */
    keep(&b, 4, 'y'); /* and this between them, too */
    assert_int_equal(changed(), 0);
    assert_string_equal(said, "3+8192 7+4096");
    keep(&b, 11, 'z');
    assert_int_equal(changed(), 0);
    assert_string_equal(said, "3+8192 7+4096 11+4096");
    close(a.fd);
    close(b.fd);
}

static void two_that_kept_nothing_are_equal(void **state)
{
    struct keeper a = begin(from), b = begin(to);

    (void)state;
    assert_int_equal(changed(), 0);
    assert_string_equal(said, "");
    close(a.fd);
    close(b.fd);
}

static void a_list_that_is_full_goes_on_in_the_next(void **state)
{
    struct keeper a = begin(from), b = begin(to);

    (void)state;
    for (uint64_t i = 0; i < 2 * NR_PAIRS; i++)
        keep(&a, i, 'x');
    assert_int_equal(changed(), 0);
    assert_string_equal(said, "0+2097152");
    keep(&a, 999, 'x');
    assert_int_equal(changed(), 0);
    assert_string_equal(said, "0+2097152 999+4096");
    close(a.fd);
    close(b.fd);
}

static void what_is_damaged_is_not_believed(void **state)
{
    struct keeper a = begin(from), b = begin(to);
    uint64_t pair[2] = {htole64(1), htole64(FILE_CHUNKS)};
    uint32_t word = htole32(0);

    (void)state;
    put(a.fd, pair, sizeof(pair), CHUNK); /* kept beyond the end */
    assert_int_equal(changed(), -EUCLEAN);
    pair[0] = htole64(1000), pair[1] = htole64(2); /* beyond the disk */
    put(a.fd, pair, sizeof(pair), CHUNK);
    assert_int_equal(changed(), -EUCLEAN);
    pair[0] = htole64(UINT64_MAX);
    put(a.fd, pair, sizeof(pair), CHUNK);
    assert_int_equal(changed(), -EUCLEAN);
    pair[0] = htole64(5);
    put(a.fd, pair, sizeof(pair), CHUNK);
    put(a.fd, pair, sizeof(pair), CHUNK + 16); /* twice the same */
    assert_int_equal(changed(), -EUCLEAN);
    close(a.fd);

    a = begin(from);
    put(a.fd, &word, 4, 4); /* the kernel gave it up */
    assert_int_equal(changed(), -EUCLEAN);
    word = htole32(9);
    put(a.fd, &(uint32_t){htole32(1)}, 4, 4);
    put(a.fd, &word, 4, 12); /* no power of two */
    assert_int_equal(changed(), -EUCLEAN);
    assert_int_equal(ftruncate(a.fd, 10), 0);
    assert_int_equal(changed(), -EUCLEAN);
    close(a.fd);
    close(b.fd);
}

static void lists_that_never_end_are_cut_off_by_the_file(void **state)
{
    struct keeper a = begin(from), b = begin(to);

    (void)state;
    for (uint64_t i = 0; i < 3 * NR_PAIRS; i++)
        keep(&a, i, 'x');
    assert_int_equal(ftruncate(a.fd, 3 * (NR_PAIRS + 1) * CHUNK), 0);
    assert_int_equal(changed(), -EUCLEAN);
    close(a.fd);
    close(b.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_either_kept_and_not_both_alike_has_changed),
        cmocka_unit_test(two_that_kept_nothing_are_equal),
        cmocka_unit_test(a_list_that_is_full_goes_on_in_the_next),
        cmocka_unit_test(what_is_damaged_is_not_believed),
        cmocka_unit_test(lists_that_never_end_are_cut_off_by_the_file),
    };
    int rc;

    if (!mkdtemp(dir))
        return 99;
    snprintf(from, sizeof(from), "%s/from", dir);
    snprintf(to, sizeof(to), "%s/to", dir);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(from);
    unlink(to);
    rmdir(dir);
    return rc;
}
