/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_H
#define CKPT_H
/*
 * libckpt: checkpoints, rollback and fork of Xen guests.
 *
 * A `ckpt` is a handle on one store and serves one thread at a time; open as
 * many as you like.  After fork() a child may only leave it alone.  The
 * library never exits, never prints and never changes a signal's disposition.
 *
 * Every int result is 0 or a negative errno; ckpt_error() then has the words,
 * written for an administrator: what went wrong, on which object, what to do.
 * The errno tells the kind:
 *   -ENOENT     no such domain or checkpoint      -EEXIST   the name is taken
 *   -EBUSY      another operation on this domain  -ENOSPC   store or pool full
 *   -ENOTSUP    this domain or disk cannot be checkpointed (nothing touched)
 *   -ETIMEDOUT  the guest did not suspend in time -ECANCELED  ckpt_cancel()
 *   -EUCLEAN    the checkpoint is damaged         -EINVAL   bad argument
 *   -ENOMEM     not enough memory, on the host (Xen's free memory) or here
 *   -ENOBUFS    the guest wrote faster than the store took it
 * Whatever the result, a domain that was running is running when the call
 * returns, also when the calling process is killed in the middle.
 *
 * Strings in structures the library fills are owned by that structure and
 * live until its _fini function; strings passed in are borrowed for the call.
 *
 * Domains are named by a string: a name, or a domain id in decimal.
 * Checkpoints are named by: an id; a unique prefix of one, of 4 digits or
 * more; DOMAIN/NAME; or NAME, where it is the only one of that name.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CKPT_API __attribute__((visibility("default")))
#else
#define CKPT_API
#endif

struct xentoollog_logger; /* callers who don't log need no Xen header */
typedef struct ckpt ckpt;

#define CKPT_STORE_DEFAULT "dir:/var/lib/xen/ckpt"
#define CKPT_ID_LEN 16 /* hexadecimal digits, without the final NUL */

/*
 * Opens the store at @url ("dir:/srv/ckpt", or a bare path; "pmem:/mnt/ckpt" in
 * persistent memory; NULL means $CKPT_STORE, else CKPT_STORE_DEFAULT).  Its
 * folder is created, mode 0700, when the one above exists.  @log is borrowed until close and may be NULL.
 * *c_out is always filled unless memory ran out (-ENOMEM): on failure it is
 * good for ckpt_error() and ckpt_close() only.
 */
CKPT_API int ckpt_open(const char *url, struct xentoollog_logger *log,
                       ckpt **c_out);
/* The same, but nothing is made, swept or locked; what would write is -EROFS.  A
 * store that is not there yet is an empty one. */
CKPT_API int ckpt_open_read_only(const char *url, struct xentoollog_logger *log,
                                 ckpt **c_out);
CKPT_API void ckpt_close(ckpt *c); /* NULL is fine */

/* The words of the last failed call on this handle; "" when none failed.
 * Borrowed until the next call on @c. */
CKPT_API const char *ckpt_error(const ckpt *c);

/* The library's version, "MAJOR.MINOR.PATCH"; static. */
CKPT_API const char *ckpt_version(void);

/*
 * Long operations report where they are, at most ten times a second, from
 * inside the call.  @phase is one of the step names ("memory copied", …),
 * borrowed for the callback; @total_bytes is 0 when it cannot be known.
 */
struct ckpt_progress {
    const char *phase;
    uint64_t done_bytes;
    uint64_t total_bytes;
    uint64_t elapsed_us; /* since the operation began */
};
typedef void ckpt_progress_fn(void *arg, const struct ckpt_progress *p);
CKPT_API void ckpt_set_progress(ckpt *c, ckpt_progress_fn *fn, void *arg);

/* Asks the operation under way on @c to stop, undo and return -ECANCELED.
 * Async-signal-safe; the one call that may come from another thread. */
CKPT_API void ckpt_cancel(ckpt *c);

/* --- what is known of a checkpoint ------------------------------------- */

enum ckpt_consistency {
    CKPT_CONSISTENCY_CRASH,           /* as if the power had failed */
    CKPT_CONSISTENCY_IO_DRAINED,      /* nothing was in flight to the disks */
    CKPT_CONSISTENCY_GUEST_SUSPENDED, /* the guest's kernel suspended itself */
    CKPT_CONSISTENCY_FS_FROZEN,       /* disks alone, filesystems frozen */
};
/* "crash", "io-drained", "guest-suspended", "fs-frozen"; static. */
CKPT_API const char *ckpt_consistency_name(enum ckpt_consistency v);

struct ckpt_disk {
    char *vdev;        /* "xvda" */
    char *driver;      /* "lvmthin"; "none" for a disk without snapshot */
    char *target;      /* what the guest's configuration names */
    char *snapshot;    /* the snapshot's name in the driver's words, or NULL */
    char *why_none;    /* "excluded", "read-only", "cdrom", "empty", "imported"
                        * (by xl save, which has no disks), or NULL */
    uint64_t size_bytes; /* 0 when not known */
};

/* What the memory driver "cow" did: how the pages came that the checkpoint
 * holds, and what the guest had to wait for. */
struct ckpt_capture {
    uint64_t ring_bytes;     /* of pages kept for us; 0: not that driver */
    uint64_t hypercalls;     /* made for it, but by dom0's kernel: a constant,
                              * and one for 1024 pages */
    uint64_t pages_by_write; /* kept when the guest was about to write them */
    uint64_t pages_by_read;  /* kept when we asked for them */
    uint64_t copied_bytes;   /* by Xen; a page of zeros is not copied */
    uint64_t waits;          /* times that a vCPU found no room in the ring */
    uint64_t waits_us;       /* and waited, at most; until there was */
};

struct ckpt_info {
    char id[CKPT_ID_LEN + 1];
    char parent[CKPT_ID_LEN + 1]; /* "" for a root */
    char *name;
    char *description; /* "" when none */
    char *domain_name;
    char domain_uuid[37];
    char *domain_type;       /* "pv", "pvh", "hvm" */
    int64_t created_unix_us; /* the instant of the cut */
    bool has_memory;
    bool is_head;      /* the domain's state descends from this one */
    enum ckpt_consistency consistency;
    bool io_drained;   /* no request to a disk was under way at the instant */
    char *mem_driver;  /* "dirty", "stream", "cow"; "none" for disk-only */
    char *mem_why;     /* why not a better one; "" when this is the best */
    char *xen_version; /* "4.17.7" */
    char base[CKPT_ID_LEN + 1]; /* stored as what changed since this one */
    char *base_why;  /* base is "": why all of memory was looked at, or "" */
    char *tags;      /* sorted words with a space between; "" when none */
    bool keep;       /* retention passes it over */
    uint64_t memory_bytes;   /* guest memory the checkpoint describes */
    uint64_t stored_bytes;   /* bytes it takes in the store */
    uint64_t pages_stored;   /* pages written to the store */
    uint64_t pages_zero;     /* pages that cost nothing */
    uint64_t pages_in_pause; /* pages copied while the guest stood still */
    struct ckpt_capture capture;
    unsigned passes;         /* over memory, the one in the pause included */
    uint64_t pause_us;       /* request to suspend .. resumed */
    uint64_t pause_disks_us; /* the disks' part of it */
    uint64_t still_us;       /* vCPUs known to stand still .. resumed */
    uint64_t durable_us;     /* begin of the call .. safe on disk */
    struct ckpt_disk *disks;
    size_t nr_disks;
    char *group;    /* taken at one instant with others of this name; or NULL */
    char *group_id; /* tells two groups of one name apart; or NULL */
};
CKPT_API void ckpt_info_fini(struct ckpt_info *info); /* zeroes it */

/* --- operations --------------------------------------------------------- */

#define CKPT_TAKE_DISK_ONLY (1u << 0)    /* no memory, no machine state */
#define CKPT_TAKE_LEAVE_PAUSED (1u << 1) /* the guest is paused afterwards */
#define CKPT_TAKE_QUIESCE (1u << 2)      /* -ENOTSUP without freeze() */
#define CKPT_TAKE_NO_TRACK (1u << 3)     /* Xen need not note what is written
                                          * from now on: the next take looks at
                                          * all of memory */

/* What is done when the guest writes faster than the store takes it, and the
 * ring in which a patched Xen keeps its pages (memory driver "cow") is full. */
enum ckpt_when_full {
    CKPT_WHEN_FULL_DEFAULT, /* WAIT */
    CKPT_WHEN_FULL_WAIT,    /* the guest does; -ENOBUFS when the store takes
                             * nothing for two seconds */
    CKPT_WHEN_FULL_GIVE_UP, /* -ENOBUFS, at once */
};
#define CKPT_RING_MIB_MAX 1024

struct ckpt_take_opts {
    const char *name; /* NULL: made from the time, "20261121-004510" */
    const char *description;          /* NULL: none */
    const char *const *exclude_disks; /* vdevs, NULL-terminated; or NULL */
    unsigned flags;                   /* CKPT_TAKE_* */
    unsigned suspend_timeout_ms;      /* 0: 30000 */
    unsigned ring_mib; /* 0: a 32nd of the guest's memory, from 32 to 256; less
                        * if Xen has no more free */
    enum ckpt_when_full when_full;
    /* Both or neither.  @freeze is called just before the guest is asked to
     * stand still: 0, its filesystems are frozen; else the take goes on
     * without.  @thaw is called after each freeze, failed ones too: 0 when the
     * freeze had held until now.  With memory that is before the guest
     * suspends, which it could not do frozen.  Of disks alone it is when the
     * guest runs again, and if it had held, the checkpoint's consistency is
     * CKPT_CONSISTENCY_FS_FROZEN. */
    int (*freeze)(void *arg);
    int (*thaw)(void *arg);
    void *freeze_arg;
    /* NULL, or called by ckpt_take() when all is ready for the cut: 0, it begins
     * now, under the name that @name has now; -errno, it is given up.  -ESTALE:
     * the domain was changed meanwhile; take it again. */
    int (*stand_by)(void *arg);
    void *stand_by_arg;
};

/* Takes a checkpoint of @domain and makes it durable before returning.
 * @opts may be NULL.  @info_out is filled on success when not NULL. */
CKPT_API int ckpt_take(ckpt *c, const char *domain,
                       const struct ckpt_take_opts *opts,
                       struct ckpt_info *info_out);

/* The same of several domains at one instant: all stand still before the first
 * is cut, and none goes on before the last is.  Their checkpoints have
 * info->group = @group and appear all at once, or none does.  @opts (may be
 * NULL) has one for each of the @nr domains; all freeze before the first is asked
 * to stand still.  @infos_out (may be NULL) has room for @nr and is filled on
 * success. */
#define CKPT_GROUP_MAX 32
CKPT_API int ckpt_take_group(ckpt *c, const char *group,
                             const char *const *domains, size_t nr,
                             const struct ckpt_take_opts *opts,
                             struct ckpt_info *infos_out);

#define CKPT_ROLLBACK_LEAVE_PAUSED (1u << 0)
/* The running domain is destroyed before the new one is built, where the host has
 * no memory for both, or a name or port of it is needed by both.  Without this
 * flag that is -ENOMEM, -EEXIST. */
#define CKPT_ROLLBACK_DESTROY_FIRST (1u << 1)

struct ckpt_rollback_opts {
    unsigned flags; /* CKPT_ROLLBACK_* */
};

struct ckpt_domain {
    char *name;
    char uuid[37];
    uint32_t domid;
    uint64_t down_us; /* rollback: old one paused .. new one running */
};
CKPT_API void ckpt_domain_fini(struct ckpt_domain *d); /* zeroes it */
/* Who @domain, a name or decimal id, is now. */
CKPT_API int ckpt_domain_find(ckpt *c, const char *domain,
                              struct ckpt_domain *dom_out);

/* Puts @domain back to @checkpoint (NULL: its latest).  Everything that can
 * be checked is checked before the running domain is touched. */
CKPT_API int ckpt_rollback(ckpt *c, const char *domain, const char *checkpoint,
                           const struct ckpt_rollback_opts *opts,
                           struct ckpt_domain *dom_out);

#define CKPT_FORK_LEAVE_PAUSED (1u << 0)
#define CKPT_FORK_NO_NETWORK (1u << 1) /* without the source's interfaces */

struct ckpt_fork_opts {
    const char *name; /* NULL: SOURCE-fork-1, -2, …; with count > 1 a prefix */
    unsigned count;   /* 0 means 1; at most CKPT_FORK_MAX */
    unsigned flags;   /* CKPT_FORK_* */
    unsigned suspend_timeout_ms; /* 0: 30000; for a running source */
};
#define CKPT_FORK_MAX 256

/* Makes new domains from @source, a running domain or a checkpoint (a domain
 * wins where both exist).  Each has its own name, UUID, MACs and generation
 * id, and copy-on-write clones of the disks.  @doms_out points to room for
 * `count`; *nr_out says how many were made, also on failure. */
CKPT_API int ckpt_fork(ckpt *c, const char *source,
                       const struct ckpt_fork_opts *opts,
                       struct ckpt_domain *doms_out, unsigned *nr_out);

/* --- the store ---------------------------------------------------------- */

/* The checkpoints of @domain (a name or UUID; NULL: all), oldest first.
 * *list_out is owned by the caller, released with ckpt_list_free(). */
CKPT_API int ckpt_list(ckpt *c, const char *domain,
                       struct ckpt_info **list_out, size_t *nr_out);
CKPT_API void ckpt_list_free(struct ckpt_info *list, size_t nr);

/* One checkpoint. @info_out is filled on success. */
CKPT_API int ckpt_find(ckpt *c, const char *checkpoint,
                       struct ckpt_info *info_out);

/* Deletes a checkpoint and its disk snapshots; its children become children
 * of its parent.  -EPERM: it is kept. */
CKPT_API int ckpt_delete(ckpt *c, const char *checkpoint);

struct ckpt_space {
    uint64_t freed_bytes;   /* given back */
    uint64_t pending_bytes; /* by the next prune: it is being read, or a take
                             * is under way */
    uint64_t shared_bytes;  /* not: other checkpoints have it, too */
};
/* What deleting it would give.  -EBUSY: a take is under way. */
CKPT_API int ckpt_space(ckpt *c, const char *checkpoint,
                        struct ckpt_space *space_out);

#define CKPT_PRUNE_DRY_RUN (1u << 0) /* only say what would go */
#define CKPT_PRUNE_COMPRESS (1u << 1) /* what stays, but for the heads */
struct ckpt_prune_opts {
    const char *domain;      /* a name or UUID; NULL: each */
    unsigned keep_last;      /* the newest of a domain stay; 0: no rule */
    uint64_t keep_within_s;  /* those younger stay; 0: no rule */
    unsigned flags;          /* CKPT_PRUNE_* */
};
struct ckpt_prune_result {
    char **ids; /* deleted, NULL-terminated; one free() frees all */
    struct ckpt_space space;
    uint64_t owed, owed_bytes; /* disk snapshots of deleted checkpoints that
                                * stay for now: running guests still read
                                * through them, or they cannot be removed */
};
/* Deletes what no rule of @opts protects (without rules: nothing); never a
 * head, nor what is kept or tagged.  Then gives back whatever no checkpoint
 * needs, also what a crash left.  One that cannot be deleted does not stop the
 * rest: its error is returned at the end, and *result_out is filled then, too
 * (ids not NULL). */
CKPT_API int ckpt_prune(ckpt *c, const struct ckpt_prune_opts *opts,
                        struct ckpt_prune_result *result_out);
CKPT_API int ckpt_keep(ckpt *c, const char *checkpoint, bool keep);
/* A word of 1-32 of [A-Za-z0-9._:-]; -EEXIST, -ENOENT: it has it, or not. */
CKPT_API int ckpt_tag(ckpt *c, const char *checkpoint, const char *tag,
                      bool add);

/* How much a domain (UUID), or the store (NULL), may have; 0: no limit.  A take
 * beyond it is -EDQUOT, before the guest is touched. */
struct ckpt_quota {
    uint64_t count, bytes;
};
CKPT_API int ckpt_quota_set(ckpt *c, const char *domain_uuid,
                            const struct ckpt_quota *quota);
CKPT_API int ckpt_quota_get(ckpt *c, const char *domain_uuid,
                            struct ckpt_quota *quota_out);

/* A line for each piece of what is stored of @checkpoint (which may also be an
 * id whose manifest is damaged, or the name of a pack, ID.NUMBER), and whether
 * it is good.  For looking into a store: the words may change. */
typedef void ckpt_line_fn(void *arg, const char *line);
CKPT_API int ckpt_dump(ckpt *c, const char *checkpoint, ckpt_line_fn *fn,
                       void *arg);

struct ckpt_verify_result {
    uint64_t pages_checked;
    uint64_t pages_bad;
    uint64_t first_bad_gfn; /* meaningful when pages_bad > 0 */
};
/* Reads the whole checkpoint back.  -EUCLEAN: damaged, ckpt_error() says
 * which page in which file; @result_out (may be NULL) is filled then too. */
CKPT_API int ckpt_verify(ckpt *c, const char *checkpoint,
                         struct ckpt_verify_result *result_out);
/* The same for about @percent of its memory, chosen at random. */
CKPT_API int ckpt_verify_sample(ckpt *c, const char *checkpoint,
                                unsigned percent,
                                struct ckpt_verify_result *result_out);

/* The same, and what is to be known to do something about it.  It is filled on
 * -EUCLEAN, too, and given back with _fini() whatever the result was. */
struct ckpt_frames {
    uint64_t gfn, nr;
};
struct ckpt_verify_report {
    struct ckpt_verify_result result;
    char **damaged;     /* in words, the first 64; NULL-terminated, or NULL */
    size_t nr_damaged;  /* all: pages, nodes, blobs, snapshots of disks */
    struct ckpt_frames *lost; /* ascending */
    size_t nr_lost;
    char **also_damaged; /* ids of other checkpoints that need the same pages;
                          * NULL-terminated, or NULL */
};
CKPT_API int ckpt_verify_report(ckpt *c, const char *checkpoint,
                                unsigned percent,
                                struct ckpt_verify_report *report_out);
CKPT_API void ckpt_verify_report_fini(struct ckpt_verify_report *r);

/* Formats of others.  Neither has disks. */
enum ckpt_format {
    CKPT_FORMAT_XL,     /* what `xl save` writes and `xl restore` reads */
    CKPT_FORMAT_VMCORE, /* an ELF core of the memory, for crash and drgn */
};
/* Writes @checkpoint to @fd: a file, a pipe or a socket. */
CKPT_API int ckpt_export(ckpt *c, const char *checkpoint,
                         enum ckpt_format format, int fd);
/* Reads what `xl save` wrote from @fd, not to be trusted, and makes it the
 * checkpoint @name.  @info_out may be NULL. */
CKPT_API int ckpt_import(ckpt *c, int fd, const char *name,
                         struct ckpt_info *info_out);

/* An archive of our own has the disks' contents, too.  Keys are always given as
 * the names of files that ckpt_keygen() made.  Lists are NULL-terminated, or
 * NULL; so is what is not wanted. */
struct ckpt_export_opts {
    const char *const *exclude_disks; /* vdevs */
    const char *const *encrypt_to;    /* public or shared keys */
    const char *sign_with;            /* a secret key for signing */
};
struct ckpt_export_result {
    uint64_t archive_bytes;
    uint64_t memory_bytes; /* in it, before they were compressed */
    uint64_t disk_bytes;
    unsigned nr_disks;
};
/* -ENOTSUP: a disk's snapshot cannot be read (and was not excluded).  @opts and
 * @result_out may be NULL. */
CKPT_API int ckpt_export_archive(ckpt *c, const char *checkpoint,
                                 const struct ckpt_export_opts *opts, int fd,
                                 struct ckpt_export_result *result_out);
struct ckpt_import_opts {
    const char *name;         /* NULL: as it was; what xl saved: "imported" */
    const char *const *disks; /* "VDEV=PLACE" for each with content, PLACE being
                               * a new file's path, "qcow2:PATH",
                               * "thin:VG/POOL/NAME", "dmthin:POOL/NAME",
                               * "rbd:POOL/IMAGE", or "none" */
    const char *const *decrypt_with; /* secret or shared keys */
    const char *const *signed_by;    /* public keys: one of them it must be */
};
/* Reads an archive, or what `xl save` wrote; neither is to be trusted.  -EPERM:
 * a key is missing, or another's; -EUCLEAN: damaged or forged; -EEXIST also:
 * where a disk is to go there is something.  Unless it is 0 nothing is left. */
CKPT_API int ckpt_import_with(ckpt *c, int fd,
                              const struct ckpt_import_opts *opts,
                              struct ckpt_info *info_out);
enum ckpt_key {
    CKPT_KEY_READ,   /* a pair: to PATH.pub is encrypted what PATH decrypts */
    CKPT_KEY_SIGN,   /* a pair: PATH signs, PATH.pub tells */
    CKPT_KEY_SHARED, /* one for both who encrypt and who decrypt */
};
/* Makes @path, mode 0600, and for a pair @path.pub; neither may be there. */
CKPT_API int ckpt_keygen(ckpt *c, enum ckpt_key kind, const char *path);

/* --- what changed on the disks ------------------------------------------- */

struct ckpt_extent {
    uint64_t offset_bytes;
    uint64_t len_bytes;
};
struct ckpt_disk_diff {
    char *vdev;
    char *driver;
    uint64_t size_bytes;         /* of the disk in the second checkpoint */
    uint64_t changed_bytes;      /* sum over the extents */
    struct ckpt_extent *extents; /* ascending, none touches the next */
    size_t nr_extents;
};
/* For each disk that has a snapshot in both checkpoints: every byte in which
 * @to differs from @from lies in one of its extents (which may hold equal
 * bytes too).  *diffs_out is released with ckpt_diff_free().  -ENOTSUP: a
 * disk's storage cannot tell. */
CKPT_API int ckpt_diff(ckpt *c, const char *from, const char *to,
                       struct ckpt_disk_diff **diffs_out, size_t *nr_out);
CKPT_API void ckpt_diff_free(struct ckpt_disk_diff *diffs, size_t nr);

/* Mounts a disk (@vdev "xvda", a partition of it "xvda1"; NULL: the only one)
 * read-only at the folder @dir.  Until ckpt_unmount() it is not deleted. */
CKPT_API int ckpt_mount(ckpt *c, const char *checkpoint, const char *vdev,
                        const char *dir);
CKPT_API int ckpt_unmount(ckpt *c, const char *dir);

/* --- reading a checkpoint's memory --------------------------------------- */

#define CKPT_PAGE_SIZE 4096u
typedef struct ckpt_memory ckpt_memory;

/* Opens the memory of @checkpoint for reading; close before ckpt_close(). */
CKPT_API int ckpt_memory_open(ckpt *c, const char *checkpoint,
                              ckpt_memory **m_out);
/* Copies guest frame @gfn into @page, CKPT_PAGE_SIZE bytes, checksum
 * verified.  -ENOENT: the guest has no memory there.  -EUCLEAN: damaged. */
CKPT_API int ckpt_memory_read(ckpt_memory *m, uint64_t gfn, void *page);
/* @*gfn becomes the first frame from there on that the guest has memory at, or
 * the number of frames: most below 4 GiB have none. */
CKPT_API int ckpt_memory_next(ckpt_memory *m, uint64_t *gfn);
/* One more than the highest frame. */
CKPT_API uint64_t ckpt_memory_nr_gfns(const ckpt_memory *m);
CKPT_API void ckpt_memory_close(ckpt_memory *m); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
