/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Checkpoints as a user knows them: found by a word, named, in a tree with a
 * head for each domain.
 *
 * The tree is only the `parent` of each manifest.  A parent that is not there
 * makes a root: a crash between two writes, or a store copied in part, leaves
 * a tree all the same.  A domain's head is the value "head.UUID"; one that is
 * not there is no head.
 */
#include "checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "ctx.h"
#include "store_driver.h"

#define PREFIX_MIN 4
#define HEAD_KEY "head."
#define CANDIDATES_SHOWN 4

int checkpoint_new_id(struct ckpt *c, char id_out[CKPT_ID_LEN + 1])
{
    uint64_t n;

    if (getrandom(&n, sizeof(n), 0) != (ssize_t)sizeof(n))
        return fail(c, -errno, "random number");
    snprintf(id_out, CKPT_ID_LEN + 1, "%016llx", (unsigned long long)n);
    return 0;
}

/* --- one and all --------------------------------------------------------- */

/* As the manifest has it, but for is_head. */
static int load(struct ckpt *c, const char *id, struct ckpt_info *info_out)
{
    char what[64], *text;
    int rc;

    memset(info_out, 0, sizeof(*info_out));
    rc = store_manifest(c->store, id, &text);
    if (rc)
        return rc;
    snprintf(what, sizeof(what), "manifest of checkpoint %s", id);
    rc = checkpoint_from_json(c, what, text, info_out);
    free(text);
    if (!rc && strcmp(info_out->id, id)) {
        ckpt_info_fini(info_out);
        rc = fail(c, -EUCLEAN, "%s: is of another checkpoint.", what);
    }
    if (!rc && checkpoint_is_pending(c, info_out)) {
        ckpt_info_fini(info_out);
        rc = fail(c, -ENOENT, "Checkpoint %s is not whole yet.", id);
    }
    return rc;
}

static int by_id(const void *id, const void *at)
{
    return strcmp(id, *(char *const *)at);
}

static int by_time(const void *a, const void *b)
{
    const struct ckpt_info *x = a, *y = b;

    if (x->created_unix_us != y->created_unix_us)
        return x->created_unix_us < y->created_unix_us ? -1 : 1;
    return strcmp(x->id, y->id);
}

/* Heads are few and asked for in runs: the last one is remembered. */
static void mark_heads(struct ckpt *c, struct ckpt_info *list, size_t nr)
{
    char head[CKPT_ID_LEN + 1] = "";
    const char *uuid = "";

    for (size_t i = 0; i < nr; i++) {
        if (strcmp(uuid, list[i].domain_uuid)) {
            uuid = list[i].domain_uuid;
            if (checkpoint_head(c, uuid, head)) {
                warn(c, "%s", c->error);
                c->error[0] = '\0';
                head[0] = '\0';
            }
        }
        list[i].is_head = !strcmp(list[i].id, head);
    }
}

int checkpoint_list(struct ckpt *c, struct ckpt_info **list_out, size_t *nr_out)
{
    struct ckpt_info *list;
    size_t nr_ids = 0, nr = 0;
    char **ids;
    int rc;

    *list_out = NULL;
    *nr_out = 0;
    rc = store_list(c->store, &ids);
    if (rc)
        return rc;
    while (ids[nr_ids])
        nr_ids++;
    list = calloc(nr_ids + 1, sizeof(*list));
    if (!list) {
        free(ids);
        return fail(c, -ENOMEM, "list of checkpoints");
    }
    for (size_t i = 0; i < nr_ids; i++) {
        rc = load(c, ids[i], &list[nr]);
        if (rc == -ENOMEM)
            break;
        /* -ENOENT: dropped since it was listed. */
        if (rc && rc != -ENOENT)
            warn(c, "not listed: %s", c->error);
        if (!rc && !bsearch(list[nr].parent, ids, nr_ids, sizeof(*ids), by_id))
            list[nr].parent[0] = '\0';
        if (!rc)
            nr++;
    }
    free(ids);
    if (rc == -ENOMEM) {
        ckpt_list_free(list, nr);
        return rc;
    }
    c->error[0] = '\0';
    qsort(list, nr, sizeof(*list), by_time);
    mark_heads(c, list, nr);
    *list_out = list;
    *nr_out = nr;
    return 0;
}

/* --- finding ------------------------------------------------------------- */

/* What a user's word may mean. */
struct word {
    const char *text;
    const char *uuid;  /* the one domain considered, or NULL */
    const char *name;  /* after the slash, or all of it */
    size_t domain_len; /* before the slash; 0: no slash */
    bool is_prefix;    /* could be the beginning of an id */
};

static void word_init(struct word *w, const char *text, const char *uuid)
{
    const char *slash = strrchr(text, '/');
    size_t digits = strspn(text, "0123456789abcdefABCDEF");

    w->text = text;
    w->uuid = uuid;
    w->name = slash ? slash + 1 : text;
    w->domain_len = slash ? (size_t)(slash - text) : 0;
    w->is_prefix =
        !text[digits] && digits >= PREFIX_MIN && digits <= CKPT_ID_LEN;
}

static bool is_domain(const struct ckpt_info *info, const char *domain,
                      size_t len)
{
    return (strlen(info->domain_name) == len &&
            !strncmp(info->domain_name, domain, len)) ||
           (strlen(info->domain_uuid) == len &&
            !strncasecmp(info->domain_uuid, domain, len));
}

static bool word_matches(const struct word *w, const struct ckpt_info *info)
{
    if (w->is_prefix && !strncasecmp(info->id, w->text, strlen(w->text)))
        return true;
    if (strcmp(info->name, w->name))
        return false;
    return !strchr(w->text, '/') || is_domain(info, w->text, w->domain_len);
}

static int fail_ambiguous(struct ckpt *c, const struct word *w,
                          const struct ckpt_info *list, size_t nr)
{
    char text[400] = "";
    size_t len = 0, shown = 0, found = 0;

    for (size_t i = 0; i < nr; i++) {
        if ((w->uuid && strcmp(list[i].domain_uuid, w->uuid)) ||
            !word_matches(w, &list[i]))
            continue;
        found++;
        if (shown == CANDIDATES_SHOWN || len >= sizeof(text) - 1)
            continue;
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "%s%s (%.32s/%s)", shown ? ", " : "",
                                list[i].id, list[i].domain_name, list[i].name);
        shown++;
    }
    return fail(c, -EINVAL, "\"%.64s\" may be %s%s: say which, by its id.",
                w->text, text, found > shown ? ", …" : "");
}

static int fail_not_found(struct ckpt *c, const struct word *w,
                          const struct ckpt_info *elsewhere)
{
    if (elsewhere)
        return fail(c, -ENOENT, "Checkpoint %s is of domain %s, not of this.",
                    w->text, elsewhere->domain_name);
    return fail(c, -ENOENT, "No checkpoint \"%s\" in %s.", w->text, c->url);
}

/* The one entry that @w means. */
static int pick(struct ckpt *c, const struct word *w,
                const struct ckpt_info *list, size_t nr, size_t *at_out)
{
    const struct ckpt_info *elsewhere = NULL;
    size_t found = 0;

    for (size_t i = 0; i < nr; i++) {
        if (!word_matches(w, &list[i]))
            continue;
        if (w->uuid && strcmp(list[i].domain_uuid, w->uuid)) {
            elsewhere = &list[i];
            continue;
        }
        *at_out = i;
        /* A whole id is never ambiguous, whatever else has it as its name. */
        if (!strcasecmp(list[i].id, w->text))
            return 0;
        found++;
    }
    if (!found)
        return fail_not_found(c, w, elsewhere);
    return found == 1 ? 0 : fail_ambiguous(c, w, list, nr);
}

/* The domain's latest. */
static int pick_default(struct ckpt *c, const char *uuid,
                        const struct ckpt_info *list, size_t nr, size_t *at_out)
{
    bool found = false;

    for (size_t i = 0; i < nr; i++) {
        if (strcmp(list[i].domain_uuid, uuid))
            continue;
        *at_out = i; /* sorted by time */
        found = true;
    }
    return found ? 0
                 : fail(c, -ENOENT, "This domain has no checkpoint in %s.",
                        c->url);
}

/* A whole id needs no list, and tells what is wrong with its manifest. */
static int find_id(struct ckpt *c, const char *id, const char *uuid,
                   struct ckpt_info *info_out)
{
    char head[CKPT_ID_LEN + 1], *text = NULL;
    int rc;

    rc = load(c, id, info_out);
    if (rc)
        return rc;
    if (uuid && strcmp(info_out->domain_uuid, uuid)) {
        rc = fail(c, -ENOENT, "Checkpoint %s is of domain %s, not of this.", id,
                  info_out->domain_name);
        goto out;
    }
    if (info_out->parent[0]) {
        if (store_manifest(c->store, info_out->parent, &text) == -ENOENT)
            info_out->parent[0] = '\0';
        else
            free(text);
        c->error[0] = '\0';
    }
    rc = checkpoint_head(c, info_out->domain_uuid, head);
    if (!rc)
        info_out->is_head = !strcmp(head, id);
out:
    if (rc)
        ckpt_info_fini(info_out);
    return rc;
}

int checkpoint_find(struct ckpt *c, const char *domain_uuid, const char *word,
                    struct ckpt_info *info_out)
{
    struct ckpt_info *list;
    size_t nr, at = 0;
    struct word w;
    int rc;

    memset(info_out, 0, sizeof(*info_out));
    if (word && store_is_id(word)) {
        rc = find_id(c, word, domain_uuid, info_out);
        if (rc != -ENOENT)
            return rc;
    }
    if (!word && !domain_uuid)
        return fail(c, -EINVAL, "No checkpoint named.");
    rc = checkpoint_list(c, &list, &nr);
    if (rc)
        return rc;
    if (word) {
        word_init(&w, word, domain_uuid);
        rc = pick(c, &w, list, nr, &at);
    } else {
        rc = pick_default(c, domain_uuid, list, nr, &at);
    }
    if (!rc) {
        *info_out = list[at];
        memset(&list[at], 0, sizeof(list[at]));
    }
    ckpt_list_free(list, nr);
    return rc;
}

int checkpoint_name_check(struct ckpt *c, const char *domain_uuid,
                          const char *name)
{
    const size_t len = strlen(name);
    struct ckpt_info *list;
    size_t nr;
    int rc;

    if (len < 1 || len > 64 || name[0] == '-' || name[0] == '.' ||
        name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                          "0123456789._-")])
        return fail(c, -EINVAL,
                    "\"%.80s\" cannot be a name: 1 to 64 letters, digits, "
                    "'.', '_' and '-', not beginning with '-' or '.'.",
                    name);
    rc = checkpoint_list(c, &list, &nr);
    for (size_t i = 0; !rc && i < nr; i++) {
        if (!strcmp(list[i].domain_uuid, domain_uuid) &&
            !strcmp(list[i].name, name))
            rc = fail(c, -EEXIST,
                      "Domain %s has a checkpoint \"%s\" already (%s): use "
                      "another name, or delete that one.",
                      list[i].domain_name, name, list[i].id);
    }
    ckpt_list_free(list, nr);
    return rc;
}

/* --- heads and the tree -------------------------------------------------- */

static void head_key(char key[STORE_NAME_MAX], const char *uuid)
{
    snprintf(key, STORE_NAME_MAX, HEAD_KEY "%s", uuid);
}

int checkpoint_head(struct ckpt *c, const char *domain_uuid,
                    char id_out[CKPT_ID_LEN + 1])
{
    char key[STORE_NAME_MAX], *value, *text;
    int rc;

    id_out[0] = '\0';
    head_key(key, domain_uuid);
    rc = store_get(c->store, key, &value);
    if (rc == -ENOENT) {
        c->error[0] = '\0';
        return 0;
    }
    if (rc)
        return rc;
    if (!store_is_id(value)) {
        free(value);
        return fail(c, -EUCLEAN, "The head of domain %s is not an id.",
                    domain_uuid);
    }
    rc = store_manifest(c->store, value, &text);
    if (rc != -ENOENT) /* damaged or not, it is there */
        memcpy(id_out, value, CKPT_ID_LEN + 1);
    if (!rc)
        free(text);
    c->error[0] = '\0';
    free(value);
    return 0;
}

int checkpoint_set_head(struct ckpt *c, const char *domain_uuid, const char *id)
{
    char key[STORE_NAME_MAX];

    head_key(key, domain_uuid);
    return store_set(c->store, key, *id ? id : NULL);
}

int checkpoint_rewrite(struct ckpt *c, const struct ckpt_info *info)
{
    char *text;
    int rc;

    rc = checkpoint_to_json(c, info, &text);
    if (rc)
        return rc;
    rc = store_set_manifest(c->store, info->id, text);
    free(text);
    return rc;
}

static int set_parent(struct ckpt *c, struct ckpt_info *info,
                      const char *parent)
{
    memcpy(info->parent, parent, CKPT_ID_LEN + 1);
    return checkpoint_rewrite(c, info);
}

/* A head on @info goes to its parent.  Another domain's (a fork's) only while
 * nothing is under way there; left behind, it is no head once @info is gone. */
static int move_head(struct ckpt *c, const struct ckpt_info *info,
                     const char *uuid)
{
    struct store_lock *lock = NULL;
    char head[CKPT_ID_LEN + 1];
    int rc;

    if (strcmp(uuid, info->domain_uuid) &&
        store_lock(c->store, uuid, &lock, NULL)) {
        c->error[0] = '\0';
        return 0;
    }
    rc = checkpoint_head(c, uuid, head);
    if (!rc && !strcmp(head, info->id))
        rc = checkpoint_set_head(c, uuid, info->parent);
    store_unlock(lock);
    return rc;
}

static int move_heads(struct ckpt *c, const struct ckpt_info *info)
{
    char **keys;
    int rc;

    rc = store_keys(c->store, &keys);
    if (rc)
        return rc;
    for (size_t i = 0; !rc && keys[i]; i++) {
        if (!strncmp(keys[i], HEAD_KEY, strlen(HEAD_KEY)))
            rc = move_head(c, info, keys[i] + strlen(HEAD_KEY));
    }
    free(keys);
    return rc;
}

bool checkpoint_is_left_out(const struct ckpt_disk *disk)
{
    const char *why = disk->why_none ? disk->why_none : "";

    return !(disk->snapshot && *disk->snapshot) && strcmp(why, "read-only") &&
           strcmp(why, "cdrom") && strcmp(why, "empty");
}

/* In this order every state between is a sound tree: a child of the
 * grandparent, a head on an ancestor. */
int checkpoint_remove(struct ckpt *c, const struct ckpt_info *info)
{
    struct ckpt_info *list;
    size_t nr;
    int rc;

    rc = checkpoint_list(c, &list, &nr);
    for (size_t i = 0; !rc && i < nr; i++) {
        if (!strcmp(list[i].parent, info->id))
            rc = set_parent(c, &list[i], info->parent);
    }
    ckpt_list_free(list, nr);
    if (!rc)
        rc = move_heads(c, info);
    return rc ? rc : store_drop(c->store, info->id, NULL);
}
