/* SPDX-License-Identifier: MIT */
/*
 * vstorm: storms in virtual time, so that they compare to the per cent on a busy machine. Access
 * patterns as in storm, back to back; a disk's requests of 16 pages anywhere and a stream of 64
 * KiB after 64 KiB, so many a second, with nothing mapped at first.
 */
#include <errno.h>
#include <stdlib.h>

#include "bench/scenario.h"
#include "bench/virtual.h"

#define BUCKETS 64
#define ADDRESSES 65536
#define STREAM_LEN (UINT64_C(64) << 10)
#define DISK_BURST 16
#define STREAM_BURST 32

struct vstorm_load {
	const char *name;
	uint32_t burst;       /* 0: back to back */
	uint64_t len;         /* of an access */
	enum pattern pattern; /* or, for a stream, one after the other */
	bool stream;
};

static const struct vstorm_load loads[] = {
	{ "rings", 0, 4, PATTERN_RINGS, false },
	{ "scattered", 0, 4, PATTERN_SCATTERED, false },
	{ "runs", 0, 4, PATTERN_RUNS, false },
	{ "uniform", 0, 4, PATTERN_UNIFORM, false },
	{ "disk", DISK_BURST, 4096, PATTERN_UNIFORM, false },
	{ "stream", STREAM_BURST, STREAM_LEN, PATTERN_UNIFORM, true },
};
#define LOADS (sizeof(loads) / sizeof(loads[0]))

static uint64_t vstorm_working_set(const struct bench *bench)
{
	uint64_t asked = options_list_maximum(&bench->options.working_sets);

	return asked ? asked : BUCKETS;
}

/* No memory of a guest is touched. */
static uint64_t vstorm_buckets(const struct bench *bench)
{
	(void)bench;
	return 1;
}

static int open_workload(const struct bench *bench, const struct vstorm_load *load,
			 struct workload *workload)
{
	uint64_t buckets = vstorm_working_set(bench);
	struct workload_shape shape = { .buckets = buckets,
					.bucket_shift = 20,
					.pattern = load->pattern,
					.addresses = ADDRESSES,
					.seed = bench->options.seed };
	int error = workload_open(workload, &shape);

	for (uint64_t i = 0; !error && i < ADDRESSES; i++) {
		if (load->stream)
			workload->gpa[i] = i * STREAM_LEN % (buckets << 20);
		else if (load->len > 4)
			workload->gpa[i] &= ~(load->len - 1);
	}
	return error;
}

static void report(struct bench *bench, const struct vstorm_load *load,
		   const struct virtual_storm *storm, const struct virtual_result *result)
{
	const struct {
		const char *metric, *unit;
		double value;
	} figures[] = {
		{ "accesses", "M/s", result->accesses_per_second / 1e6 },
		{ "map_calls", "per epoch", result->calls },
		{ "pages", "per epoch", result->pages },
		{ "unmap_calls", "per epoch", result->unmaps },
		{ "unmapped", "per epoch", result->unmapped },
		{ "reader", "us per epoch", result->reader_ns / 1000 },
		{ "all", "us per epoch", result->all_ns / 1000 },
		{ "stale_peak", "KiB", (double)(result->stale_peak >> 10) },
	};

	for (unsigned int i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		report_add(&bench->report, &(struct report_row){ .scenario = "vstorm",
								 .contestant = storm->cost->name,
								 .variant = load->name,
								 .buckets = storm->buckets,
								 .threads = storm->processors,
								 .rate = storm->rate,
								 .metric = figures[i].metric,
								 .unit = figures[i].unit,
								 .value = figures[i].value });
}

static int run_load(struct bench *bench, const struct vstorm_load *load,
		    const struct virtual_cost *cost, uint32_t rate)
{
	struct workload workload;
	struct virtual_storm storm = {
		.cost = cost,
		.workload = &workload,
		.len = load->len,
		.buckets = vstorm_working_set(bench),
		.populate = !load->burst,
		.processors = bench->options.threads.count
				      ? (unsigned int)bench->options.threads.value[0]
				      : 1,
		.reclaim_ms = bench->options.reclaim_ms,
		.rate = rate,
		.requests = load->burst ? rate : 0,
		.burst = load->burst,
		.warm_up = 120,
		.epochs = 200,
	};
	struct virtual_result result = { 0 };
	int error = open_workload(bench, load, &workload);

	if (error)
		return error;
	error = virtual_run(&storm, &result);
	if (!error)
		report(bench, load, &storm, &result);
	workload_close(&workload);
	return error;
}

static int vstorm_run(struct bench *bench)
{
	static const uint64_t fast[] = { 100, 1000 }, slow[] = { 20 };
	int error = 0;

	for (unsigned int l = 0; l < LOADS && !error; l++) {
		const struct vstorm_load *load = &loads[l];
		struct option_list rates = options_list(&bench->options.rates, load->burst ? 1 : 2,
							load->burst ? slow : fast);

		if (bench->options.pattern_given &&
		    (load->burst || load->pattern != bench->options.pattern))
			continue;
		for (unsigned int c = 0; c < virtual_costs_count && !error; c++)
			for (unsigned int r = 0; r < rates.count && !error; r++)
				error = run_load(bench, load, &virtual_costs[c],
						 (uint32_t)rates.value[r]);
	}
	return error ? scenario_error("vstorm", error) : 0;
}

const struct scenario scenario_vstorm = {
	.name = "vstorm",
	.text = "storms in virtual time: map calls and pages an INVALIDATE, accesses/s",
	.buckets = vstorm_buckets,
	.run = vstorm_run,
};
