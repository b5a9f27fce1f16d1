/* SPDX-License-Identifier: MIT */
/* budget: a guest touched in turn, bucket by bucket, by how much of it may stay mapped. Counts. */
#include <errno.h>

#include <mapcache/mapcache.h>

#include "bench/lineup.h"

#define BUCKETS 4096
#define PASSES 10

static struct option_list sizes(const struct bench *bench)
{
	static const uint64_t full[] = { 64, 256, 1024, BUCKETS }, quick[] = { BUCKETS };

	return bench->quick ? scenario_sizes(bench, 1, quick) : scenario_sizes(bench, 4, full);
}

static uint64_t budget_buckets(const struct bench *bench)
{
	struct option_list list = sizes(bench);

	return options_list_maximum(&list);
}

static void report_one(struct bench *bench, const char *variant, uint64_t buckets,
		       const char *metric, uint64_t value)
{
	struct report_row row = {
		.scenario = "budget",
		.contestant = "ours",
		.variant = variant,
		.buckets = buckets,
		.threads = 1,
		.metric = metric,
		.unit = "per pass",
		.value = (double)value / PASSES,
	};

	report_add(&bench->report, &row);
}

static int run_one(struct bench *bench, uint64_t buckets, uint64_t percent, const char *variant)
{
	struct contestant_config config = lineup_config(bench, buckets);
	struct mapcache_stats stats = { .size = sizeof(stats) };
	struct lineup lineup = { 0 };
	struct lineup_entry *ours = &lineup.entries[0];
	int error;

	config.max_bytes = config.guest_bytes * percent / 100;
	error = lineup_open(&lineup, bench, "ours", &config);
	for (unsigned int pass = 0; pass < PASSES && !error; pass++)
		error = lineup_populate(ours, bench, buckets);
	if (!error)
		error = mapcache_stats(ours->contestant->cache(ours->instance), &stats);
	if (!error) {
		report_one(bench, variant, buckets, "misses", stats.misses);
		report_one(bench, variant, buckets, "evictions", stats.evictions);
		if (buckets == BUCKETS && percent == 105)
			goals_set(&bench->goals, GOAL_evict_at_105, (double)stats.evictions);
	}
	lineup_close(&lineup);
	return error;
}

static int budget_run(struct bench *bench)
{
	static const struct {
		uint64_t percent;
		const char *variant;
		bool quick;
	} budgets[] = {
		{ 100, "100_%", false },
		{ 105, "105_%", true },
		{ 125, "125_%", false },
	};
	struct option_list list = sizes(bench);
	int error = 0;

	for (unsigned int i = 0; i < list.count; i++) {
		report_progress("budget: %llu buckets", (unsigned long long)list.value[i]);
		for (unsigned int b = 0; b < 3 && !error; b++)
			if (!bench->quick || budgets[b].quick)
				error = run_one(bench, list.value[i], budgets[b].percent,
						budgets[b].variant);
	}
	return error;
}

const struct scenario scenario_budget = {
	.name = "budget",
	.text = "evictions by max_bytes, 100 to 125 % of what is used",
	.buckets = budget_buckets,
	.run = budget_run,
};
