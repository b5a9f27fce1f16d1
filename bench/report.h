/* SPDX-License-Identifier: MIT */
/*
 * Where figures go: printed as they come, and kept for the JSON and CSV files. One row is one
 * figure; a parameter that means nothing for it is 0.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct report_row {
	const char *scenario, *contestant, *variant; /* strings that stay */
	uint64_t buckets;
	uint32_t threads;
	uint32_t rate;
	const char *metric, *unit;
	double value;
};

struct report {
	bool quiet; /* do not print rows */
	unsigned int count, room;
	struct report_row *rows;
};

/* Keeps a copy of the row. When there is no memory for it, it is printed only. */
void report_add(struct report *report, const struct report_row *row);
void report_close(struct report *report);

int report_write_csv(const struct report *report, const char *path);

/* The JSON array of all rows. */
void report_print_json(const struct report *report, FILE *file);

/* What is going on, on a terminal only, in place. NULL wipes it. */
void report_progress(const char *text, ...) __attribute__((format(printf, 1, 2)));

#endif
