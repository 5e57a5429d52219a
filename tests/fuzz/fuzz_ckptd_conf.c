/* SPDX-License-Identifier: LGPL-2.1-only */
/* ckptd.conf: whatever is in the file, an error has its line. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char error[CONF_ERROR_LEN];
    struct conf conf;
    int rc;

    conf_init(&conf);
    rc = conf_parse(&conf, "f", (const char *)data, len, error);
    if (rc && strncmp(error, "f:", 2))
        abort();
    if (!rc)
        conf_policy(&conf, "web");
    conf_fini(&conf);
    return 0;
}
