/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * witness-check: whether a stored image of a guest with a witness in it is one
 * instant, memory and disk together.
 *
 *   witness-check --raw FILE [--disk PATH] [--instance ID] [--max N] [--layout]
 *
 * The last line says OK with figures, or BAD with their number, after every
 * violation with the value it should have and the one it has (N lines at most,
 * 50 if not said).  --layout only prints which frame is what.
 * Exit: 0 one instant; 1 it is not; 99 the question could not be put: no image,
 * no witness in it, several, or one that was not ready.
 */
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXIT_BAD = 1,
    EXIT_WORLD = 99
};

struct source_kind {
    const char *option;
    int nr_args;
    int (*open)(char **args, struct page_source **src_out);
};

/* clang-format off */
static const struct source_kind kinds[] = {
    { "--raw", 1, source_raw_open },
    { "--checkpoint", 2, source_ckpt_open },
};
/* clang-format on */

struct question {
    const struct source_kind *kind;
    char **args;
    const char *disk;
    bool is_layout;
};

void check_violation(struct check *c, const char *what, uint64_t page,
                     uint64_t expected, uint64_t found)
{
    if (c->violations++ < c->max_lines)
        printf("VIOLATION what=%s page=%" PRIu64 " gfn=0x%" PRIx64
               " expected=0x%" PRIx64 " found=0x%" PRIx64 "\n",
               what, page, c->gfns[page], expected, found);
}

void check_slot_violation(struct check *c, const char *what, uint64_t slot,
                          uint64_t expected, uint64_t found)
{
    if (c->violations++ < c->max_lines)
        printf("VIOLATION what=%s slot=%" PRIu64 " expected=0x%" PRIx64
               " found=0x%" PRIx64 "\n",
               what, slot, expected, found);
}

int check_read(struct check *c, uint64_t index, void *page)
{
    int rc = c->src->read(c->src, c->gfns[index], page);

    if (rc) /* what was not read must not look like anything */
        memset(page, 0, FMT_PAGE);
    if (rc == -ENOENT)
        check_violation(c, "page-missing", index, c->gfns[index], 0);
    return rc;
}

static int usage(void)
{
    fputs("usage: witness-check --raw FILE | --checkpoint STORE ID\n"
          "       [--disk PATH] [--instance ID]\n"
          "                     [--max N] [--layout]\n",
          stderr);
    return -EINVAL;
}

static bool parse_source(struct question *q, int argc, char **argv, int *i)
{
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        if (strcmp(argv[*i], kinds[k].option) || q->kind ||
            *i + kinds[k].nr_args >= argc)
            continue;
        q->kind = &kinds[k];
        q->args = argv + *i + 1;
        *i += kinds[k].nr_args;
        return true;
    }
    return false;
}

static int parse(struct question *q, struct check *c, int argc, char **argv)
{
    c->max_lines = 50;
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;

        if (parse_source(q, argc, argv, &i))
            continue;
        if (!strcmp(argv[i], "--layout"))
            q->is_layout = true;
        else if (!strcmp(argv[i], "--disk") && has_value)
            q->disk = argv[++i];
        else if (!strcmp(argv[i], "--instance") && has_value)
            c->wanted = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--max") && has_value)
            c->max_lines = strtoull(argv[++i], NULL, 0);
        else
            return usage();
    }
    return q->kind ? 0 : usage();
}

static void print_layout(const struct check *c)
{
    const struct fmt_control *control = check_control(c);

    printf("control %" PRIu64 "\n", c->gfns[ARENA_CONTROL]);
    printf("secrets %" PRIu64 "\n", c->gfns[ARENA_SECRETS]);
    printf("log %" PRIu64 "\n", c->gfns[ARENA_LOG]);
    printf("root %" PRIu64 "\n", c->gfns[ARENA_ROOT]);
    printf("table %" PRIu64 "\n", c->gfns[control->first_table]);
    printf("pages %" PRIu64 "\n", control->region_pages);
    for (uint64_t i = 0; i < control->nr_writers; i++) {
        uint64_t first = control->first_region + i * control->region_pages;
        uint64_t cur = c->done[i] % control->region_pages;

        printf("status%" PRIu64 " %" PRIu64 "\n", i, c->gfns[ARENA_STATUS + i]);
        printf("region%" PRIu64 " %" PRIu64 "\n", i, c->gfns[first]);
        printf("current%" PRIu64 " %" PRIu64 "\n", i, c->gfns[first + cur]);
    }
}

static void print_ok(const struct check *c, bool has_disk)
{
    const struct fmt_control *control = check_control(c);
    const struct fmt_log *log = check_log(c);

    printf("OK instance=0x%" PRIx64 " gfn=0x%" PRIx64 " pages=%" PRIu64
           " secrets=0x%" PRIx64 " beat=%" PRIu64 " in_flight=%" PRIu64
           " done=",
           control->instance, control->gfn,
           control->nr_writers * control->region_pages, control->secrets_sum,
           control->beat, c->in_flight);
    for (uint64_t i = 0; i < control->nr_writers; i++)
        printf("%s%" PRIu64, i ? "," : "", c->done[i]);
    if (log->nr_slots)
        printf(" log=%" PRIu64 " intent=%" PRIu64, log->done, log->intent);
    if (has_disk)
        printf(" disk=%" PRIu64, c->log_last);
    putchar('\n');
}

static int ask(struct check *c, const struct question *q)
{
    const char *what = q->args[0];
    int rc;

    rc = q->kind->open(q->args, &c->src);
    if (!rc)
        rc = scan_find(c);
    if (!rc && q->is_layout)
        c->max_lines = 0;
    if (!rc)
        rc = mem_check(c);
    if (!rc && q->disk && !q->is_layout) {
        what = q->disk;
        rc = disk_check(c, q->disk);
    }
    if (rc == -ENOENT && c->src && what != q->disk)
        fprintf(stderr, "witness-check: %s: no witness in this image\n", what);
    else if (rc == -EAGAIN)
        fprintf(stderr, "witness-check: %s: witness not ready\n", what);
    else if (rc == -ENODEV)
        fprintf(stderr, "witness-check: this witness keeps no log on %s\n",
                what);
    else if (rc == -ENODATA)
        rc = 0; /* nothing could be checked because of a violation */
    else if (rc)
        fprintf(stderr, "witness-check: %s: %s\n", what, strerror(-rc));
    return rc;
}

int main(int argc, char **argv)
{
    struct question q = {0};
    static struct check c;
    int rc;

    rc = parse(&q, &c, argc, argv);
    if (rc)
        return EXIT_WORLD;
    rc = ask(&c, &q);
    if (!rc && q.is_layout)
        print_layout(&c);
    else if (!rc && c.violations)
        printf("BAD violations=%" PRIu64 "\n", c.violations);
    else if (!rc)
        print_ok(&c, q.disk);
    if (c.src)
        c.src->close(c.src);
    free(c.gfns);
    if (rc)
        return EXIT_WORLD;
    return c.violations && !q.is_layout ? EXIT_BAD : 0;
}
