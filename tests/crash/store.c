/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Dies, or meets a full or broken disk, at every single point where the store
 * changes a file, and no memory at every allocation; then looks at what is left:
 *
 *   - whole checkpoints only, each page of them right;
 *   - what reported success is there, what reported failure is not;
 *   - nothing else: no temporary file, no folder of the dead; the store works.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checkpoint.h"
#include "content.h"
#include "ctx.h"
#include "fake/golden.h"
#include "fake/scratch.h"
#include "faults.h"
#include "store.h"

#define ID_A "aaaaaaaaaaaaaaaa" /* a root, in the store from the start */
#define ID_C "cccccccccccccccc" /* its child, of another domain */
#define ID_N "0123456789abcdef" /* the one being taken */
#define UUID_1 "11111111-1111-1111-1111-111111111111"
#define UUID_2 "22222222-2222-2222-2222-222222222222"
#define ARCHIVE "tests/golden/archive/format-1.hex"

enum outcome {
    DONE = 0,
    FAILED = 1,      /* said so */
    FAILED_LATE = 2, /* the checkpoint was committed, what followed failed */
    KILLED = 3,
};

struct scenario {
    const char *name;
    enum outcome (*run)(const char *dir);
    void (*check)(struct ckpt *c, enum outcome outcome);
};

static const char *const fault_names[NR_FAULTS] = {
    [FAULT_NONE] = "none",
    [FAULT_KILL_BEFORE] = "kill before",
    [FAULT_KILL_AFTER] = "kill after",
    [FAULT_KILL_TORN] = "kill in",
    [FAULT_EIO] = "EIO",
    [FAULT_ENOSPC] = "ENOSPC",
    [FAULT_DEAD] = "disk dead",
    [FAULT_SHORT] = "short",
    [FAULT_EINTR] = "EINTR",
    [FAULT_ENOMEM] = "ENOMEM",
    [FAULT_POWER] = "power cut",
};

static const char *where = "";
static unsigned where_n;
static enum fault where_fault;

static void insist(int is_so, const char *what, struct ckpt *c)
{
    if (is_so)
        return;
    fprintf(stderr, "%s, point %u, %s: %s (%s)\n", where, where_n,
            fault_names[where_fault], what, c ? ckpt_error(c) : "");
    exit(1);
}

/* --- content ------------------------------------------------------------- */

static int take(struct ckpt *c, const struct ckpt_info *info)
{
    struct image *img;
    unsigned syncs;
    char *manifest;
    int rc;

    rc = checkpoint_to_json(c, info, &manifest);
    if (rc)
        return rc;
    syncs = faults_syncs();
    rc = image_create(c->store, info->id, &img);
    if (rc)
        goto out;
    rc = content_put(img, NR_PAGES, 0);
    if (!rc)
        rc = content_put(img, NR_AGAIN, 1);
    if (!rc)
        rc = image_put_blob(img, "state", manifest, strlen(manifest));
    if (!rc)
        rc = image_put_blob(img, "config", "{}", 2);
    if (!rc)
        rc = image_sync(img);
    if (rc)
        image_abort(img);
    else
        rc = image_commit(img, manifest);
    insist(faults_syncs() - syncs <= 2, "more than two fsyncs", c);
out:
    free(manifest);
    return rc;
}

static void check_whole(struct ckpt *c, const char *id)
{
    char got[PAGE_SIZE_BYTES];
    struct image *img;
    void *data;
    size_t len;

    insist(!image_open(c->store, id, &img), "open", c);
    insist(image_nr_gfns(img) == NR_PAGES, "number of frames", c);
    for (unsigned i = 0; i < NR_PAGES; i++) {
        insist(!image_get(img, i, got, NULL), "page", c);
        insist(!memcmp(content_page(i), got, sizeof(got)), "content", c);
    }
    insist(!image_blob(img, "state", &data, &len), "blob", c);
    free(data);
    insist(!image_blob(img, "config", &data, &len), "blob", c);
    free(data);
    image_close(img);
}

static int is_there(struct ckpt *c, const char *id)
{
    struct ckpt_info info;
    int rc = checkpoint_find(c, NULL, id, &info);

    insist(!rc || rc == -ENOENT, "neither there nor not", c);
    ckpt_info_fini(&info);
    return !rc;
}

/* --- operations ---------------------------------------------------------- */

static enum outcome run_open(const char *dir)
{
    struct ckpt *c;
    int rc;

    rc = ckpt_open(scratch_path(dir, "new"), NULL, &c);
    ckpt_close(c);
    return rc ? FAILED : DONE;
}

static void check_open(struct ckpt *c, enum outcome outcome)
{
    struct ckpt *other;
    char path[512];
    int rc;

    (void)outcome;
    /* Whatever was left of the new store can be opened, and is empty. */
    snprintf(path, sizeof(path), "%s/../new", c->url);
    rc = ckpt_open(path, NULL, &other);
    insist(!rc, "open the new store", other);
    insist(!is_there(other, ID_A), "not empty", other);
    ckpt_close(other);
}

static enum outcome take_in(const char *url)
{
    enum outcome outcome = FAILED;
    struct ckpt_info info;
    struct ckpt *c;

    scratch_info(&info, ID_N, "new", "one", UUID_1);
    memcpy(info.parent, ID_A, sizeof(info.parent));
    if (ckpt_open(url, NULL, &c))
        goto out;
    if (take(c, &info)) {
        insist(*ckpt_error(c), "no words", c);
        goto out;
    }
    outcome = FAILED_LATE;
    if (checkpoint_set_head(c, UUID_1, ID_N))
        goto out;
    outcome = DONE;
out:
    ckpt_close(c);
    ckpt_info_fini(&info);
    return outcome;
}

static enum outcome run_take(const char *dir)
{
    return take_in(scratch_path(dir, "store"));
}

static enum outcome run_take_direct(const char *dir)
{
    faults_on_disk();
    return take_in(scratch_path(dir, "store"));
}

/* What lies in the processor's caches is lost with the power, too. */
static enum outcome run_take_pmem(const char *dir)
{
    char url[512];

    snprintf(url, sizeof(url), "pmem:%s", scratch_path(dir, "store"));
    setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
    return take_in(url);
}

static void check_take(struct ckpt *c, enum outcome outcome)
{
    char head[CKPT_ID_LEN + 1];
    int rc, found = is_there(c, ID_N);

    check_whole(c, ID_A);
    check_whole(c, ID_C);
    if (found)
        check_whole(c, ID_N);
    if (outcome == DONE || outcome == FAILED_LATE)
        insist(found, "committed and not there", c);
    /* Also of a disk that died after the rename: who is told that it failed
     * removes the snapshots of its disks. */
    if (outcome == FAILED)
        insist(!found, "failed and yet there", c);
    rc = checkpoint_head(c, UUID_1, head);
    insist(!rc, "head", c);
    insist(!strcmp(head, outcome == DONE ? ID_N : ID_A) ||
               (outcome != DONE && found && !strcmp(head, ID_N)),
           "head", c);
}

/* What changed since A: a few frames, one of them gone. */
static int take_increment(struct ckpt *c, const struct ckpt_info *info)
{
    static struct page_batch gone = {
        .nr = 1, .gfn = {NR_PAGES - 1}, .type = {PAGE_TYPE_ABSENT}};
    struct image *img;
    char *manifest;
    int rc;

    rc = checkpoint_to_json(c, info, &manifest);
    if (rc)
        return rc;
    rc = image_create(c->store, info->id, &img);
    if (rc)
        goto out;
    rc = image_base(img, ID_A);
    for (unsigned gfn = 0; !rc && gfn < NR_PAGES; gfn += 29)
        rc = scratch_put(img, gfn, gfn + 9000);
    if (!rc)
        rc = image_put(img, &gone);
    if (rc)
        image_abort(img);
    else
        rc = image_commit(img, manifest);
out:
    free(manifest);
    return rc;
}

static enum outcome run_increment(const char *dir)
{
    enum outcome outcome = FAILED;
    struct ckpt_info info;
    struct ckpt *c;

    scratch_info(&info, ID_N, "new", "one", UUID_1);
    memcpy(info.parent, ID_A, sizeof(info.parent));
    if (!ckpt_open(scratch_path(dir, "store"), NULL, &c) &&
        !take_increment(c, &info))
        outcome = DONE;
    ckpt_close(c);
    ckpt_info_fini(&info);
    return outcome;
}

static void check_increment(struct ckpt *c, enum outcome outcome)
{
    char fresh[PAGE_SIZE_BYTES], got[PAGE_SIZE_BYTES];
    const int found = is_there(c, ID_N);
    struct image *img;

    check_whole(c, ID_A);
    check_whole(c, ID_C);
    insist(found || outcome != DONE, "committed and not there", c);
    insist(!found || outcome != FAILED, "failed and yet there", c);
    if (!found)
        return;
    insist(!image_open(c->store, ID_N, &img), "open", c);
    insist(image_nr_gfns(img) == NR_PAGES - 1, "number of frames", c);
    for (unsigned i = 0; i < NR_PAGES - 1; i++) {
        if (i % 29 == 0)
            scratch_page(fresh, i + 9000);
        insist(!image_get(img, i, got, NULL), "page", c);
        insist(!memcmp(i % 29 ? content_page(i) : fresh, got, sizeof(got)),
               "content", c);
    }
    image_close(img);
}

/* With an increment on A in the store, A goes; then all is swept. */
static enum outcome run_prune(const char *dir)
{
    enum outcome outcome = FAILED;
    struct store_space space;
    struct ckpt *c;

    if (!ckpt_open(scratch_path(dir, "store"), NULL, &c) &&
        !store_drop(c->store, ID_A, NULL)) {
        outcome = FAILED_LATE;
        if (!store_prune(c->store, &space))
            outcome = DONE;
    }
    ckpt_close(c);
    return outcome;
}

static void check_prune(struct ckpt *c, enum outcome outcome)
{
    const int found = is_there(c, ID_A);

    if (found)
        check_whole(c, ID_A);
    check_whole(c, ID_C);
    insist(!found || (outcome != DONE && outcome != FAILED_LATE),
           "removed and yet there", c);
}

static enum outcome run_compress(const char *dir)
{
    static const char *const none[] = {NULL};
    uint64_t saved = 0;
    struct ckpt *c;
    int rc;

    rc = ckpt_open(scratch_path(dir, "store"), NULL, &c);
    if (!rc)
        rc = store_compress(c->store, none, &saved);
    insist(rc || saved, "nothing was compressed", c);
    ckpt_close(c);
    return rc ? FAILED : DONE;
}

static void check_compress(struct ckpt *c, enum outcome outcome)
{
    (void)outcome;
    check_whole(c, ID_A);
    check_whole(c, ID_C);
}

/* The golden archive: twenty frames, three blobs. */
static enum outcome run_import(const char *dir)
{
    const int fd = open(scratch_path(dir, "golden/plain"), O_RDONLY);
    struct ckpt *c;
    int rc = ckpt_open(scratch_path(dir, "store"), NULL, &c);

    if (!rc)
        rc = ckpt_import(c, fd, "imported", NULL);
    ckpt_close(c);
    close(fd);
    return rc ? FAILED : DONE;
}

static void check_import(struct ckpt *c, enum outcome outcome)
{
    struct ckpt_info info;
    const int found = !checkpoint_find(c, UUID_1, "imported", &info);

    check_whole(c, ID_A);
    check_whole(c, ID_C);
    insist(found || outcome != DONE, "imported and not there", c);
    insist(!found || outcome != FAILED, "yet there", c);
    insist(!found || !ckpt_verify(c, info.id, NULL), "its content", c);
    ckpt_info_fini(&info);
}

static enum outcome run_remove(const char *dir)
{
    struct ckpt_info info = {.name = NULL};
    struct ckpt *c;
    int rc;

    rc = ckpt_open(scratch_path(dir, "store"), NULL, &c);
    if (!rc)
        rc = checkpoint_find(c, NULL, ID_A, &info);
    if (!rc)
        rc = checkpoint_remove(c, &info);
    ckpt_info_fini(&info);
    ckpt_close(c);
    return rc ? FAILED : DONE;
}

static void check_remove(struct ckpt *c, enum outcome outcome)
{
    char head[CKPT_ID_LEN + 1];
    struct ckpt_info info;
    int found = is_there(c, ID_A);

    if (found)
        check_whole(c, ID_A);
    check_whole(c, ID_C);
    if (outcome == DONE)
        insist(!found, "removed and yet there", c);
    insist(!checkpoint_find(c, NULL, ID_C, &info), "child", c);
    insist(!*info.parent || (found && !strcmp(info.parent, ID_A)),
           "child's parent", c);
    ckpt_info_fini(&info);
    insist(!checkpoint_head(c, UUID_1, head), "head", c);
    insist(!*head || (found && !strcmp(head, ID_A)), "head", c);
    insist(!checkpoint_head(c, UUID_2, head), "head", c);
    insist(!strcmp(head, ID_C), "the other head", c);
}

/* clang-format off */
static const struct scenario scenarios[] = {
    { "open",   run_open,   check_open   },
    { "take",   run_take,   check_take   },
    { "take-direct", run_take_direct, check_take },
    { "take-pmem", run_take_pmem, check_take },
    { "increment", run_increment, check_increment },
    { "remove", run_remove, check_remove },
    { "prune",  run_prune,  check_prune  },
    { "compress", run_compress, check_compress },
    { "import", run_import, check_import },
};
/* clang-format on */

/* --- around them --------------------------------------------------------- */

static char *prepare(void)
{
    char *dir = scratch_dir();
    struct ckpt *c = scratch_open(dir);
    struct ckpt_info info;

    scratch_info(&info, ID_A, "first", "one", UUID_1);
    insist(!take(c, &info), "prepare", c);
    ckpt_info_fini(&info);
    scratch_info(&info, ID_C, "child", "two", UUID_2);
    memcpy(info.parent, ID_A, sizeof(info.parent));
    insist(!take(c, &info), "prepare", c);
    ckpt_info_fini(&info);
    insist(!checkpoint_set_head(c, UUID_1, ID_A), "prepare", c);
    insist(!checkpoint_set_head(c, UUID_2, ID_C), "prepare", c);
    ckpt_close(c);
    golden_unpack(ARCHIVE, scratch_path(dir, "golden"));
    return dir;
}

/* Nothing but what is whole: a file to a checkpoint, 2 heads at most; the
 * removed are gone after a prune. */
static void check_tidy(struct ckpt *c, const char *dir)
{
    struct store_space space;
    char **ids, **keys;
    unsigned nr = 0;

    insist(!store_list(c->store, &ids), "list", c);
    while (ids[nr])
        nr++;
    free(ids);
    insist(scratch_count(dir, "store/tmp") == 0, "waste in tmp/", c);
    insist(scratch_count(dir, "store/checkpoints") == nr,
           "waste in checkpoints/", c);
    insist(!store_prune(c->store, &space), "prune", c);
    insist(scratch_count(dir, "store/dropped") == 0, "waste in dropped/", c);
    insist(scratch_count(dir, "store/packs") <= 2, "waste in packs/", c);
    insist(scratch_count(dir, "store/manifests") <= nr, "waste of texts", c);
    insist(!store_keys(c->store, &keys), "keys", c);
    for (nr = 0; keys[nr];)
        nr++;
    free(keys);
    insist(scratch_count(dir, "store/values") == nr, "waste in values/", c);
}

static void check_works(struct ckpt *c)
{
    struct ckpt_info info;

    scratch_info(&info, "eeeeeeeeeeeeeeee", "after", "one", UUID_1);
    insist(!take(c, &info), "take afterwards", c);
    check_whole(c, info.id);
    insist(!checkpoint_remove(c, &info), "remove afterwards", c);
    ckpt_info_fini(&info);
}

/* One fault at one point. Returns how many points were passed; 0: killed. */
static unsigned run_one(const struct scenario *s, const char *prepared,
                        enum fault fault, unsigned n, unsigned seed)
{
    enum outcome outcome = KILLED;
    unsigned passed = 0;
    int report[2], status;
    struct ckpt *c;
    char *dir;
    pid_t pid;

    where = s->name;
    where_fault = fault;
    where_n = n;
    dir = scratch_copy(prepared);
    insist(!pipe(report), "pipe", NULL);
    fflush(NULL);
    pid = fork();
    if (!pid) {
        faults_seed(seed);
        faults_arm(fault, n);
        outcome = s->run(dir);
        passed = faults_disarm();
        /* What is published on a dead disk cannot be taken back. */
        if (outcome == DONE && fault != FAULT_DEAD) {
            faults_is_durable(scratch_path(dir, "store/checkpoints"));
            faults_is_durable(scratch_path(dir, "store/values"));
        }
        insist(!*faults_unsound(), faults_unsound(), NULL);
        insist(write(report[1], &passed, sizeof(passed)) ==
                   (ssize_t)sizeof(passed),
               "report", NULL);
        free(dir);
        exit(outcome); /* and not _exit(): a sanitizer looks for leaks */
    }
    close(report[1]);
    insist(waitpid(pid, &status, 0) == pid, "wait", NULL);
    if (WIFEXITED(status)) {
        outcome = WEXITSTATUS(status);
        insist(outcome <= FAILED_LATE, "the operation itself", NULL);
        insist(read(report[0], &passed, sizeof(passed)) ==
                   (ssize_t)sizeof(passed),
               "report", NULL);
        /* What is no failure is hidden from the caller. */
        if (fault == FAULT_NONE || fault == FAULT_SHORT || fault == FAULT_EINTR)
            insist(outcome == DONE, "should have worked", NULL);
    }
    close(report[0]);

    /* The machine has booted since: counts of before are believed no more. */
    if (fault == FAULT_POWER)
        unlink(scratch_path(dir, "store/refs/state"));
    c = scratch_open(dir);
    s->check(c, outcome);
    check_tidy(c, dir);
    check_works(c);
    ckpt_close(c);
    scratch_remove(dir);
    return passed;
}

#define POWER_CUTS 2u /* at each point, each with another loss */

static unsigned run_scenario(const struct scenario *s, unsigned i)
{
    char *prepared = prepare();
    const unsigned nr = run_one(s, prepared, FAULT_NONE, 0, 0);
    const unsigned nr_allocs = run_one(s, prepared, FAULT_ENOMEM, 0, 0);
    unsigned total = 0;

    for (int fault = FAULT_KILL_BEFORE; fault < NR_FAULTS; fault++) {
        const unsigned end = fault == FAULT_ENOMEM ? nr_allocs : nr;
        const unsigned times = fault == FAULT_POWER ? POWER_CUTS : 1;

        for (unsigned n = 1; n <= end * times; n++, total++)
            run_one(s, prepared, fault, (n - 1) / times + 1, n * 7919 + i);
    }
    scratch_remove(prepared);
    printf("%s: %u points, %d faults at each, %u times a power cut; "
           "%u allocations\n",
           s->name, nr, NR_FAULTS - 3, POWER_CUTS, nr_allocs);
    return total;
}

int main(int argc, char **argv)
{
    unsigned total = 0;

    content_make();
    for (unsigned i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        const struct scenario *s = &scenarios[i];

        if (argc > 1 && strcmp(argv[1], s->name)) /* one alone */
            continue;
        total += run_scenario(s, i);
    }
    printf("%u in all, nothing lost\n", total);
    return 0;
}
