/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What is to stay, and how much there may be: the mark "keep" and the tags, in
 * the manifest; quotas, as the values "quota.UUID" and "quota.store" with the
 * text "COUNT BYTES".
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "ctx.h"
#include "store.h"
#include "store_driver.h"

#define TAG_MAX 32u
#define QUOTA_KEY "quota."

/* Finds it, and holds the lock of its domain: a manifest has one writer. */
static int begin(struct ckpt *c, const char *checkpoint, struct ckpt_info *info,
                 struct store_lock **lock)
{
    int rc;

    ctx_begin(c);
    rc = checkpoint_find(c, NULL, checkpoint, info);
    if (rc)
        return rc;
    rc = store_lock(c->store, info->domain_uuid, lock, NULL);
    if (rc)
        ckpt_info_fini(info);
    return rc;
}

int ckpt_keep(ckpt *c, const char *checkpoint, bool keep)
{
    struct store_lock *lock;
    struct ckpt_info info;
    int rc;

    rc = begin(c, checkpoint, &info, &lock);
    if (rc)
        return rc;
    if (info.keep != keep) {
        info.keep = keep;
        rc = checkpoint_rewrite(c, &info);
    }
    store_unlock(lock);
    ckpt_info_fini(&info);
    return rc;
}

int checkpoint_may_go(struct ckpt *c, const struct ckpt_info *info)
{
    if (!info->keep)
        return 0;
    return fail(c, -EPERM,
                "Checkpoint %s is kept: 'xl checkpoint-keep --off %s' first.",
                info->id, info->id);
}

/* --- tags ---------------------------------------------------------------- */

/* Where @tag stands among @tags; NULL: it does not. */
static const char *find_tag(const char *tags, const char *tag)
{
    const size_t len = strlen(tag);

    for (const char *at = tags; (at = strstr(at, tag)); at++) {
        if ((at == tags || at[-1] == ' ') && (!at[len] || at[len] == ' '))
            return at;
    }
    return NULL;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The words of @tags and @tag, or without it, sorted; owned by the caller. */
static char *with_tag(const char *tags, const char *tag, bool add)
{
    char *copy = strdup(tags), *all = malloc(strlen(tags) + TAG_MAX + 2);
    const char *words[1024 / 2];
    size_t nr = 0, len = 0;
    char *save = NULL;

    if (!copy || !all) {
        free(copy);
        free(all);
        return NULL;
    }
    for (char *w = strtok_r(copy, " ", &save);
         w && nr < sizeof(words) / sizeof(words[0]) - 1;
         w = strtok_r(NULL, " ", &save)) {
        if (strcmp(w, tag))
            words[nr++] = w;
    }
    if (add)
        words[nr++] = tag;
    qsort(words, nr, sizeof(words[0]), by_text);
    all[0] = '\0';
    for (size_t i = 0; i < nr; i++)
        len += (size_t)sprintf(all + len, "%s%s", i ? " " : "", words[i]);
    free(copy);
    return all;
}

static int check_tag(struct ckpt *c, const char *tag)
{
    const size_t len = strlen(tag);

    if (len >= 1 && len <= TAG_MAX &&
        !tag[strspn(tag, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                         "0123456789._:-")])
        return 0;
    return fail(c, -EINVAL,
                "\"%.40s\" cannot be a tag: 1 to 32 letters, digits, '.', "
                "'_', ':' and '-'.",
                tag);
}

int ckpt_tag(ckpt *c, const char *checkpoint, const char *tag, bool add)
{
    struct store_lock *lock;
    struct ckpt_info info;
    char *tags;
    int rc;

    ctx_begin(c);
    rc = check_tag(c, tag);
    if (!rc)
        rc = begin(c, checkpoint, &info, &lock);
    if (rc)
        return rc;
    if (add && find_tag(info.tags, tag)) {
        rc = fail(c, -EEXIST, "Checkpoint %s has the tag \"%s\" already.",
                  info.id, tag);
    } else if (!add && !find_tag(info.tags, tag)) {
        rc = fail(c, -ENOENT, "Checkpoint %s has no tag \"%s\".", info.id, tag);
    } else if ((tags = with_tag(info.tags, tag, add))) {
        free(info.tags);
        info.tags = tags;
        rc = checkpoint_rewrite(c, &info);
    } else {
        rc = fail(c, -ENOMEM, "tag %s", tag);
    }
    store_unlock(lock);
    ckpt_info_fini(&info);
    return rc;
}

/* --- quotas -------------------------------------------------------------- */

static void quota_key(char key[STORE_NAME_MAX], const char *domain_uuid)
{
    snprintf(key, STORE_NAME_MAX, QUOTA_KEY "%s",
             domain_uuid ? domain_uuid : "store");
}

static int get_quota(struct ckpt *c, const char *domain_uuid,
                     struct ckpt_quota *q)
{
    char key[STORE_NAME_MAX], *value, end;
    int rc;

    memset(q, 0, sizeof(*q));
    quota_key(key, domain_uuid);
    rc = store_get(c->store, key, &value);
    if (rc == -ENOENT) {
        c->error[0] = '\0';
        return 0;
    }
    if (rc)
        return rc;
    if (sscanf(value, "%" SCNu64 " %" SCNu64 "%c", &q->count, &q->bytes,
               &end) != 2)
        rc = fail(c, -EUCLEAN, "The value \"%s\" of the store is no quota.",
                  key);
    free(value);
    return rc;
}

int ckpt_quota_get(ckpt *c, const char *domain_uuid,
                   struct ckpt_quota *quota_out)
{
    ctx_begin(c);
    return get_quota(c, domain_uuid, quota_out);
}

int ckpt_quota_set(ckpt *c, const char *domain_uuid,
                   const struct ckpt_quota *quota)
{
    char key[STORE_NAME_MAX], value[64];

    ctx_begin(c);
    quota_key(key, domain_uuid);
    snprintf(value, sizeof(value), "%" PRIu64 " %" PRIu64, quota->count,
             quota->bytes);
    return store_set(c->store, key,
                     quota->count || quota->bytes ? value : NULL);
}

/* Would one more, of @need bytes, be too much for @what? */
static int check_quota(struct ckpt *c, const char *what,
                       const struct ckpt_quota *q, const struct ckpt_quota *has,
                       uint64_t need)
{
    if (q->count && has->count >= q->count)
        return fail(c, -EDQUOT,
                    "%s has %llu checkpoints, and may have no more: delete "
                    "one ('xl checkpoint-prune').",
                    what, (unsigned long long)has->count);
    if (q->bytes && has->bytes + need > q->bytes)
        return fail(c, -EDQUOT,
                    "%s has %llu MiB of checkpoints and may have %llu; one "
                    "more may need %llu: delete some ('xl checkpoint-prune').",
                    what, (unsigned long long)has->bytes >> 20,
                    (unsigned long long)q->bytes >> 20,
                    (unsigned long long)need >> 20);
    return 0;
}

int checkpoint_quota(struct ckpt *c, const char *domain_uuid,
                     uint64_t need_bytes)
{
    struct ckpt_quota domain, store, domain_has = {0}, store_has = {0};
    struct ckpt_info *list;
    size_t nr;
    int rc;

    rc = get_quota(c, domain_uuid, &domain);
    if (!rc)
        rc = get_quota(c, NULL, &store);
    if (rc || !(domain.count | domain.bytes | store.count | store.bytes))
        return rc;
    rc = checkpoint_list(c, &list, &nr);
    for (size_t i = 0; !rc && i < nr; i++) {
        store_has.count++;
        store_has.bytes += list[i].stored_bytes;
        if (strcmp(list[i].domain_uuid, domain_uuid))
            continue;
        domain_has.count++;
        domain_has.bytes += list[i].stored_bytes;
    }
    if (!rc)
        ckpt_list_free(list, nr);
    if (!rc)
        rc = check_quota(c, "This domain", &domain, &domain_has, need_bytes);
    if (!rc)
        rc = check_quota(c, "The store", &store, &store_has, need_bytes);
    return rc;
}
