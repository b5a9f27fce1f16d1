/* SPDX-License-Identifier: MIT */
/* hit, pin and scale: the same operation over working sets, threads and contestants. */
#ifndef BENCH_OPERATIONS_H
#define BENCH_OPERATIONS_H

#include "bench/measure.h"
#include "bench/statistics.h"

struct operation_results {
	uint64_t buckets;
	struct option_list threads;
	struct lineup *lineup;
	struct series series[OPTIONS_LIST][LINEUP_MAX];
};

struct operation_plan {
	const char *scenario, *metric, *fastest_metric; /* median and minimum of rounds */
	enum operation operation;
	const char *contestants;
	struct option_list working_sets, threads;
	uint64_t duration_ns;
	enum pattern pattern;
	/* One INVALIDATE before all rounds: what is used is mapped again, the rest of a bucket is not. */
	bool refreshed;
	/* Each bucket has one more pin all the time, so that nothing is unmapped at an unpin. */
	bool keep_pinned;
	/* Figures from the results of one working set; may be NULL. */
	void (*conclude)(struct bench *bench, const struct operation_results *results);
};

int operations_run(struct bench *bench, const struct operation_plan *plan);

/* NULL when it was not measured. */
const struct series *operations_series(const struct operation_results *results,
				       const char *contestant, unsigned int threads);

/* Sets the goal to the median of above over below, when both are there. */
void operations_ratio(struct bench *bench, enum goal goal, const struct series *above,
		      const struct series *below);

#endif
