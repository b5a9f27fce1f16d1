/* SPDX-License-Identifier: MIT */
/* quick and full: every scenario, and the figures with their goals. */
#include <string.h>

#include "bench/clock.h"
#include "bench/scenario.h"

static const struct scenario *const all[] = {
	&scenario_hit,    &scenario_pin,        &scenario_miss,    &scenario_refresh,
	&scenario_answer, &scenario_storm,      &scenario_release, &scenario_reverse,
	&scenario_dma,    &scenario_footprint,  &scenario_vstorm,  &scenario_idle,
	&scenario_budget, &scenario_throughput, &scenario_scale,
};
/* The last two give no figure that has a goal. */
#define ALL (sizeof(all) / sizeof(all[0]))
#define QUICK (ALL - 2)

static struct bench for_quick(const struct bench *bench)
{
	struct bench copy = *bench;

	copy.quick = true;
	return copy;
}

static uint64_t most_buckets(const struct bench *bench, unsigned int count)
{
	uint64_t most = 0, buckets;

	for (unsigned int i = 0; i < count; i++) {
		buckets = all[i]->buckets(bench);
		most = buckets > most ? buckets : most;
	}
	return most;
}

static uint64_t quick_buckets(const struct bench *bench)
{
	struct bench quick = for_quick(bench);

	return most_buckets(&quick, QUICK);
}

static uint64_t full_buckets(const struct bench *bench)
{
	return most_buckets(bench, ALL);
}

/* One that fails has said why; the others are measured all the same. */
static void run_scenarios(struct bench *bench, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		uint64_t begin = clock_now();

		(void)all[i]->run(bench);
		report_add(&bench->report,
			   &(struct report_row){ .scenario = all[i]->name,
						 .contestant = "all",
						 .variant = "all",
						 .metric = "took",
						 .unit = "s",
						 .value = (double)(clock_now() - begin) / 1e9 });
	}
	report_progress(NULL);
}

static int quick_run(struct bench *bench)
{
	bench->quick = true;
	bench->report.quiet = true;
	run_scenarios(bench, QUICK);
	return 0;
}

static int full_run(struct bench *bench)
{
	run_scenarios(bench, ALL);
	return 0;
}

const struct scenario scenario_quick = {
	.name = "quick",
	.text = "every figure that has a goal, in 45 s",
	.shrinks = true,
	.buckets = quick_buckets,
	.run = quick_run,
};

const struct scenario scenario_full = {
	.name = "full",
	.text = "everything, over the full ranges; takes many minutes",
	.shrinks = true,
	.buckets = full_buckets,
	.run = full_run,
};
