/* SPDX-License-Identifier: MIT */
/* Figures over rounds. */
#ifndef BENCH_STATISTICS_H
#define BENCH_STATISTICS_H

#define STATISTICS_ROUNDS 101 /* most rounds that can be asked for */

struct series {
	unsigned int count;
	double value[STATISTICS_ROUNDS];
};

void series_add(struct series *series, double value);
double series_median(const struct series *series);
double series_minimum(const struct series *series);
double series_maximum(const struct series *series);

/* Round by round, so that what slows a whole round down cancels out; then the median. */
double series_median_ratio(const struct series *above, const struct series *below);

#endif
