/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The public functions that only read the store: list, find, show what lies
 * there, and a checkpoint's memory frame by frame.  (Verify is in verify.c.)
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "checkpoint.h"
#include "ctx.h"
#include "store.h"

int ckpt_list(ckpt *c, const char *domain, struct ckpt_info **list_out,
              size_t *nr_out)
{
    struct ckpt_info *list;
    size_t nr, kept = 0;
    int rc;

    ctx_begin(c);
    *list_out = NULL;
    *nr_out = 0;
    rc = checkpoint_list(c, &list, &nr);
    if (rc)
        return rc;
    for (size_t i = 0; i < nr; i++) {
        if (domain && strcmp(list[i].domain_name, domain) &&
            strcasecmp(list[i].domain_uuid, domain)) {
            ckpt_info_fini(&list[i]);
            continue;
        }
        if (kept != i) {
            list[kept] = list[i];
            memset(&list[i], 0, sizeof(list[i]));
        }
        kept++;
    }
    *list_out = list;
    *nr_out = kept;
    return 0;
}

int ckpt_find(ckpt *c, const char *checkpoint, struct ckpt_info *info_out)
{
    ctx_begin(c);
    return checkpoint_find(c, NULL, checkpoint, info_out);
}

/* A whole id, or a pack's name, is what is meant, whatever state it is in. */
int ckpt_dump(ckpt *c, const char *checkpoint, ckpt_line_fn *fn, void *arg)
{
    struct ckpt_info info = {.parent = ""};
    const size_t len = strspn(checkpoint, "0123456789abcdef");
    int rc;

    ctx_begin(c);
    if (len == CKPT_ID_LEN && (!checkpoint[len] || checkpoint[len] == '.'))
        return store_dump(c->store, checkpoint, fn, arg);
    rc = checkpoint_find(c, NULL, checkpoint, &info);
    if (!rc)
        rc = store_dump(c->store, info.id, fn, arg);
    ckpt_info_fini(&info);
    return rc;
}

/* --- memory -------------------------------------------------------------- */

struct ckpt_memory {
    ckpt *c;           /* borrowed */
    struct image *img; /* owned */
};

int ckpt_memory_open(ckpt *c, const char *checkpoint, ckpt_memory **m_out)
{
    struct ckpt_info info;
    ckpt_memory *m = NULL;
    int rc;

    ctx_begin(c);
    *m_out = NULL;
    rc = checkpoint_find(c, NULL, checkpoint, &info);
    if (rc)
        return rc;
    if (!info.has_memory) {
        rc = fail(c, -EINVAL, "Checkpoint %s has no memory, only disks.",
                  info.id);
        goto out;
    }
    m = calloc(1, sizeof(*m));
    if (!m) {
        rc = fail(c, -ENOMEM, "checkpoint %s", info.id);
        goto out;
    }
    m->c = c;
    rc = image_open(c->store, info.id, &m->img);
    if (rc)
        goto out;
    *m_out = m;
    m = NULL;
out:
    free(m);
    ckpt_info_fini(&info);
    return rc;
}

/* HOT PATH: as ctx_begin() without asking for the time, which is a system call
 * in a PV domain as dom0 is. */
static void begin_page(struct ckpt *c)
{
    c->error[0] = '\0';
    c->cancelled = 0;
}

int ckpt_memory_read(ckpt_memory *m, uint64_t gfn, void *page)
{
    begin_page(m->c);
    return image_get(m->img, gfn, page, NULL);
}

int ckpt_memory_next(ckpt_memory *m, uint64_t *gfn)
{
    begin_page(m->c);
    return image_seek(m->img, gfn);
}

uint64_t ckpt_memory_nr_gfns(const ckpt_memory *m)
{
    return image_nr_gfns(m->img);
}

void ckpt_memory_close(ckpt_memory *m)
{
    if (!m)
        return;
    image_close(m->img);
    free(m);
}
