/* SPDX-License-Identifier: MIT */
/* pin: pin and unpin of what is mapped and stays so. */
#include "bench/operations.h"

static struct option_list working_sets(const struct bench *bench)
{
	static const uint64_t full[] = { 1, 64, 1024 };
	static const uint64_t quick[] = { 1, 64 };

	return bench->quick ? scenario_sizes(bench, 2, quick) : scenario_sizes(bench, 3, full);
}

static uint64_t pin_buckets(const struct bench *bench)
{
	struct option_list list = working_sets(bench);

	return options_list_maximum(&list);
}

static void conclude(struct bench *bench, const struct operation_results *results)
{
	const struct series *ours = operations_series(results, "ours", 1);

	if (results->buckets == 1)
		operations_ratio(bench, GOAL_pin_scaling_2t, operations_series(results, "ours", 2),
				 ours);
	if (results->buckets == 64)
		operations_ratio(bench, GOAL_pin_vs_qemu, operations_series(results, "qemu", 1),
				 ours);
}

static int pin_run(struct bench *bench)
{
	static const uint64_t threads[] = { 1, 2 };
	struct operation_plan plan = {
		.scenario = "pin",
		.metric = "pin_unpin",
		.fastest_metric = "pin_unpin_fastest",
		.operation = OPERATION_PIN,
		.contestants = bench->quick ? "ours,qemu" : "ours,striped,qemu",
		.working_sets = working_sets(bench),
		.threads = options_list(&bench->options.threads, bench->machine.cpus > 1 ? 2 : 1,
					threads),
		.duration_ns = scenario_duration_ns(bench, 4, 10),
		.pattern = bench->options.pattern,
		.keep_pinned = true,
		.conclude = conclude,
	};

	return operations_run(bench, &plan);
}

const struct scenario scenario_pin = {
	.name = "pin",
	.text = "pin and unpin of what is mapped, ns",
	.buckets = pin_buckets,
	.run = pin_run,
};
