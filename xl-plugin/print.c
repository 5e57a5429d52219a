/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Units are binary and said (KiB, MiB); a pause is always in milliseconds, so
 * that two of them compare at a glance.  A table calls each cell twice, once
 * to measure and once to print, and so needs no memory of its own.
 */
#include "print.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "text.h"

#define CELL_LEN 512
#define MAX_COLUMNS 16

const char *print_size(char buf[PRINT_LEN], uint64_t nr_bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB",
                                        "TiB", "PiB", "EiB"};
    double v = (double)nr_bytes;
    size_t i;

    if (nr_bytes < 1024) {
        snprintf(buf, PRINT_LEN, "%" PRIu64 " B", nr_bytes);
        return buf;
    }
    v /= 1024;
    /* 1023.95 would be printed as 1024.0 */
    for (i = 0; v >= 1023.95 && i < 5; i++)
        v /= 1024;
    snprintf(buf, PRINT_LEN, "%.1f %s", v, units[i]);
    return buf;
}

const char *print_ms(char buf[PRINT_LEN], uint64_t us)
{
    snprintf(buf, PRINT_LEN, "%" PRIu64 ".%" PRIu64 " ms", us / 1000,
             us % 1000 / 100);
    return buf;
}

const char *print_duration(char buf[PRINT_LEN], uint64_t us)
{
    const uint64_t s = us / 1000000;

    if (us < 1000000)
        return print_ms(buf, us);
    if (s < 60)
        snprintf(buf, PRINT_LEN, "%" PRIu64 ".%02" PRIu64 " s", s,
                 us % 1000000 / 10000);
    else if (s < 3600)
        snprintf(buf, PRINT_LEN, "%" PRIu64 ":%02" PRIu64 " min", s / 60,
                 s % 60);
    else
        snprintf(buf, PRINT_LEN, "%" PRIu64 ":%02" PRIu64 " h", s / 3600,
                 s % 3600 / 60);
    return buf;
}

const char *print_time(char buf[PRINT_LEN], int64_t unix_us)
{
    /* rounded down, also before 1970 */
    time_t s = (time_t)(unix_us / 1000000 - (unix_us % 1000000 < 0));
    struct tm tm;

    if (!localtime_r(&s, &tm) ||
        !strftime(buf, PRINT_LEN, "%Y-%m-%d %H:%M:%S", &tm))
        snprintf(buf, PRINT_LEN, "%" PRId64 " us", unix_us);
    return buf;
}

static void pad(FILE *f, size_t nr)
{
    fprintf(f, "%*s", (int)nr, "");
}

static void print_row(FILE *f, const struct column *columns, size_t nr_columns,
                      const size_t *widths, const void *row, unsigned indent)
{
    char cell[CELL_LEN];
    size_t i, gap;

    pad(f, indent);
    for (i = 0; i < nr_columns; i++) {
        if (row)
            columns[i].cell(cell, sizeof(cell), row);
        else
            snprintf(cell, sizeof(cell), "%s", columns[i].title);
        gap = widths[i] - text_print(NULL, cell);
        if (columns[i].is_number)
            pad(f, gap);
        text_print(f, cell);
        if (i + 1 == nr_columns)
            break;
        pad(f, columns[i].is_number ? 2 : gap + 2);
    }
    putc('\n', f);
}

void print_table(FILE *f, const struct column *columns, size_t nr_columns,
                 const void *rows, size_t nr_rows, size_t row_bytes,
                 unsigned indent)
{
    size_t widths[MAX_COLUMNS];
    char cell[CELL_LEN];
    const char *row;
    size_t i, r, w;

    if (nr_columns > MAX_COLUMNS)
        nr_columns = MAX_COLUMNS;
    for (i = 0; i < nr_columns; i++) {
        widths[i] = strlen(columns[i].title);
        for (r = 0, row = rows; r < nr_rows; r++, row += row_bytes) {
            columns[i].cell(cell, sizeof(cell), row);
            w = text_print(NULL, cell);
            widths[i] = w > widths[i] ? w : widths[i];
        }
    }
    print_row(f, columns, nr_columns, widths, NULL, indent);
    for (r = 0, row = rows; r < nr_rows; r++, row += row_bytes)
        print_row(f, columns, nr_columns, widths, row, indent);
}
