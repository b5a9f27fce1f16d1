/* SPDX-License-Identifier: MIT */
/* One storm: readers, and a generator of INVALIDATE that keeps its own schedule. */
#ifndef BENCH_STORM_RUN_H
#define BENCH_STORM_RUN_H

#include "bench/lineup.h"
#include "bench/measure.h"

struct storm {
	struct workload_shape shape;
	unsigned int readers;
	uint64_t period_ns;
	uint64_t duration_ns;
};

struct storm_result {
	double accesses_per_second; /* of all readers */
	struct histogram hits, misses, all;
	struct histogram answers;  /* ns of the INVALIDATE calls themselves */
	struct histogram lateness; /* from the time they were due until they were answered */
	uint64_t elapsed_ns;
	uint64_t overslept_ns; /* the generator was due, free, and not given a CPU */
	uint64_t behind;       /* answered after the next one had come due */
};

/* Whether the machine kept the generator from its schedule, so that the run says little. */
bool storm_disturbed(const struct storm_result *result);

/* 0 or -errno. */
int storm_run(const struct lineup_entry *entry, const struct storm *storm,
	      struct storm_result *result);

#endif
