/* SPDX-License-Identifier: MIT */
/* One timed run of one contestant: so many threads, one operation in a loop. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "bench/lineup.h"
#include "bench/workload.h"

enum operation { OPERATION_READ, OPERATION_MIXED, OPERATION_PIN };

struct measure {
	enum operation operation;
	struct workload_shape shape;
	unsigned int threads;
	uint64_t duration_ns;
};

/* The shape that the options ask for. */
struct workload_shape measure_shape(const struct bench *bench, uint64_t buckets);

/* *ns: of one operation, mean over the threads. 0 or -errno. */
int measure_run(const struct lineup_entry *entry, const struct measure *measure, double *ns);

#endif
