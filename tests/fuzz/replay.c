/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A fuzzer without libFuzzer: its body runs over the files named, or, when
 * none is, over tests/fuzz/corpus/NAME, where the program is NAME-replay.
 * What a fuzzer once found is kept there, so it is tested from then on.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t have = 0, room = 0, got = 1;

    if (!f) {
        perror(path);
        return 99;
    }
    while (got > 0) {
        if (have == room) {
            room = room ? 2 * room : 65536;
            data = realloc(data, room);
            if (!data)
                abort();
        }
        got = fread(data + have, 1, room - have, f);
        have += got;
    }
    fclose(f);
    /* The exact length, so that a sanitizer sees a read past the end. */
    data = realloc(data, have ? have : 1);
    if (!data)
        abort();
    printf("%s\n", path);
    LLVMFuzzerTestOneInput(data, have);
    free(data);
    return 0;
}

static int replay_corpus(const char *program)
{
    const char *base = strrchr(program, '/');
    char path[4096];
    int len, rc = 0, nr = 0;
    struct dirent *e;
    DIR *d;

    base = base ? base + 1 : program;
    len = (int)strlen(base) - (int)strlen("-replay");
    snprintf(path, sizeof(path), "tests/fuzz/corpus/%.*s", len, base);
    d = opendir(path);
    if (!d) {
        printf("there is no %s\n", path);
        return 77;
    }
    while (!rc && (e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "tests/fuzz/corpus/%.*s/%s", len, base,
                 e->d_name);
        rc = replay(path);
        nr++;
    }
    closedir(d);
    printf("%d inputs\n", nr);
    return rc;
}

int main(int argc, char **argv)
{
    int rc = 0;

    if (argc < 2)
        return replay_corpus(argv[0]);
    for (int i = 1; i < argc && !rc; i++)
        rc = replay(argv[i]);
    return rc;
}
