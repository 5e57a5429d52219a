/* SPDX-License-Identifier: LGPL-2.1-only */
/* The members of "params", one type each, lengths checked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckpt.h"
#include "json.h"
#include "rpc.h"

static int wrong(struct request *rq, const char *key, const char *wanted)
{
    return fail(&rq->c, -EINVAL, "\"%s\" is not %s.", key, wanted);
}

int param_text(struct request *rq, const char *key, bool is_needed, char *out,
               size_t size)
{
    yajl_val v = json_member(rq->params, key);

    if (!v)
        return is_needed ? fail(&rq->c, -EINVAL, "\"%s\" is missing.", key) : 0;
    if (!YAJL_IS_STRING(v) || has_control(v->u.string, '\0'))
        return wrong(rq, key, "a text");
    if (strlen(v->u.string) >= size)
        return wrong(rq, key, "short enough");
    if (!v->u.string[0])
        return wrong(rq, key, "a text: it is empty");
    strcpy(out, v->u.string);
    return 0;
}

int param_u64(struct request *rq, const char *key, uint64_t max, uint64_t *out)
{
    yajl_val v = json_member(rq->params, key);

    if (!v)
        return 0;
    if (!YAJL_IS_INTEGER(v) || v->u.number.i < 0 ||
        (uint64_t)v->u.number.i > max)
        return wrong(rq, key, "a number in range");
    *out = (uint64_t)v->u.number.i;
    return 0;
}

int param_u32(struct request *rq, const char *key, uint32_t max, uint32_t *out)
{
    uint64_t value = *out;
    int rc = param_u64(rq, key, max, &value);

    *out = (uint32_t)value;
    return rc;
}

int param_bool(struct request *rq, const char *key, bool *out)
{
    yajl_val v = json_member(rq->params, key);

    if (!v)
        return 0;
    if (!YAJL_IS_TRUE(v) && !YAJL_IS_FALSE(v))
        return wrong(rq, key, "true or false");
    *out = YAJL_IS_TRUE(v);
    return 0;
}

int param_flag(struct request *rq, const char *key, uint32_t bit,
               uint32_t *flags)
{
    bool is_set = false;
    int rc = param_bool(rq, key, &is_set);

    if (is_set)
        *flags |= bit;
    return rc;
}

int param_choice(struct request *rq, const char *key,
                 const struct choice *choices, uint32_t *flags)
{
    yajl_val v = json_member(rq->params, key);

    if (!v)
        return 0;
    for (; choices->word; choices++)
        if (YAJL_IS_STRING(v) && !strcmp(choices->word, v->u.string)) {
            *flags |= choices->bit;
            return 0;
        }
    return wrong(rq, key, "one of its words");
}

int param_excludes(struct request *rq, const char *key,
                   char out[TASK_EXCLUDE_MAX][16])
{
    yajl_val v = json_member(rq->params, key), one;

    if (!v)
        return 0;
    if (!YAJL_IS_ARRAY(v) || v->u.array.len > TASK_EXCLUDE_MAX)
        return wrong(rq, key, "an array of up to 16 disks");
    for (size_t i = 0; i < v->u.array.len; i++) {
        one = v->u.array.values[i];
        if (!YAJL_IS_STRING(one) || !one->u.string[0] ||
            strlen(one->u.string) >= 16 || has_control(one->u.string, '\0'))
            return wrong(rq, key, "an array of disks like \"xvdb\"");
        strcpy(out[i], one->u.string);
    }
    return 0;
}

int param_domains(struct request *rq, const char *key, char *out, size_t size)
{
    yajl_val v = json_member(rq->params, key), one;

    if (!v)
        return fail(&rq->c, -EINVAL, "\"%s\" is missing.", key);
    if (!YAJL_IS_ARRAY(v) || !v->u.array.len || v->u.array.len > CKPT_GROUP_MAX)
        return wrong(rq, key, "an array of 1 to 32 domains");
    for (size_t i = 0; i < v->u.array.len; i++) {
        one = v->u.array.values[i];
        if (!YAJL_IS_STRING(one) || !one->u.string[0] ||
            strlen(one->u.string) >= TEXT_NAME ||
            has_control(one->u.string, '\0'))
            return wrong(rq, key, "an array of domains like \"web\"");
        if (!word_add(out, size, DOMAIN_END, one->u.string))
            return wrong(rq, key, "short enough: 1 KiB for all names");
    }
    return 0;
}

int params_check(struct request *rq, const char *const *known)
{
    size_t n;

    if (!YAJL_IS_OBJECT(rq->params))
        return rq->params ? fail(&rq->c, -EINVAL, "\"params\" is no object.")
                          : 0;
    for (size_t i = 0; i < rq->params->u.object.len; i++) {
        for (n = 0; known[n]; n++)
            if (!strcmp(known[n], rq->params->u.object.keys[i]))
                break;
        if (!known[n])
            return fail(&rq->c, -EINVAL, "There is no parameter \"%.64s\".",
                        rq->params->u.object.keys[i]);
    }
    return 0;
}
