/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * struct ckpt_info as a manifest and back.  One table row per member serves
 * both ways, so that what is written can be read.
 *
 * "version" grows when old readers would misread.  "mandatory" lists features
 * a reader must know to read this one manifest rightly; other members that it
 * does not know it may ignore.
 */
#include "checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "json.h"
#include "store_driver.h"

#define MANIFEST_VERSION 1
#define DISKS_MAX 256u
#define STR_(x) #x
#define STR(x) STR_(x)

enum kind {
    TEXT,     /* char *, always there, never NULL once read */
    TEXT_OPT, /* char *, left out when NULL */
    ID,       /* char[17] */
    ID_OPT,   /* the same, may be "" */
    UUID,     /* char[37] */
    NUMBER,   /* uint64_t, at most max */
    SMALL,    /* unsigned */
    TIME,     /* int64_t */
    FLAG,     /* bool */
    LEVEL,    /* enum ckpt_consistency, by name */
};

struct member {
    const char *key;
    enum kind kind;
    size_t offset;
    uint64_t max; /* length of a text, value of a number */
    bool is_new;  /* not in manifests of the first version: may be missing */
};

#define INFO(kind, name, max)                                                  \
    {                                                                          \
#name, kind, offsetof(struct ckpt_info, name), max, false              \
    }
#define INFO_NEW(kind, name, max)                                              \
    {                                                                          \
#name, kind, offsetof(struct ckpt_info, name), max, true               \
    }
#define CAPTURE(kind, name, max)                                               \
    {                                                                          \
#name, kind, offsetof(struct ckpt_capture, name), max, false           \
    }
#define DISK(kind, name, max)                                                  \
    {                                                                          \
#name, kind, offsetof(struct ckpt_disk, name), max, false              \
    }

/* clang-format off */
static const struct member info_members[] = {
    INFO(ID,     id,               0),
    INFO(ID_OPT, parent,           0),
    INFO(TEXT,   name,             64),
    INFO(TEXT,   description,      4096),
    INFO(TEXT,   domain_name,      256),
    INFO(UUID,   domain_uuid,      0),
    INFO(TEXT,   domain_type,      16),
    INFO(TIME,   created_unix_us,  0),
    INFO(FLAG,   has_memory,       0),
    INFO(LEVEL,  consistency,      0),
    INFO(TEXT,   mem_driver,       32),
    INFO(TEXT,   mem_why,          512),
    INFO(TEXT,   xen_version,      64),
    INFO(NUMBER, memory_bytes,     INT64_MAX),
    INFO(NUMBER, stored_bytes,     INT64_MAX),
    INFO(NUMBER, pages_stored,     INT64_MAX),
    INFO(NUMBER, pages_zero,       INT64_MAX),
    INFO(NUMBER, pages_in_pause,   INT64_MAX),
    INFO(SMALL,  passes,           UINT32_MAX),
    INFO(NUMBER, pause_us,         INT64_MAX),
    INFO(NUMBER, pause_disks_us,   INT64_MAX),
    INFO(NUMBER, still_us,         INT64_MAX),
    INFO(NUMBER, durable_us,       INT64_MAX),
    INFO(TEXT_OPT, group,          64),
    INFO(TEXT_OPT, group_id,       16),
    INFO_NEW(ID_OPT, base,         0),
    INFO_NEW(TEXT,   base_why,     256),
    INFO_NEW(TEXT,   tags,         1024),
    INFO_NEW(FLAG,   keep,         0),
    INFO_NEW(FLAG,   io_drained,   0),
};

static const struct member capture_members[] = {
    CAPTURE(NUMBER, ring_bytes,     INT64_MAX),
    CAPTURE(NUMBER, hypercalls,     INT64_MAX),
    CAPTURE(NUMBER, pages_by_write, INT64_MAX),
    CAPTURE(NUMBER, pages_by_read,  INT64_MAX),
    CAPTURE(NUMBER, copied_bytes,   INT64_MAX),
    CAPTURE(NUMBER, waits,          INT64_MAX),
    CAPTURE(NUMBER, waits_us,       INT64_MAX),
};

static const struct member disk_members[] = {
    DISK(TEXT,     vdev,       64),
    DISK(TEXT,     driver,     32),
    DISK(TEXT,     target,     4096),
    DISK(TEXT_OPT, snapshot,   4096),
    DISK(TEXT_OPT, why_none,   256),
    DISK(NUMBER,   size_bytes, INT64_MAX),
};
/* clang-format on */

#define NR(array) (sizeof(array) / sizeof((array)[0]))

/* --- writing ------------------------------------------------------------- */

static void put_member(struct json *j, const struct member *m,
                       const void *record)
{
    const char *at = (const char *)record + m->offset;
    const char *text = NULL;

    switch (m->kind) {
    case TEXT:
    case TEXT_OPT:
        memcpy(&text, at, sizeof(text));
        if (text || m->kind == TEXT)
            json_put_string(j, m->key, text ? text : "");
        break;
    case ID:
    case ID_OPT:
    case UUID:
        json_put_string(j, m->key, at);
        break;
    case NUMBER:
        json_put_u64(j, m->key, *(const uint64_t *)at);
        break;
    case SMALL:
        json_put_u64(j, m->key, *(const unsigned *)at);
        break;
    case TIME:
        json_put_i64(j, m->key, *(const int64_t *)at);
        break;
    case FLAG:
        json_put_bool(j, m->key, *(const bool *)at);
        break;
    case LEVEL:
        json_put_string(
            j, m->key,
            ckpt_consistency_name(*(const enum ckpt_consistency *)at));
        break;
    }
}

/* Of the driver that has it alone. */
static void put_capture(struct json *j, const struct ckpt_capture *capture)
{
    if (!capture->ring_bytes)
        return;
    json_open_object(j, "capture");
    for (size_t i = 0; i < NR(capture_members); i++)
        put_member(j, &capture_members[i], capture);
    json_close_object(j);
}

int checkpoint_to_json(struct ckpt *c, const struct ckpt_info *info,
                       char **json_out)
{
    struct ckpt_info copy;
    char *text = NULL;
    struct json j;
    int rc;

    json_begin(&j);
    json_put_u64(&j, "version", MANIFEST_VERSION);
    json_open_array(&j, "mandatory");
    json_close_array(&j);
    for (size_t i = 0; i < NR(info_members); i++)
        put_member(&j, &info_members[i], info);
    put_capture(&j, &info->capture);
    json_open_array(&j, "disks");
    for (size_t d = 0; d < info->nr_disks; d++) {
        json_open_object(&j, NULL);
        for (size_t i = 0; i < NR(disk_members); i++)
            put_member(&j, &disk_members[i], &info->disks[d]);
        json_close_object(&j);
    }
    json_close_array(&j);
    rc = json_end(c, &j, "manifest", &text);
    if (rc)
        return rc;

    /* What could not be read back is not written. */
    rc = checkpoint_from_json(c, "manifest", text, &copy);
    if (rc) {
        free(text);
        return rc == -EUCLEAN ? -EINVAL : rc;
    }
    ckpt_info_fini(&copy);
    *json_out = text;
    return 0;
}

/* --- reading ------------------------------------------------------------- */

static bool is_uuid(const char *s)
{
    for (unsigned i = 0; i < 36; i++) {
        const bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (!s[i] || !strchr(is_dash ? "-" : "0123456789abcdef", s[i]))
            return false;
    }
    return !s[36];
}

/* A text of fixed form, into the array at @at. */
static int get_form(struct ckpt *c, const char *what, yajl_val object,
                    const struct member *m, char *at)
{
    char *text;
    bool is_good;
    int rc;

    rc = json_get_string(c, what, object, m->key, 36, &text);
    if (rc)
        return rc;
    if (m->kind == UUID)
        is_good = is_uuid(text);
    else
        is_good = store_is_id(text) || (m->kind == ID_OPT && !*text);
    if (is_good)
        memcpy(at, text, strlen(text) + 1);
    else
        rc = fail(c, -EUCLEAN, "%s: \"%s\" is not %s.", what, m->key,
                  m->kind == UUID ? "a UUID" : "an id");
    free(text);
    return rc;
}

static int get_level(struct ckpt *c, const char *what, yajl_val object,
                     const struct member *m, enum ckpt_consistency *out)
{
    char *text;
    int rc;

    rc = json_get_string(c, what, object, m->key, 64, &text);
    if (rc)
        return rc;
    rc = -EUCLEAN;
    for (int v = CKPT_CONSISTENCY_CRASH; v <= CKPT_CONSISTENCY_FS_FROZEN; v++) {
        if (!strcmp(text, ckpt_consistency_name(v))) {
            *out = v;
            rc = 0;
        }
    }
    if (rc)
        fail(c, rc, "%s: \"%s\" is not a level of consistency.", what, m->key);
    free(text);
    return rc;
}

static int get_member(struct ckpt *c, const char *what, yajl_val object,
                      const struct member *m, void *record)
{
    char *at = (char *)record + m->offset;
    char *text = NULL;
    uint64_t number;
    int rc = 0;

    if (m->kind == TEXT_OPT && !json_member(object, m->key))
        return 0;
    if (m->is_new && !json_member(object, m->key)) {
        if (m->kind != TEXT)
            return 0; /* zero bytes say it */
        text = strdup("");
        memcpy(at, &text, sizeof(text));
        return text ? 0 : fail(c, -ENOMEM, "%s", what);
    }
    switch (m->kind) {
    case TEXT:
    case TEXT_OPT:
        rc = json_get_string(c, what, object, m->key, m->max, &text);
        memcpy(at, &text, sizeof(text));
        return rc;
    case ID:
    case ID_OPT:
    case UUID:
        return get_form(c, what, object, m, at);
    case NUMBER:
        return json_get_u64(c, what, object, m->key, m->max, (uint64_t *)at);
    case SMALL:
        rc = json_get_u64(c, what, object, m->key, m->max, &number);
        if (!rc)
            *(unsigned *)at = (unsigned)number;
        return rc;
    case TIME:
        return json_get_i64(c, what, object, m->key, (int64_t *)at);
    case FLAG:
        return json_get_bool(c, what, object, m->key, (bool *)at);
    case LEVEL:
        return get_level(c, what, object, m, (enum ckpt_consistency *)at);
    }
    return rc;
}

static int get_capture(struct ckpt *c, const char *what, yajl_val object,
                       struct ckpt_info *info)
{
    yajl_val v = json_member(object, "capture");
    int rc = 0;

    if (v && !YAJL_IS_OBJECT(v))
        return fail(c, -EUCLEAN, "%s: \"capture\" is not an object.", what);
    for (size_t i = 0; v && !rc && i < NR(capture_members); i++)
        rc = get_member(c, what, v, &capture_members[i], &info->capture);
    return rc;
}

static int get_disks(struct ckpt *c, const char *what, yajl_val object,
                     struct ckpt_info *info)
{
    yajl_val array;
    int rc;

    rc = json_get_array(c, what, object, "disks", DISKS_MAX, &array);
    if (rc || !array->u.array.len)
        return rc;
    info->disks = calloc(array->u.array.len, sizeof(*info->disks));
    if (!info->disks)
        return fail(c, -ENOMEM, "%s", what);
    info->nr_disks = array->u.array.len;
    for (size_t d = 0; d < info->nr_disks; d++) {
        for (size_t i = 0; i < NR(disk_members); i++) {
            rc = get_member(c, what, array->u.array.values[d], &disk_members[i],
                            &info->disks[d]);
            if (rc)
                return rc;
        }
    }
    return 0;
}

static int check_version(struct ckpt *c, const char *what, yajl_val object)
{
    yajl_val mandatory;
    uint64_t version;
    int rc;

    rc = json_get_u64(c, what, object, "version", INT64_MAX, &version);
    if (rc)
        return rc;
    if (version != MANIFEST_VERSION)
        return fail(c, -EUCLEAN,
                    "%s: version %llu; this xen-ckpt reads version " STR(
                        MANIFEST_VERSION) ".",
                    what, (unsigned long long)version);
    rc = json_get_array(c, what, object, "mandatory", 64, &mandatory);
    if (rc)
        return rc;
    for (size_t i = 0; i < mandatory->u.array.len; i++) {
        yajl_val v = mandatory->u.array.values[i];

        /* None is known yet. */
        return fail(c, -EUCLEAN, "%s: needs a newer xen-ckpt, for \"%.40s\".",
                    what, YAJL_IS_STRING(v) ? v->u.string : "?");
    }
    return 0;
}

int checkpoint_from_json(struct ckpt *c, const char *what, const char *json,
                         struct ckpt_info *info_out)
{
    yajl_val tree;
    int rc;

    memset(info_out, 0, sizeof(*info_out));
    rc = json_parse(c, what, json, STORE_MANIFEST_MAX, &tree);
    if (rc)
        return rc;
    rc = check_version(c, what, tree);
    for (size_t i = 0; !rc && i < NR(info_members); i++)
        rc = get_member(c, what, tree, &info_members[i], info_out);
    if (!rc && !info_out->name[0])
        rc = fail(c, -EUCLEAN, "%s: \"name\" is empty.", what);
    if (!rc)
        rc = get_capture(c, what, tree, info_out);
    if (!rc)
        rc = get_disks(c, what, tree, info_out);
    yajl_tree_free(tree);
    if (rc)
        ckpt_info_fini(info_out);
    return rc;
}
