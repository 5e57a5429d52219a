/* SPDX-License-Identifier: LGPL-2.1-only */
/* xl-plugin/xen_names.c without a xenstore: $CKPT_FAKE_NAMES, one a line. */
#include "xen_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int xen_names(void (*fn)(void *arg, const char *name), void *arg)
{
    const char *names = getenv("CKPT_FAKE_NAMES");
    char *copy, *name, *save = NULL;

    if (!names)
        return -ENOENT;
    copy = strdup(names);
    if (!copy)
        return -ENOMEM;
    for (name = strtok_r(copy, "\n", &save); name;
         name = strtok_r(NULL, "\n", &save))
        fn(arg, name);
    free(copy);
    return 0;
}
