/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Checkpoints come mostly in long chains, so a chain is a straight column and
 * only a branching moves to the right:
 *
 *   web1
 *   `-- 1111111111111111   base
 *       2222222222222222   day1          child of base
 *       |-- 3333333333333333   try       child of day1
 *       |   4444444444444444   try-2     child of try
 *       `-- 5555555555555555 * day2      child of day1; the head
 *
 * A line below another at the same place, without a connector, is its child.
 *
 * The nodes are the list's own order; links are indexes.  The walk keeps a
 * stack of branch heads, not C frames, so no shape of a store can exhaust the
 * C stack.  Links are checked first: a parent that is not in the list or is
 * another domain's leaves a root that says where it comes from, and a ring
 * (a damaged store) is cut open.
 */
#include "tree.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"
#include "text.h"

#define NONE SIZE_MAX

struct node {
    const struct ckpt_info *info;
    size_t parent, first_child, next;
    size_t walk; /* ring search: which walk came by, 0 for none */
    bool is_drawn;
};

struct tree {
    FILE *f;
    const char *tee, *end, *bar, *gap;
    struct node *nodes;
    const struct node **by_id;
    size_t *heads; /* stack: the branch being drawn, per level */
    size_t nr;
};

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

static int compare_id(const void *a, const void *b)
{
    const struct node *const *x = a, *const *y = b;

    return strcmp((*x)->info->id, (*y)->info->id);
}

static size_t find_id(const struct tree *t, const char *id)
{
    struct ckpt_info want = {.parent = ""};
    struct node key = {.info = &want};
    const struct node *key_at = &key, **hit;

    snprintf(want.id, sizeof(want.id), "%s", id);
    hit = bsearch(&key_at, t->by_id, t->nr, sizeof(*t->by_id), compare_id);
    return hit ? (size_t)(*hit - t->nodes) : NONE;
}

/* A node has one parent, so walking up either ends or comes back. */
static void cut_rings(struct tree *t)
{
    size_t i, at;

    for (i = 0; i < t->nr; i++) {
        for (at = i; at != NONE && !t->nodes[at].walk; at = t->nodes[at].parent)
            t->nodes[at].walk = i + 1;
        if (at != NONE && t->nodes[at].walk == i + 1)
            t->nodes[at].parent = NONE;
    }
}

static void link_nodes(struct tree *t)
{
    struct node *n;
    size_t i, up;

    for (i = 0; i < t->nr; i++) {
        n = &t->nodes[i];
        up = n->info->parent[0] ? find_id(t, n->info->parent) : NONE;
        if (up != NONE &&
            strcmp(t->nodes[up].info->domain_uuid, n->info->domain_uuid) != 0)
            up = NONE;
        n->parent = up;
    }
    cut_rings(t);
    for (i = t->nr; i-- > 0;) { /* backwards: each is put in front */
        up = t->nodes[i].parent;
        if (up == NONE)
            continue;
        t->nodes[i].next = t->nodes[up].first_child;
        t->nodes[up].first_child = i;
    }
}

static void draw_origin(const struct tree *t, const struct node *n)
{
    size_t up;

    if (n->parent != NONE || !n->info->parent[0])
        return;
    up = find_id(t, n->info->parent);
    fputs("  (from ", t->f);
    if (up != NONE) {
        text_print(t->f, t->nodes[up].info->domain_name);
        putc('/', t->f);
        text_print(t->f, t->nodes[up].info->name);
    } else {
        fputs(n->info->parent, t->f);
    }
    putc(')', t->f);
}

static void draw_node(struct tree *t, size_t i, size_t depth, bool is_first)
{
    struct node *n = &t->nodes[i];
    char when[PRINT_LEN], stored[PRINT_LEN];
    bool is_last;
    size_t k;

    for (k = 0; k <= depth; k++) {
        is_last = t->nodes[t->heads[k]].next == NONE;
        if (k == depth && is_first)
            fputs(is_last ? t->end : t->tee, t->f);
        else
            fputs(is_last ? t->gap : t->bar, t->f);
    }
    fprintf(t->f, "%s %c ", n->info->id, n->info->is_head ? '*' : ' ');
    text_print(t->f, n->info->name);
    fprintf(t->f, "  %s  %s%s", print_time(when, n->info->created_unix_us),
            print_size(stored, n->info->stored_bytes),
            n->info->has_memory ? "" : ", disks only");
    draw_origin(t, n);
    putc('\n', t->f);
    n->is_drawn = true;
}

static bool has_one_child(const struct tree *t, size_t i)
{
    const size_t child = t->nodes[i].first_child;

    return child != NONE && t->nodes[child].next == NONE;
}

static void draw_from(struct tree *t, size_t root)
{
    size_t depth = 0, at;

    t->heads[0] = root;
    for (;;) {
        at = t->heads[depth];
        draw_node(t, at, depth, true);
        while (has_one_child(t, at)) {
            at = t->nodes[at].first_child;
            draw_node(t, at, depth, false);
        }
        if (t->nodes[at].first_child != NONE) {
            t->heads[++depth] = t->nodes[at].first_child;
            continue;
        }
        while (t->nodes[t->heads[depth]].next == NONE) {
            if (depth-- == 0)
                return;
        }
        t->heads[depth] = t->nodes[t->heads[depth]].next;
    }
}

/* The newest name of a domain, and its UUID where two have that name. */
static void draw_domain(const struct tree *t, const char *uuid)
{
    const struct ckpt_info *newest = NULL;
    bool is_shared = false;
    size_t i;

    for (i = 0; i < t->nr; i++)
        if (strcmp(t->nodes[i].info->domain_uuid, uuid) == 0)
            newest = t->nodes[i].info;
    for (i = 0; i < t->nr; i++)
        is_shared |= strcmp(t->nodes[i].info->domain_uuid, uuid) != 0 &&
                     strcmp(or_empty(t->nodes[i].info->domain_name),
                            or_empty(newest->domain_name)) == 0;
    text_print(t->f, newest->domain_name);
    if (is_shared)
        fprintf(t->f, " (%s)", uuid);
    putc('\n', t->f);
}

/* Strings the roots of @first's domain together and draws them. */
static void draw_group(struct tree *t, size_t first)
{
    const char *uuid = t->nodes[first].info->domain_uuid;
    size_t i, last = NONE, root = NONE;

    for (i = first; i < t->nr; i++) {
        if (t->nodes[i].parent != NONE ||
            strcmp(t->nodes[i].info->domain_uuid, uuid) != 0)
            continue;
        if (last == NONE)
            root = i;
        else
            t->nodes[last].next = i;
        last = i;
    }
    draw_domain(t, uuid);
    draw_from(t, root);
}

int tree_print(FILE *f, const struct ckpt_info *list, size_t nr, bool is_utf8)
{
    struct tree t = {.f = f,
                     .tee = is_utf8 ? "├── " : "|-- ",
                     .end = is_utf8 ? "└── " : "`-- ",
                     .bar = is_utf8 ? "│   " : "|   ",
                     .gap = "    ",
                     .nr = nr};
    size_t i;
    int rc;

    if (!nr)
        return 0;
    t.nodes = calloc(nr, sizeof(*t.nodes));
    t.by_id = calloc(nr, sizeof(*t.by_id));
    t.heads = calloc(nr, sizeof(*t.heads));
    if (!t.nodes || !t.by_id || !t.heads) {
        rc = -ENOMEM;
        goto out;
    }
    for (i = 0; i < nr; i++) {
        t.nodes[i] = (struct node){.info = &list[i],
                                   .parent = NONE,
                                   .first_child = NONE,
                                   .next = NONE};
        t.by_id[i] = &t.nodes[i];
    }
    qsort(t.by_id, nr, sizeof(*t.by_id), compare_id);
    link_nodes(&t);
    for (i = 0; i < nr; i++)
        if (!t.nodes[i].is_drawn)
            draw_group(&t, i);
    rc = 0;
out:
    free(t.nodes);
    free(t.by_id);
    free(t.heads);
    return rc;
}
