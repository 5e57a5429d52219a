/* SPDX-License-Identifier: LGPL-2.1-only */
#include "job.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "signals.h"
#include "xen_log.h"

static void on_progress(void *arg, const struct ckpt_progress *now)
{
    struct job *job = arg;

    /* also for a signal that came before the operation had begun */
    if (signals_seen()) {
        job->progress.is_stopping = true;
        ckpt_cancel(job->c);
    }
    progress_show(&job->progress, now);
}

int job_open(struct job *job)
{
    const struct args *a = &job->args;
    int rc;

    progress_init(&job->progress, stderr,
                  !a->quiet && (a->tty_progress || isatty(STDERR_FILENO)));
    job->log = xen_log_new(a->verbose, a->quiet, a->timestamps, &job->progress);
    if (!job->log)
        return job_fail(job, -ENOMEM, "not enough memory");
    signals_catch(NULL);
    rc = job->cmd->only_reads
             ? ckpt_open_read_only(a->store, job->log, &job->c)
             : ckpt_open(a->store, job->log, &job->c);
    if (rc < 0)
        return job_failed(job, rc);
    ckpt_set_progress(job->c, on_progress, job);
    signals_catch(job->c);
    return 0;
}

void job_close(struct job *job)
{
    if (job->c)
        signals_catch(NULL);
    progress_erase(&job->progress);
    daemon_close(job);
    ckpt_close(job->c);
    job->c = NULL;
    xen_log_free(job->log);
    job->log = NULL;
}

int job_go(struct job *job)
{
    if (signals_seen())
        return job_fail(job, -ECANCELED, "stopped by a signal");
    return 0;
}

int job_fail(struct job *job, int rc, const char *fmt, ...)
{
    va_list ap;

    progress_erase(&job->progress);
    if (job->error[0])
        return rc;
    va_start(ap, fmt);
    vsnprintf(job->error, sizeof(job->error), fmt, ap);
    va_end(ap);
    return rc;
}

int job_failed(struct job *job, int rc)
{
    const char *words = job->c ? ckpt_error(job->c) : "";

    return job_fail(job, rc, "%s", words[0] ? words : strerror(-rc));
}

FILE *job_output(struct job *job)
{
    progress_erase(&job->progress);
    return job->json ? NULL : stdout;
}
