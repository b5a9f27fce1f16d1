/* SPDX-License-Identifier: MIT */
/* Rows of figures: on the screen, as CSV, as JSON. */
#include "bench/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

/* Three digits that say something, however small it is. */
static int decimals(double value)
{
	int count = 2;

	if (value >= 1000)
		return 0;
	for (; value > 0 && value < 1 && count < 9; value *= 10)
		count++;
	return count;
}

static void print_row(const struct report_row *row)
{
	printf("%-10s %-8s %-10s", row->scenario, row->contestant, row->variant);
	if (row->buckets)
		printf(" W=%-6llu", (unsigned long long)row->buckets);
	else
		printf(" %-8s", "");
	if (row->threads)
		printf(" T=%-3u", row->threads);
	else
		printf(" %-5s", "");
	if (row->rate)
		printf(" %6u Hz", row->rate);
	else
		printf(" %9s", "");
	printf(" %-26s %14.*f %s\n", row->metric, decimals(row->value), row->value, row->unit);
}

void report_add(struct report *report, const struct report_row *row)
{
	unsigned int room = report->room ? report->room * 2 : 64;
	struct report_row *rows;

	report_progress(NULL);
	if (!report->quiet)
		print_row(row);
	if (report->count == report->room) {
		rows = realloc(report->rows, room * sizeof(*rows));
		if (!rows)
			return;
		report->rows = rows;
		report->room = room;
	}
	report->rows[report->count++] = *row;
}

void report_close(struct report *report)
{
	free(report->rows);
	*report = (struct report){ 0 };
}

int report_write_csv(const struct report *report, const char *path)
{
	FILE *file = fopen(path, "w");
	const struct report_row *row;

	if (!file)
		return -errno;
	fprintf(file, "scenario,contestant,variant,buckets,threads,rate,metric,value,unit\n");
	for (unsigned int i = 0; i < report->count; i++) {
		row = &report->rows[i];
		fprintf(file, "%s,%s,%s,%llu,%u,%u,%s,%.6g,%s\n", row->scenario, row->contestant,
			row->variant, (unsigned long long)row->buckets, row->threads, row->rate,
			row->metric, row->value, row->unit);
	}
	return fclose(file) ? -errno : 0;
}

void report_print_json(const struct report *report, FILE *file)
{
	const struct report_row *row;

	fprintf(file, "[");
	for (unsigned int i = 0; i < report->count; i++) {
		row = &report->rows[i];
		fprintf(file,
			"%s\n    {\"scenario\": \"%s\", \"contestant\": \"%s\", "
			"\"variant\": \"%s\", \"buckets\": %llu, \"threads\": %u, "
			"\"rate\": %u, \"metric\": \"%s\", \"value\": %.6g, "
			"\"unit\": \"%s\"}",
			i ? "," : "", row->scenario, row->contestant, row->variant,
			(unsigned long long)row->buckets, row->threads, row->rate, row->metric,
			row->value, row->unit);
	}
	fprintf(file, "\n  ]");
}

void report_progress(const char *text, ...)
{
	va_list arguments;

	if (!isatty(STDERR_FILENO))
		return;
	fputs("\r\033[K", stderr);
	if (text) {
		va_start(arguments, text);
		vfprintf(stderr, text, arguments);
		va_end(arguments);
	}
	fflush(stderr);
}
