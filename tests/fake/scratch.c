/* SPDX-License-Identifier: LGPL-2.1-only */
#include "scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint.h"
#include "ctx.h"
#include "safe_io.h"
#include "store.h"
#include "store_format.h"

static void insist(int is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "scratch: %s: %s\n", what, strerror(errno));
    exit(99); /* the test's own world is broken */
}

char *scratch_dir(void)
{
    const char *top = getenv("CKPT_TEST_TMP");
    char *dir;

    if (!top)
        top = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
    insist(asprintf(&dir, "%s/ckpt-test.XXXXXX", top) > 0, "asprintf");
    insist(mkdtemp(dir) != NULL, dir);
    return dir;
}

void scratch_remove(char *dir)
{
    struct ckpt c = {.log = NULL};

    insist(!safe_remove_tree(&c, AT_FDCWD, dir), dir);
    free(dir);
}

static void copy_file(int from, int to, const char *name)
{
    const int in = openat(from, name, O_RDONLY | O_CLOEXEC);
    struct stat sb;
    int out;

    insist(in >= 0 && !fstat(in, &sb), name);
    out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                 sb.st_mode & 07777);
    insist(out >= 0, name);
    for (ssize_t n; sb.st_size > 0; sb.st_size -= n) {
        n = sendfile(out, in, NULL, (size_t)sb.st_size);
        insist(n > 0, name);
    }
    insist(!close(in) && !close(out), name);
}

/* What is in folder @from, into folder @to; closes both. */
static void copy_folder(int from, int to)
{
    DIR *d = fdopendir(from);
    struct dirent *e;
    int sub;

    insist(d != NULL && to >= 0, "folder");
    while ((e = readdir(d))) {
        if (e->d_type != DT_DIR) {
            copy_file(from, to, e->d_name);
        } else if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
            insist(!mkdirat(to, e->d_name, 0700), e->d_name);
            sub = openat(to, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            copy_folder(openat(from, e->d_name,
                               O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                        sub);
        }
    }
    closedir(d);
    close(to);
}

char *scratch_copy(const char *dir)
{
    char *copy = scratch_dir();

    copy_folder(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return copy;
}

const char *scratch_path(const char *dir, const char *rest)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", dir, rest);
    return path;
}

const char *scratch_pack(const char *dir, const char *id)
{
    DIR *d = opendir(scratch_path(dir, "store/checkpoints"));
    const char *path = NULL;
    struct dirent *e;
    char rest[300];

    insist(d != NULL, "checkpoints");
    while (!path && (e = readdir(d))) {
        if (strncmp(e->d_name, id, CKPT_ID_LEN))
            continue;
        snprintf(rest, sizeof(rest), "store/checkpoints/%s", e->d_name);
        path = scratch_path(dir, rest);
    }
    closedir(d);
    errno = ENOENT;
    insist(path != NULL, id);
    return path;
}

void scratch_pack_head(const char *dir, const char *id, struct pack_head *h)
{
    const char *path = scratch_pack(dir, id);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    insist(fd >= 0 && pread(fd, h, sizeof(*h), 0) == (ssize_t)sizeof(*h), path);
    close(fd);
}

struct ckpt *scratch_open(const char *dir)
{
    struct ckpt *c;
    int rc;

    rc = ckpt_open(scratch_path(dir, "store"), NULL, &c);
    errno = -rc;
    insist(!rc, c ? ckpt_error(c) : "ckpt_open");
    return c;
}

int scratch_setup(void **state)
{
    struct scratch_world *w = calloc(1, sizeof(*w));

    insist(w != NULL, "calloc");
    w->dir = scratch_dir();
    w->c = scratch_open(w->dir);
    *state = w;
    return 0;
}

int scratch_teardown(void **state)
{
    struct scratch_world *w = *state;

    ckpt_close(w->c);
    scratch_remove(w->dir);
    free(w);
    return 0;
}

void scratch_page(void *page, uint64_t seed)
{
    uint64_t w = seed;
    char *at = page;

    for (unsigned i = 0; i < PAGE_SIZE_BYTES; i += sizeof(w)) {
        memcpy(at + i, &w, sizeof(w));
        if (w && !(seed & SCRATCH_DULL))
            w = w * 6364136223846793005u + 1442695040888963407u;
    }
}

int scratch_put(struct image *img, uint64_t gfn, uint64_t seed)
{
    static struct page_batch b;
    char page[PAGE_SIZE_BYTES];

    scratch_page(page, seed);
    b.nr = 1;
    b.gfn[0] = gfn;
    b.type[0] = PAGE_TYPE_NORMAL;
    b.data[0] = page;
    return image_put(img, &b);
}

void scratch_image(struct ckpt *c, const char *id, unsigned nr)
{
    struct image *img;

    insist(!image_create(c->store, id, &img), c->error);
    for (unsigned i = 0; i < nr; i++)
        insist(!scratch_put(img, i, i + 1), c->error);
    insist(!image_commit(img, "{}"), c->error);
}

void scratch_image_sparse(struct ckpt *c, const char *id, unsigned nr)
{
    struct image *img;

    insist(!image_create(c->store, id, &img), c->error);
    for (unsigned i = 0; i < nr; i++)
        insist(!scratch_put(img, 2 * i, i + 1), c->error);
    insist(!image_put_blob(img, "state", "machine state", 13), c->error);
    insist(!image_commit(img, "{}"), c->error);
}

void scratch_read_all(struct ckpt *c, const char *id, unsigned batches)
{
    static struct page_batch b;
    char page[PAGE_SIZE_BYTES];
    uint64_t cursor = 0, before, at;
    struct image_home home;
    struct image *img;
    const char *name;
    void *data;
    size_t len;
    int rc;

    if (image_open(c->store, id, &img))
        return;
    do {
        before = cursor;
        rc = image_next(img, &cursor, &b);
        if (b.nr && cursor <= before)
            abort();
        for (unsigned i = 0; !rc && i < b.nr; i++) {
            image_get(img, b.gfn[i], page, NULL);
            /* What was found by walking is found by seeking. */
            at = i ? b.gfn[i - 1] + 1 : before;
            if (!image_seek(img, &at) && at != b.gfn[i])
                abort();
        }
    } while ((!rc || rc == -EUCLEAN) && b.nr && --batches);
    image_get(img, 0, page, NULL);
    image_get(img, image_nr_gfns(img) / 2, page, NULL);
    image_home(img, 0, &home);
    for (unsigned i = 0; (name = image_blob_name(img, i)); i++) {
        if (!image_blob(img, name, &data, &len))
            free(data);
    }
    image_close(img);
}

void scratch_drop(struct ckpt *c, const char *id)
{
    insist(!store_drop(c->store, id, NULL), c->error);
}

static char *copy_of(const char *s)
{
    char *copy = strdup(s);

    insist(copy != NULL, "strdup");
    return copy;
}

static bool same_pages(struct image *x, struct image *y)
{
    char a[PAGE_SIZE_BYTES], b[PAGE_SIZE_BYTES];
    const uint64_t nr = image_nr_gfns(x);
    uint64_t m, n;

    if (image_nr_gfns(y) != nr)
        return false;
    for (m = n = 0;; m++, n++) {
        insist(!image_seek(x, &m) && !image_seek(y, &n), "seek");
        if (m != n)
            return false;
        if (m == nr)
            return true;
        insist(!image_get(x, m, a, NULL) && !image_get(y, m, b, NULL), "get");
        if (memcmp(a, b, sizeof(a)))
            return false;
    }
}

static bool same_blob(struct image *x, struct image *y, const char *name)
{
    size_t m, n;
    void *p, *q;
    bool same;

    insist(!image_blob(x, name, &p, &m), name);
    insist(!image_blob(y, name, &q, &n), name);
    same = m == n && !memcmp(p, q, m);
    free(p);
    free(q);
    return same;
}

bool scratch_same(struct ckpt *c, const char *id, const char *other_id,
                  const char *const *blobs)
{
    struct image *x, *y;
    bool same;

    insist(!image_open(c->store, id, &x), id);
    insist(!image_open(c->store, other_id, &y), other_id);
    same = same_pages(x, y);
    for (; same && *blobs; blobs++)
        same = same_blob(x, y, *blobs);
    image_close(x);
    image_close(y);
    return same;
}

void scratch_info(struct ckpt_info *info_out, const char *id, const char *name,
                  const char *domain_name, const char *domain_uuid)
{
    memset(info_out, 0, sizeof(*info_out));
    snprintf(info_out->id, sizeof(info_out->id), "%s", id);
    snprintf(info_out->domain_uuid, sizeof(info_out->domain_uuid), "%s",
             domain_uuid);
    info_out->name = copy_of(name);
    info_out->description = copy_of("");
    info_out->domain_name = copy_of(domain_name);
    info_out->domain_type = copy_of("pvh");
    info_out->mem_driver = copy_of("none");
    info_out->mem_why = copy_of("");
    info_out->xen_version = copy_of("4.17.5");
    info_out->created_unix_us = 1;
}

void scratch_add_disk(struct ckpt_info *info, const char *why_none)
{
    info->disks = calloc(1, sizeof(*info->disks));
    insist(!!info->disks, "memory");
    info->nr_disks = 1;
    info->disks[0].vdev = copy_of("xvda");
    info->disks[0].target = copy_of("/dev/vg0/web");
    info->disks[0].driver = copy_of("none");
    info->disks[0].why_none = copy_of(why_none);
}

void scratch_commit(struct ckpt *c, const struct ckpt_info *info)
{
    struct image *img;
    char *text;

    insist(!checkpoint_to_json(c, info, &text), c->error);
    insist(!image_create(c->store, info->id, &img), c->error);
    insist(!image_commit(img, text), c->error);
    free(text);
}

static unsigned count_in(int dirfd, const char *name)
{
    unsigned n = 0;
    struct dirent *e;
    DIR *dir;
    int fd;

    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    dir = fdopendir(fd);
    insist(dir != NULL, name);
    while ((e = readdir(dir))) {
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            n += 1 + count_in(fd, e->d_name);
    }
    closedir(dir);
    return n;
}

unsigned scratch_count(const char *dir, const char *rest)
{
    return count_in(AT_FDCWD, scratch_path(dir, rest));
}

void scratch_flip(const char *path, long offset)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char byte;

    insist(fd >= 0, path);
    insist(pread(fd, &byte, 1, offset) == 1, path);
    byte = (char)~byte;
    insist(pwrite(fd, &byte, 1, offset) == 1, path);
    close(fd);
}

long scratch_size(const char *path)
{
    struct stat sb;

    insist(!stat(path, &sb), path);
    return (long)sb.st_size;
}
