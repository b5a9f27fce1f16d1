/* SPDX-License-Identifier: MIT */
/* Figures over rounds. */
#include "bench/statistics.h"

#include <stdlib.h>
#include <string.h>

void series_add(struct series *series, double value)
{
	if (series->count < STATISTICS_ROUNDS)
		series->value[series->count++] = value;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

double series_median(const struct series *series)
{
	double sorted[STATISTICS_ROUNDS];
	unsigned int middle = series->count / 2;

	if (!series->count)
		return 0;
	memcpy(sorted, series->value, series->count * sizeof(*sorted));
	qsort(sorted, series->count, sizeof(*sorted), compare);
	return series->count % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double series_minimum(const struct series *series)
{
	double lowest = series->count ? series->value[0] : 0;

	for (unsigned int i = 1; i < series->count; i++)
		lowest = series->value[i] < lowest ? series->value[i] : lowest;
	return lowest;
}

double series_maximum(const struct series *series)
{
	double highest = series->count ? series->value[0] : 0;

	for (unsigned int i = 1; i < series->count; i++)
		highest = series->value[i] > highest ? series->value[i] : highest;
	return highest;
}

double series_median_ratio(const struct series *above, const struct series *below)
{
	struct series ratio = { 0 };

	for (unsigned int i = 0; i < above->count && i < below->count; i++)
		if (below->value[i] > 0)
			series_add(&ratio, above->value[i] / below->value[i]);
	return series_median(&ratio);
}
