/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The snapshot of an image that others write to.  Making one takes up to a
 * second or two, most of it the monitors' (they hand out its number, and do so
 * in rounds), which is too long for a guest to stand still.  So:
 *
 *            the guest   the image's lock   its writes
 *   arm      runs        is the writer's    flow
 *   cut      stands      becomes ours       none
 *   drain    runs        is ours            wait for the lock
 *   closed   runs        the writer's       flow
 *
 * To give up the lock the writer (QEMU, the kernel) writes out all it has.
 * Having it, a thread begins the snapshot, and librbd tells so to who watches
 * for that: us.  From then on the lock is not handed to another, who only may
 * ask for it, before the snapshot is there.  That is the end of the cut, a few
 * milliseconds; whoever wants to write afterwards waits, without an error.
 *
 * A cut that nobody waits for any more takes its snapshot away itself, still with the
 * lock: whoever looks for it with the lock finds all of it, or nothing for good.
 *
 * The lock is the image's feature exclusive-lock.  Without it nothing keeps
 * the writes of others out of the snapshot, so there must be no others.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

struct cut {
    rbd_image_t image;
    char snapshot[NAME_MAX_BYTES];
    bool is_watched;
    uint64_t watch;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_begun; /* librbd said so */
    bool is_done;
    int rc; /* of the snapshot, once done */
    bool has_thread;
    pthread_t thread;
};

static void mark(struct cut *cut, bool *what)
{
    pthread_mutex_lock(&cut->mutex);
    *what = true;
    pthread_cond_signal(&cut->changed);
    pthread_mutex_unlock(&cut->mutex);
}

static void on_begin(void *arg)
{
    struct cut *cut = arg;

    mark(cut, &cut->is_begun);
}

static void on_end(void *arg)
{
    (void)arg;
}

static int on_progress(uint64_t done, uint64_t total, void *arg)
{
    (void)done, (void)total, (void)arg;
    return 0;
}

static void *make_snapshot(void *arg)
{
    struct cut *cut = arg;

    cut->rc = rbd_snap_create2(cut->image, cut->snapshot, 0, on_progress, NULL);
    mark(cut, &cut->is_done);
    return NULL;
}

/* It is there or will never be; one that nobody waits for any more goes. */
static int end_snapshot(struct session *s, struct cut *cut)
{
    pthread_join(cut->thread, NULL);
    cut->has_thread = false;
    if (cut->rc || !atomic_load(&s->is_over))
        return cut->rc;
    rbd_snap_remove(cut->image, cut->snapshot);
    return -ECANCELED;
}

void cut_end(struct session *s)
{
    struct cut *cut = s->cut;

    if (!cut)
        return;
    if (cut->has_thread)
        end_snapshot(s, cut);
    if (cut->is_watched)
        rbd_quiesce_unwatch(cut->image, cut->watch);
    if (cut->image)
        rbd_close(cut->image);
    pthread_cond_destroy(&cut->changed);
    pthread_mutex_destroy(&cut->mutex);
    free(cut);
    s->cut = NULL;
}

/* --- arm ------------------------------------------------------------------- */

static int prepare(struct session *s, struct cut *cut, const char *id)
{
    uint64_t features;
    size_t nr_others;
    int rc;

    rc = image_open(s, id, true, &cut->image);
    if (rc)
        return no(s, rc, "opening the image %s to be written", id);
    rc = rbd_get_features(cut->image, &features);
    if (!rc)
        rc = image_others(cut->image, &nr_others);
    if (rc)
        return no(s, rc, "image %s", id);
    if (!(features & RBD_FEATURE_EXCLUSIVE_LOCK) && nr_others)
        return no(s, -ENOTSUP,
                  "it has not the feature exclusive-lock, without which a "
                  "snapshot under a writer is not of one instant "
                  "(rbd feature enable POOL/IMAGE exclusive-lock).");
    rc = rbd_quiesce_watch(cut->image, on_begin, on_end, cut, &cut->watch);
    cut->is_watched = !rc;
    return rc ? no(s, rc, "image %s: watching for its snapshot", id) : 0;
}

int cut_arm(struct session *s, char *const args[])
{
    struct cut *cut;
    int rc;

    if (s->cut || strlen(args[1]) >= sizeof(cut->snapshot))
        return no(s, -EINVAL, "arm");
    cut = s->cut = calloc(1, sizeof(*cut));
    if (!cut)
        return no(s, -ENOMEM, "arm");
    atomic_store(&s->may_hold, true);
    strcpy(cut->snapshot, args[1]);
    pthread_mutex_init(&cut->mutex, NULL);
    pthread_cond_init(&cut->changed, NULL);
    rc = prepare(s, cut, args[0]);
    if (rc)
        cut_end(s);
    return rc;
}

/* --- cut ------------------------------------------------------------------- */

static int begin(struct session *s, struct cut *cut)
{
    bool is_begun;
    int rc;

    rc = -pthread_create(&cut->thread, NULL, make_snapshot, cut);
    if (rc)
        return no(s, rc, "a thread");
    cut->has_thread = true;
    pthread_mutex_lock(&cut->mutex);
    while (!cut->is_begun && !cut->is_done)
        pthread_cond_wait(&cut->changed, &cut->mutex);
    is_begun = cut->is_begun;
    rc = cut->is_done ? cut->rc : 0;
    pthread_mutex_unlock(&cut->mutex);
    if (is_begun)
        rbd_quiesce_complete(cut->image, cut->watch, 0);
    return rc ? no(s, rc, "making the snapshot") : 0;
}

int cut_cut(struct session *s, char *const args[])
{
    struct cut *cut = s->cut;
    int rc;

    (void)args;
    if (!cut || cut->has_thread)
        return no(s, -EINVAL, "cut");
    rc = image_take_lock(cut->image);
    if (rc)
        rc = no(s, rc, "its lock is not given up by who writes to it (mapped "
                       "with -o exclusive?)");
    if (!rc && atomic_load(&s->is_over))
        rc = no(s, -ECANCELED, "cut");
    if (!rc)
        rc = begin(s, cut);
    if (rc)
        cut_end(s);
    return rc;
}

/* --- drain ----------------------------------------------------------------- */

int cut_drain(struct session *s, char *const args[])
{
    struct cut *cut = s->cut;
    int rc;

    (void)args;
    if (!cut || !cut->has_thread)
        return no(s, -EINVAL, "drain");
    rc = end_snapshot(s, cut);
    cut_end(s);
    return rc ? no(s, rc, "making the snapshot") : 0;
}
