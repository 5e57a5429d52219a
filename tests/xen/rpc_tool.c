/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * rpc_tool METHOD [PARAMS]: asks ckptd, prints the result, or the error and
 * exits with 1; 2: there is no answer.  It starts fast, also in an emulator: what
 * a test asks is often about a job that is under way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The line's member of that name, which is its last; NULL: another one is. */
static const char *member(char *line, const char *name)
{
    char *at = strstr(line, name);

    if (!at)
        return NULL;
    line[strlen(line) - strlen("}\n")] = '\0';
    return at + strlen(name);
}

int main(int argc, char **argv)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX,
                              .sun_path = "/run/ckptd.sock"};
    const char *result, *error;
    char *line = NULL;
    size_t size = 0;
    FILE *f;
    int fd;

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (argc < 2 || fd < 0 ||
        connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
        return 2;
    dprintf(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n",
            argv[1], argc > 2 ? argv[2] : "{}");
    f = fdopen(fd, "r");
    if (!f || getline(&line, &size, f) < (ssize_t)strlen("{}\n"))
        return 2;
    result = member(line, "\"id\":1,\"result\":");
    error = result ? NULL : member(line, "\"id\":1,\"error\":");
    puts(result ? result : error ? error : line);
    free(line);
    fclose(f);
    return !result;
}
