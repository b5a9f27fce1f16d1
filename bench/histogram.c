/* SPDX-License-Identifier: MIT */
/* Reading and merging histograms; recording is inline (histogram.h). */
#include "bench/histogram.h"

#include <string.h>

void histogram_reset(struct histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (unsigned int cell = 0; cell < HISTOGRAM_CELLS; cell++)
		into->cells[cell] += from->cells[cell];
	into->count += from->count;
	into->sum += from->sum;
	if (from->maximum > into->maximum)
		into->maximum = from->maximum;
}

/* The largest value that falls into a cell. */
static uint64_t cell_upper_bound(unsigned int cell)
{
	unsigned int shift;
	uint64_t low;

	if (cell < 2 * HISTOGRAM_STEPS)
		return cell;
	shift = cell / HISTOGRAM_STEPS - 1;
	low = (uint64_t)(cell % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << shift;
	return low + (UINT64_C(1) << shift) - 1;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
	double rank = (double)histogram->count * percent / 100.0;
	uint64_t wanted = (uint64_t)rank, seen = 0, value;

	if (!histogram->count)
		return 0;
	if ((double)wanted < rank || !wanted)
		wanted++;
	for (unsigned int cell = 0; cell < HISTOGRAM_CELLS; cell++) {
		seen += histogram->cells[cell];
		if (seen < wanted)
			continue;
		value = cell_upper_bound(cell);
		return value < histogram->maximum ? value : histogram->maximum;
	}
	return histogram->maximum;
}

double histogram_mean(const struct histogram *histogram)
{
	return histogram->count ? (double)histogram->sum / (double)histogram->count : 0;
}
