/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_PRINT_H
#define XL_PRINT_H
/* Numbers, times and tables for people. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ckpt.h"

#define PRINT_LEN 48

/* Each fills @buf and returns it. */
const char *print_size(char buf[PRINT_LEN], uint64_t nr_bytes); /* 1.5 GiB */
const char *print_ms(char buf[PRINT_LEN], uint64_t us);         /* 41.3 ms */
const char *print_duration(char buf[PRINT_LEN], uint64_t us);   /* 4.10 s */
/* Local time to the second, "2026-11-21 00:45:10". */
const char *print_time(char buf[PRINT_LEN], int64_t unix_us);

/* A column of a table says its title and writes the cell of one row. */
struct column {
    const char *title;
    bool is_number; /* set to the right */
    void (*cell)(char *buf, size_t len_bytes, const void *row);
};

/* @rows is an array of @nr_rows elements of @row_bytes each; @indent spaces
 * go before every line. */
void print_table(FILE *f, const struct column *columns, size_t nr_columns,
                 const void *rows, size_t nr_rows, size_t row_bytes,
                 unsigned indent);

/* The table of checkpoint-list. */
void print_checkpoints(FILE *f, const struct ckpt_info *list, size_t nr);
/* Everything about one checkpoint, for checkpoint-show. */
void print_checkpoint(FILE *f, const struct ckpt_info *info);
#endif
