/* SPDX-License-Identifier: MIT */
/* vstorm: storms in virtual time (virtual.h), which compare to the per cent on a busy machine. */
#include "bench/scenario.h"
#include "bench/virtual.h"

#define BUCKETS 64

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

static void report(struct bench *bench, const struct virtual_load *load,
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

static int run_load(struct bench *bench, const struct virtual_load *load,
		    const struct virtual_cost *cost, uint32_t rate)
{
	struct virtual_storm storm = {
		.cost = cost,
		.buckets = vstorm_working_set(bench),
		.processors = bench->options.threads.count
				      ? (unsigned int)bench->options.threads.value[0]
				      : 1,
		.reclaim_ms = bench->options.reclaim_ms,
		.no_batches = bench->options.no_batches,
		.rate = rate,
	};
	struct virtual_result result = { 0 };
	int error = virtual_load_run(load, bench->options.seed, &storm, &result);

	if (!error)
		report(bench, load, &storm, &result);
	return error;
}

/* The same on any machine; after 40 INVALIDATEs. */
enum measured { MAP_CALLS, ACCESSES_VS_DIRECT };

static double figure(enum measured measured, const struct virtual_result *result)
{
	return measured == MAP_CALLS ? result->calls
				     : result->accesses_per_second * VIRTUAL_HIT_NS / 1e9;
}

static int run_goals(struct bench *bench)
{
	static const struct {
		enum goal goal;
		enum measured measured;
		const char *load, *cost;
		uint64_t buckets;
		uint32_t rate;
	} figures[] = {
		{ GOAL_storm_calls_rings, MAP_CALLS, "rings", "pv-emulated", 64, 100 },
		{ GOAL_storm_calls_scattered, MAP_CALLS, "scattered", "pv-emulated", 64, 100 },
		{ GOAL_storm_calls_runs, MAP_CALLS, "runs", "pv-emulated", 64, 100 },
		{ GOAL_storm_calls_rings_512, MAP_CALLS, "rings", "pv-emulated", 512, 100 },
		{ GOAL_uniform_calls_64x64, MAP_CALLS, "uniform-2048", "pv-emulated", 64, 100 },
		{ GOAL_storm1k_pv_rings_vs_direct, ACCESSES_VS_DIRECT, "rings", "pv", 64, 1000 },
		{ GOAL_storm1k_pv_scattered_vs_direct, ACCESSES_VS_DIRECT, "scattered", "pv", 64,
		  1000 },
		{ GOAL_storm1k_pv_runs_vs_direct, ACCESSES_VS_DIRECT, "runs", "pv", 64, 1000 },
		{ GOAL_storm1k_arm_rings_vs_direct, ACCESSES_VS_DIRECT, "rings", "arm", 64, 1000 },
	};
	int error = 0;

	for (unsigned int i = 0; i < sizeof(figures) / sizeof(figures[0]) && !error; i++) {
		struct virtual_storm storm = { .cost = virtual_cost_find(figures[i].cost),
					       .buckets = figures[i].buckets,
					       .processors = 1,
					       .warm_up = 40,
					       .epochs = 100,
					       .rate = figures[i].rate };
		struct virtual_result result = { 0 };

		error = virtual_load_run(virtual_load_find(figures[i].load), 1, &storm, &result);
		if (!error)
			goals_set(&bench->goals, figures[i].goal,
				  figure(figures[i].measured, &result));
	}
	return error ? scenario_error("vstorm", error) : 0;
}

static int vstorm_run(struct bench *bench)
{
	static const uint64_t fast[] = { 100, 1000 }, slow[] = { 20 };
	int error = 0;

	if (bench->quick)
		return run_goals(bench);
	for (unsigned int l = 0; l < virtual_loads_count && !error; l++) {
		const struct virtual_load *load = &virtual_loads[l];
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
