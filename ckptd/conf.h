/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_CONF_H
#define CKPTD_CONF_H
/*
 * ckptd.conf: lines of `key = value`, first the daemon's own and the default
 * policy, then sections `[domain PATTERN]` that change it for domains whose
 * name matches.  The first section that matches counts.  ckptd.conf(5).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy.h"

#define CONF_TEXT 256u
#define CONF_MAX_BYTES (256u * 1024u)
#define CONF_RULES_MAX 1024u
#define CONF_ERROR_LEN 512u

struct conf_rule {
    char pattern[128];
    unsigned line;
    struct policy policy;
};

struct conf {
    char socket[CONF_TEXT];
    char store[CONF_TEXT]; /* "": libckpt's default */
    char user[64];
    char state_dir[CONF_TEXT];
    char run_dir[CONF_TEXT];
    char job_program[CONF_TEXT];
    char hooks_dir[CONF_TEXT];
    char audit_log[CONF_TEXT];
    char metrics_listen[CONF_TEXT]; /* "": none; "unix:/path", "127.0.0.1:N" */
    char metrics_textfile[CONF_TEXT]; /* "": none */
    char read_group[64], operate_group[64], admin_group[64];
    uint64_t hook_timeout_s;
    uint64_t metrics_interval_s;
    uint64_t compress_s; /* between compressions of the store; 0: none */
    uint32_t jobs_max;
    uint32_t xenstore; /* bool: serve guests at all */
    struct policy policy;
    struct conf_rule *rules; /* owned */
    size_t nr_rules;
};

/* Fills *conf with the defaults. */
void conf_init(struct conf *conf);
void conf_fini(struct conf *conf);
/* Parses @text over what is in *conf.  0, or -EINVAL, -ENOMEM with
 * "FILE:LINE: words" in @error; *conf is to be finished in either case. */
int conf_parse(struct conf *conf, const char *file, const char *text,
               size_t len_bytes, char error[CONF_ERROR_LEN]);
/* The same from a file; a missing one is -ENOENT with its words. */
int conf_load(struct conf *conf, const char *file, char error[CONF_ERROR_LEN]);
/* Borrowed from @conf. */
const struct policy *conf_policy(const struct conf *conf, const char *domain);

#endif
