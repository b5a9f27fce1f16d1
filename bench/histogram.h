/* SPDX-License-Identifier: MIT */
/*
 * Log-bucketed histogram of nanoseconds: 64 steps for each power of two, so that a
 * percentile is at most 1.6 % off; count, sum and maximum are exact.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 6
#define HISTOGRAM_STEPS (1u << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_CELLS (HISTOGRAM_STEPS * (64 - HISTOGRAM_STEP_BITS + 1))

struct histogram {
	uint64_t count;
	uint64_t sum;
	uint64_t maximum;
	uint64_t cells[HISTOGRAM_CELLS];
};

static inline unsigned int histogram_cell(uint64_t value)
{
	unsigned int shift;

	if (value < HISTOGRAM_STEPS)
		return (unsigned int)value;
	shift = 63u - (unsigned int)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;
	return shift * HISTOGRAM_STEPS + (unsigned int)(value >> shift);
}

static inline void histogram_record(struct histogram *histogram, uint64_t value)
{
	histogram->cells[histogram_cell(value)]++;
	histogram->count++;
	histogram->sum += value;
	if (value > histogram->maximum)
		histogram->maximum = value;
}

void histogram_reset(struct histogram *histogram);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that percent of the recorded ones do not exceed; 0 when there are none. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);
double histogram_mean(const struct histogram *histogram);

#endif
