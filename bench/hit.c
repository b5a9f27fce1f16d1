/* SPDX-License-Identifier: MIT */
/* hit: a 4-byte access to memory that is mapped already. */
#include "bench/operations.h"

static struct option_list working_sets(const struct bench *bench)
{
	static const uint64_t full[] = { 1, 4, 16, 64, 256, 1024, 4096 };
	static const uint64_t quick[] = { 1, 64, 1024 };

	return bench->quick ? scenario_sizes(bench, 3, quick) : scenario_sizes(bench, 7, full);
}

static uint64_t hit_buckets(const struct bench *bench)
{
	struct option_list list = working_sets(bench);

	return options_list_maximum(&list);
}

static void compare(struct bench *bench, const struct operation_results *results, enum goal direct,
		    enum goal qemu)
{
	const struct series *ours = operations_series(results, "ours", 1);

	operations_ratio(bench, direct, ours, operations_series(results, "limit", 1));
	operations_ratio(bench, qemu, operations_series(results, "qemu", 1), ours);
}

static void conclude(struct bench *bench, const struct operation_results *results)
{
	const struct series *two = operations_series(results, "ours", 2);

	switch (results->buckets) {
	case 1:
		compare(bench, results, GOAL_hit_vs_direct_w1, GOAL_hit_vs_qemu_w1);
		operations_ratio(bench, GOAL_hit_scaling_2t, two,
				 operations_series(results, "ours", 1));
		break;
	case 64:
		compare(bench, results, GOAL_hit_vs_direct_w64, GOAL_hit_vs_qemu_w64);
		operations_ratio(bench, GOAL_hit_vs_qemu_2t_w64,
				 operations_series(results, "qemu", 2), two);
		break;
	case 1024:
		compare(bench, results, GOAL_hit_vs_direct_w1024, GOAL_hit_vs_qemu_w1024);
		break;
	}
}

static void conclude_refreshed(struct bench *bench, const struct operation_results *results)
{
	operations_ratio(bench, GOAL_hit_refreshed_vs_direct_w64,
			 operations_series(results, "ours", 1),
			 operations_series(results, "limit", 1));
}

/* What is asked for is no other case than this one. */
static bool wants_refreshed(const struct options *options)
{
	return !options->working_sets.count && !options->threads.count && !options->contestants &&
	       !options->pattern_given;
}

/* Buckets that are mapped in part: 4 neighbouring pages of each. */
static int refreshed_run(struct bench *bench, const struct operation_plan *hit)
{
	static const uint64_t buckets[] = { 64 }, threads[] = { 1 };
	struct operation_plan plan = *hit;

	plan.metric = "access_refreshed";
	plan.fastest_metric = "access_refreshed_fastest";
	plan.contestants = "limit,ours";
	plan.working_sets = options_list(&bench->options.working_sets, 1, buckets);
	plan.threads = options_list(&bench->options.threads, 1, threads);
	plan.pattern = PATTERN_RINGS;
	plan.refreshed = true;
	plan.conclude = conclude_refreshed;
	return operations_run(bench, &plan);
}

static int hit_run(struct bench *bench)
{
	static const uint64_t threads[] = { 1, 2 };
	struct operation_plan plan = {
		.scenario = "hit",
		.metric = "access",
		.fastest_metric = "access_fastest",
		.operation = bench->options.write_percent ? OPERATION_MIXED : OPERATION_READ,
		.contestants = bench->quick ? "limit,ours,qemu" : "limit,ours,striped,qemu,demu",
		.working_sets = working_sets(bench),
		.threads = options_list(&bench->options.threads, bench->machine.cpus > 1 ? 2 : 1,
					threads),
		.duration_ns = scenario_duration_ns(bench, 4, 10),
		.pattern = bench->options.pattern,
		.conclude = conclude,
	};
	int error = operations_run(bench, &plan);

	if (!error && wants_refreshed(&bench->options))
		error = refreshed_run(bench, &plan);
	return error;
}

const struct scenario scenario_hit = {
	.name = "hit",
	.text = "4-byte access to what is mapped, ns",
	.buckets = hit_buckets,
	.run = hit_run,
};
