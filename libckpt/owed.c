/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A value of the store per snapshot: "owed.ID.N" is "UUID DRIVER SNAPSHOT",
 * disk N of checkpoint ID of the domain UUID.  A record whose checkpoint is
 * in the store is of a deletion that died before it came to that: it is
 * struck out and removes nothing.  Collecting goes on while it gets anywhere,
 * for one snapshot may wait for another that lies above it.
 */
#include "owed.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ctx.h"
#include "disk.h"
#include "store_driver.h"

#define PREFIX "owed."

struct record {
    char id[CKPT_ID_LEN + 1];
    char uuid[37];
    char *value; /* owned */
    const char *driver_and_snapshot, *snapshot;
};

static void make_key(char key[STORE_NAME_MAX], const char *id, size_t n)
{
    snprintf(key, STORE_NAME_MAX, PREFIX "%s.%zu", id, n);
}

int owed_add(struct ckpt *c, const struct ckpt_info *info, size_t n)
{
    const struct ckpt_disk *d = &info->disks[n];
    char key[STORE_NAME_MAX], value[STORE_VALUE_MAX];

    make_key(key, info->id, n);
    if ((size_t)snprintf(value, sizeof(value), "%s %s %s", info->domain_uuid,
                         d->driver, d->snapshot) >= sizeof(value))
        return fail(c, -ENAMETOOLONG, "disk %s: %s", d->vdev, d->snapshot);
    return store_set(c->store, key, value);
}

int owed_strike(struct ckpt *c, const struct ckpt_info *info, size_t n)
{
    char key[STORE_NAME_MAX];

    make_key(key, info->id, n);
    return store_set(c->store, key, NULL);
}

/* -ENOENT: it is none, or gone. */
static int record_read(struct ckpt *c, const char *key, struct record *r)
{
    const char *id = key + strlen(PREFIX);
    const char *words;
    int rc;

    memset(r, 0, sizeof(*r));
    if (strncmp(key, PREFIX, strlen(PREFIX)) || strcspn(id, ".") != CKPT_ID_LEN)
        return -ENOENT;
    memcpy(r->id, id, CKPT_ID_LEN);
    rc = store_get(c->store, key, &r->value);
    if (rc)
        return rc;
    words = strchr(r->value, ' ');
    if (words && (size_t)(words - r->value) < sizeof(r->uuid)) {
        memcpy(r->uuid, r->value, (size_t)(words - r->value));
        r->driver_and_snapshot = words + 1;
        r->snapshot = strchr(words + 1, ' ');
    }
    if (r->snapshot) {
        r->snapshot++;
        return 0;
    }
    free(r->value);
    r->value = NULL;
    return fail(c, -EUCLEAN, "%s: no record of a snapshot to be removed.", key);
}

static bool is_in_store(struct ckpt *c, const char *id)
{
    char *text = NULL;
    int rc = store_manifest(c->store, id, &text);

    free(text);
    return rc != -ENOENT;
}

static void count(const struct record *r, struct owed *left)
{
    struct stat st;

    left->nr++;
    if (r->snapshot[0] == '/' && !lstat(r->snapshot, &st))
        left->bytes += (uint64_t)st.st_blocks * 512;
}

/* *is_gone: it is owed no more. */
static int collect_locked(struct ckpt *c, const char *key,
                          const struct record *r, bool *is_gone)
{
    int rc = is_in_store(c, r->id) ? 0 : disk_remove(c, r->driver_and_snapshot);

    if (!rc)
        rc = store_set(c->store, key, NULL);
    *is_gone = !rc;
    if (rc && rc != -EBUSY)
        warn(c, "%s, of a deleted checkpoint, stays: %s", r->snapshot,
             c->error);
    return rc == -EBUSY ? 0 : rc;
}

static int collect(struct ckpt *c, const char *key, struct owed *left,
                   bool *is_gone)
{
    struct store_lock *lock = NULL;
    struct record r;
    int rc;

    *is_gone = false;
    rc = record_read(c, key, &r);
    if (rc == -ENOENT)
        return 0;
    if (!rc && !store_lock(c->store, r.uuid, &lock, NULL)) {
        free(r.value); /* it may have changed until we had the lock */
        rc = record_read(c, key, &r);
        if (!rc)
            rc = collect_locked(c, key, &r, is_gone);
        store_unlock(lock);
    }
    if (rc == -EUCLEAN && !r.value)
        warn(c, "%s", c->error);
    c->error[0] = '\0';
    if (r.value && !*is_gone)
        count(&r, left);
    free(r.value);
    return rc == -ENOENT ? 0 : rc;
}

int owed_collect(struct ckpt *c, struct owed *left_out)
{
    struct owed left;
    bool is_any_gone, is_gone;
    char **keys;
    int rc, r;

    rc = store_keys(c->store, &keys);
    if (rc)
        return rc;
    do {
        memset(&left, 0, sizeof(left));
        is_any_gone = false;
        for (size_t i = 0; keys[i] && !rc; i++) {
            r = collect(c, keys[i], &left, &is_gone);
            is_any_gone = is_any_gone || is_gone;
            rc = r == -ECANCELED || r == -ENOMEM ? r : check_cancel(c);
        }
    } while (is_any_gone && left.nr && !rc);
    free(keys);
    if (left_out)
        *left_out = left;
    return rc;
}

int owed_count(struct ckpt *c, struct owed *left_out)
{
    struct record r;
    char **keys;
    int rc;

    memset(left_out, 0, sizeof(*left_out));
    rc = store_keys(c->store, &keys);
    for (size_t i = 0; !rc && keys[i]; i++) {
        if (record_read(c, keys[i], &r))
            continue;
        if (!is_in_store(c, r.id))
            count(&r, left_out);
        free(r.value);
    }
    c->error[0] = '\0';
    if (!rc)
        free(keys);
    return rc;
}
