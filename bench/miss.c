/* SPDX-License-Identifier: MIT */
/*
 * miss: whole buckets touched in turn, four times as many as may stay mapped, so that every
 * touch maps one and gives another one up; beside it, mapping and unmapping without a cache.
 */
#include <errno.h>

#include "bench/clock.h"
#include "bench/histogram.h"
#include "bench/lineup.h"
#include "bench/statistics.h"

#define RESIDENT 64
#define TOUCHED (4 * RESIDENT)
#define TOUCHES 128 /* of one contestant in one round */

struct miss_run {
	struct lineup lineup;
	struct series mean[LINEUP_MAX];
	struct histogram histogram[LINEUP_MAX];
	uint64_t next[LINEUP_MAX];
};

static uint64_t miss_buckets(const struct bench *bench)
{
	(void)bench;
	return TOUCHED;
}

static int touch_some(struct bench *bench, struct miss_run *run, unsigned int which, uint64_t count)
{
	struct lineup_entry *entry = &run->lineup.entries[which];
	uint64_t bytes = scenario_bucket_bytes(bench), begin = clock_now(), now = begin, before;
	int error;

	for (uint64_t i = 0; i < count; i++) {
		before = now;
		error = entry->contestant->touch(entry->thread, run->next[which] * bytes, bytes);
		if (error)
			return scenario_error(entry->contestant->name, error);
		run->next[which] = (run->next[which] + 1) % TOUCHED;
		now = clock_now();
		histogram_record(&run->histogram[which], now - before);
	}
	series_add(&run->mean[which], (double)(now - begin) / (double)count);
	return 0;
}

static void report(struct bench *bench, struct miss_run *run)
{
	static const struct {
		const char *name;
		double percent;
	} percentiles[] = { { "p50", 50 }, { "p99", 99 }, { "p99.9", 99.9 }, { "max", 100 } };

	for (unsigned int i = 0; i < run->lineup.count; i++) {
		struct report_row row = {
			.scenario = "miss",
			.contestant = run->lineup.entries[i].contestant->name,
			.variant = "bucket",
			.buckets = TOUCHED,
			.threads = 1,
			.metric = "mean",
			.unit = "us",
			.value = series_median(&run->mean[i]) / 1000,
		};

		report_add(&bench->report, &row);
		for (unsigned int p = 0; p < 4; p++) {
			row.metric = percentiles[p].name;
			row.value = (double)histogram_percentile(&run->histogram[i],
								 percentiles[p].percent) /
				    1000;
			report_add(&bench->report, &row);
		}
	}
}

static void conclude(struct bench *bench, struct miss_run *run)
{
	struct lineup_entry *ours = lineup_find(&run->lineup, "ours");
	struct lineup_entry *raw = lineup_find(&run->lineup, "raw");

	if (ours && raw)
		goals_set(&bench->goals, GOAL_miss_vs_raw,
			  series_median_ratio(&run->mean[ours - run->lineup.entries],
					      &run->mean[raw - run->lineup.entries]));
}

static int miss_run(struct bench *bench)
{
	struct contestant_config config = lineup_config(bench, TOUCHED);
	unsigned int rounds = scenario_rounds(bench, bench->quick ? 9 : 25);
	static struct miss_run run;
	int error;

	run = (struct miss_run){ 0 };
	config.max_bytes = RESIDENT * scenario_bucket_bytes(bench);
	error = lineup_open(&run.lineup, bench, bench->quick ? "raw,ours" : "raw,ours,striped",
			    &config);
	if (error)
		return error;
	/* Fill it first, so that every measured touch gives something up. */
	for (unsigned int i = 0; i < run.lineup.count && !error; i++) {
		error = touch_some(bench, &run, i, TOUCHED);
		run.mean[i].count = 0;
		histogram_reset(&run.histogram[i]);
	}
	for (unsigned int round = 0; round < rounds && !error; round++) {
		report_progress("miss: round %u of %u", round + 1, rounds);
		for (unsigned int i = 0; i < run.lineup.count && !error; i++)
			error = touch_some(bench, &run, i, TOUCHES);
	}
	if (!error) {
		report(bench, &run);
		conclude(bench, &run);
	}
	lineup_close(&run.lineup);
	return error;
}

const struct scenario scenario_miss = {
	.name = "miss",
	.text = "a bucket mapped, another one given up for it, us",
	.buckets = miss_buckets,
	.run = miss_run,
};
