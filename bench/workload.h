/* SPDX-License-Identifier: MIT */
/* Address sequences, drawn before anything is timed. */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "bench/contestant.h"
#include "bench/options.h"

struct workload_shape {
	uint64_t buckets;
	uint32_t bucket_shift;
	enum distribution distribution;
	double skew;
	enum pattern pattern;
	uint32_t write_percent;
	uint32_t pin_percent; /* of accesses in a storm */
	uint64_t addresses;   /* a power of two */
	uint64_t seed;
	uint64_t stream; /* another sequence over the same hot pages */
};

/* 0 or -ENOMEM. */
int workload_open(struct workload *workload, const struct workload_shape *shape);
void workload_close(struct workload *workload);

#endif
