/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The configuration is written again as it was read, value by value, but for
 * what concerns the disks at hand:
 *
 *     "disks": [ { "vdev": "xvda",        the one
 *                  "pdev_path", "format"  others now
 *                  "backend", "script"    gone: of the other host
 *                  all else               kept } ]
 */
#include "archive_config.h"

#include <string.h>

#include "archive_place.h"
#include "ctx.h"
#include "json.h"

#define CONFIG_MAX (16u << 20)
#define WHAT "configuration"

struct rewrite {
    yajl_gen gen;
    const struct place *places;
    size_t nr;
    yajl_gen_status status; /* the first that is not ok */
};

static void put_value(struct rewrite *w, yajl_val v);

static void did(struct rewrite *w, yajl_gen_status status)
{
    if (w->status == yajl_gen_status_ok)
        w->status = status;
}

static void put_string(struct rewrite *w, const char *s)
{
    did(w, yajl_gen_string(w->gen, (const unsigned char *)s, strlen(s)));
}

static void put_array(struct rewrite *w, yajl_val v)
{
    did(w, yajl_gen_array_open(w->gen));
    for (size_t i = 0; i < v->u.array.len; i++)
        put_value(w, v->u.array.values[i]);
    did(w, yajl_gen_array_close(w->gen));
}

static void put_object(struct rewrite *w, yajl_val v)
{
    did(w, yajl_gen_map_open(w->gen));
    for (size_t i = 0; i < v->u.object.len; i++) {
        put_string(w, v->u.object.keys[i]);
        put_value(w, v->u.object.values[i]);
    }
    did(w, yajl_gen_map_close(w->gen));
}

/* Not deeper than json_parse() lets it be. */
static void put_value(struct rewrite *w, yajl_val v)
{
    switch (v->type) {
    case yajl_t_string:
        put_string(w, v->u.string);
        break;
    case yajl_t_number:
        did(w, yajl_gen_number(w->gen, v->u.number.r, strlen(v->u.number.r)));
        break;
    case yajl_t_object:
        put_object(w, v);
        break;
    case yajl_t_array:
        put_array(w, v);
        break;
    case yajl_t_true:
    case yajl_t_false:
        did(w, yajl_gen_bool(w->gen, v->type == yajl_t_true));
        break;
    case yajl_t_null:
    case yajl_t_any:
        did(w, yajl_gen_null(w->gen));
        break;
    }
}

static const struct place *place_of(const struct rewrite *w, yajl_val disk)
{
    yajl_val vdev = json_member(disk, "vdev");

    for (size_t i = 0; YAJL_IS_STRING(vdev) && i < w->nr; i++)
        if (w->places[i].kind &&
            !strcmp(w->places[i].disk.vdev, vdev->u.string))
            return &w->places[i];
    return NULL;
}

static void put_disk(struct rewrite *w, yajl_val v)
{
    static const char *const dropped[] = {"pdev_path", "format", "backend",
                                          "script"};
    const size_t nr_dropped = sizeof(dropped) / sizeof(dropped[0]);
    const struct place *p = place_of(w, v);
    size_t n;

    if (!p) {
        put_value(w, v);
        return;
    }
    did(w, yajl_gen_map_open(w->gen));
    put_string(w, "pdev_path");
    put_string(w, p->disk.target);
    put_string(w, "format");
    put_string(w, place_format(p));
    if (place_backend(p)) {
        put_string(w, "backend");
        put_string(w, place_backend(p));
    }
    for (size_t i = 0; i < v->u.object.len; i++) {
        for (n = 0; n < nr_dropped && strcmp(v->u.object.keys[i], dropped[n]);)
            n++;
        if (n < nr_dropped)
            continue;
        put_string(w, v->u.object.keys[i]);
        put_value(w, v->u.object.values[i]);
    }
    did(w, yajl_gen_map_close(w->gen));
}

static void put_config(struct rewrite *w, yajl_val config, yajl_val disks)
{
    did(w, yajl_gen_map_open(w->gen));
    for (size_t i = 0; i < config->u.object.len; i++) {
        yajl_val v = config->u.object.values[i];

        put_string(w, config->u.object.keys[i]);
        if (v != disks) {
            put_value(w, v);
            continue;
        }
        did(w, yajl_gen_array_open(w->gen));
        for (size_t d = 0; d < disks->u.array.len; d++)
            put_disk(w, disks->u.array.values[d]);
        did(w, yajl_gen_array_close(w->gen));
    }
    did(w, yajl_gen_map_close(w->gen));
}

static int check(struct ckpt *c, const struct rewrite *w, yajl_val disks)
{
    for (size_t i = 0; i < w->nr; i++) {
        const struct place *found = NULL;

        if (!w->places[i].kind)
            continue;
        for (size_t d = 0; disks && !found && d < disks->u.array.len; d++)
            if (place_of(w, disks->u.array.values[d]) == &w->places[i])
                found = &w->places[i];
        if (!found)
            return fail(c, -EUCLEAN,
                        "The archive: its configuration has no "
                        "disk %s.",
                        w->places[i].disk.vdev);
    }
    return 0;
}

int archive_config(struct ckpt *c, const char *config,
                   const struct place *places, size_t nr, char **config_out)
{
    struct rewrite w = {.places = places, .nr = nr};
    const unsigned char *text;
    yajl_val tree, disks;
    size_t len;
    int rc;

    rc = json_parse(c, WHAT, config, CONFIG_MAX, &tree);
    if (rc)
        return rc;
    disks = json_member(tree, "disks");
    if (!YAJL_IS_OBJECT(tree) || (disks && !YAJL_IS_ARRAY(disks)))
        rc = fail(c, -EUCLEAN, "The archive: its configuration is none.");
    if (!rc)
        rc = check(c, &w, disks);
    w.gen = rc ? NULL : yajl_gen_alloc(NULL);
    if (w.gen) {
        put_config(&w, tree, disks);
        did(&w, yajl_gen_get_buf(w.gen, &text, &len));
        *config_out = w.status == yajl_gen_status_ok
                          ? strndup((const char *)text, len)
                          : NULL;
        if (!*config_out)
            rc = w.status == yajl_gen_status_ok
                     ? fail(c, -ENOMEM, WHAT)
                     : fail(c, -EUCLEAN, "The archive: its configuration.");
        yajl_gen_free(w.gen);
    } else if (!rc) {
        rc = fail(c, -ENOMEM, WHAT);
    }
    yajl_tree_free(tree);
    return rc;
}
