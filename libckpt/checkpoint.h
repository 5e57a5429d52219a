/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_CHECKPOINT_H
#define CKPT_CHECKPOINT_H
/*
 * One checkpoint as the user knows it: the manifest (struct ckpt_info as
 * JSON), names and ids, the tree of parents, each domain's head.
 */
#include <stdbool.h>

#include "ckpt.h"

struct store;

/* CKPT_ID_LEN random hexadecimal digits. */
int checkpoint_new_id(struct ckpt *c, char id_out[CKPT_ID_LEN + 1]);

/* The manifest's text, owned by the caller. */
int checkpoint_to_json(struct ckpt *c, const struct ckpt_info *info,
                       char **json_out);
/* Strict: unknown versions, wrong types and over-long fields are -EUCLEAN.
 * @what names the manifest in the error. */
int checkpoint_from_json(struct ckpt *c, const char *what, const char *json,
                         struct ckpt_info *info_out);

/* All that can be read, oldest first; one whose manifest is damaged is told to
 * the logger and left out.  Released with ckpt_list_free(). */
int checkpoint_list(struct ckpt *c, struct ckpt_info **list_out,
                    size_t *nr_out);

/* Resolves a user's word: id, prefix, DOMAIN/NAME or NAME.  With @domain_uuid
 * not NULL only that domain's are considered, and @word NULL is its latest.  A
 * word that may be several is -EINVAL, with the candidates listed. */
int checkpoint_find(struct ckpt *c, const char *domain_uuid, const char *word,
                    struct ckpt_info *info_out);

/* -EEXIST when @name is taken among @domain_uuid's; -EINVAL when it is not a
 * name: 1-64 of [A-Za-z0-9._-], not beginning with '-' or '.'. */
int checkpoint_name_check(struct ckpt *c, const char *domain_uuid,
                          const char *name);

/* The checkpoint from which the domain's present state descends; "" if none.
 * Set to "", there is none. */
int checkpoint_head(struct ckpt *c, const char *domain_uuid,
                    char id_out[CKPT_ID_LEN + 1]);
int checkpoint_set_head(struct ckpt *c, const char *domain_uuid,
                        const char *id);

/* While a group is being taken its members are not there for anybody: they are
 * neither listed nor found.  @uuids ("UUID UUID …") are of its domains, whose
 * locks the caller holds; NULL: the group is whole, all appear at once. */
#define CHECKPOINT_GROUP_KEY "group." /* then its id: a value of the store */
int checkpoint_set_group_pending(struct ckpt *c, const char *group_id,
                                 const char *uuids);
bool checkpoint_is_pending(struct ckpt *c, const struct ckpt_info *info);
/* Replaces the manifest of a checkpoint. */
int checkpoint_rewrite(struct ckpt *c, const struct ckpt_info *info);

/* -EPERM when it is kept. */
int checkpoint_may_go(struct ckpt *c, const struct ckpt_info *info);

/* May @domain_uuid have one more, of about @need_bytes?  -EDQUOT, with the
 * figures. */
int checkpoint_quota(struct ckpt *c, const char *domain_uuid,
                     uint64_t need_bytes);

/* The guest writes @disk, and a checkpoint has no snapshot of it. */
bool checkpoint_is_left_out(const struct ckpt_disk *disk);

/* Takes @info out of the tree and the store: children get its parent, a head
 * on it moves to its parent.  The caller holds the domain's lock.
 * Disk snapshots are the caller's business. */
int checkpoint_remove(struct ckpt *c, const struct ckpt_info *info);

#endif
