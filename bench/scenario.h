/* SPDX-License-Identifier: MIT */
/* What can be measured, and what every scenario works with. */
#ifndef BENCH_SCENARIO_H
#define BENCH_SCENARIO_H

#include <stdio.h>

#include "bench/goals.h"
#include "bench/guest.h"
#include "bench/machine.h"
#include "bench/options.h"
#include "bench/report.h"

struct bench {
	struct options options;
	struct machine machine;
	struct guest guest;
	struct report report;
	struct goals goals;
	bool quick;                            /* the smallest run that gives every figure */
	uint64_t buckets_limit;                /* larger working sets are left out; 0: none are */
	double others_percent, stolen_percent; /* of the processors, while it measured */
};

struct scenario {
	const char *name, *text;
	bool shrinks; /* leaves out what the machine has no memory for */
	/* Buckets of guest memory that it needs. */
	uint64_t (*buckets)(const struct bench *bench);
	/* 0 or -errno, a message written. */
	int (*run)(struct bench *bench);
};

extern const struct scenario scenario_hit, scenario_pin, scenario_miss, scenario_refresh,
	scenario_answer, scenario_storm, scenario_release, scenario_throughput, scenario_reverse,
	scenario_dma, scenario_footprint, scenario_idle, scenario_budget, scenario_scale,
	scenario_policies, scenario_vstorm, scenario_quick, scenario_full;

/* NULL when there is none of that name. */
const struct scenario *scenario_find(const char *name);
void scenario_help(FILE *file);

/* What most of them need. */
int scenario_error(const char *what, int error);
unsigned int scenario_rounds(const struct bench *bench, unsigned int preferred);
uint64_t scenario_duration_ns(const struct bench *bench, unsigned int quick_ms,
			      unsigned int full_ms);
uint64_t scenario_bucket_bytes(const struct bench *bench);

/* --working-set or what is preferred, without what the machine has no memory for. */
struct option_list scenario_sizes(const struct bench *bench, unsigned int count,
				  const uint64_t *preferred);

#endif
