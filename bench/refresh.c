/* SPDX-License-Identifier: MIT */
/*
 * refresh: after an INVALIDATE, the first touch of one page of each bucket, until its pointer
 * is there; beside it, mapping and unmapping a bucket. The first pass finds buckets that had
 * been mapped whole, the others what the pass before them left.
 */
#include "bench/clock.h"
#include "bench/lineup.h"
#include "bench/random.h"
#include "bench/statistics.h"

#define BUCKETS 64

struct refresh_run {
	struct lineup lineup;
	struct lineup_entry *ours, *raw;
	struct series stale, whole, reference;
};

static uint64_t refresh_buckets(const struct bench *bench)
{
	(void)bench;
	return BUCKETS;
}

/* The mean of one touch in every bucket. */
static int pass(struct bench *bench, struct lineup_entry *entry, size_t len, struct series *series)
{
	uint64_t bytes = scenario_bucket_bytes(bench), begin = clock_now(), random, offset;
	int error;

	for (uint64_t bucket = 0; bucket < BUCKETS; bucket++) {
		random = bench->options.seed + bucket;
		offset = len == bytes ? 0 : random_below(&random, bytes >> 12) << 12;
		error = entry->contestant->touch(entry->thread, bucket * bytes + offset, len);
		if (error)
			return scenario_error(entry->contestant->name, error);
	}
	series_add(series, (double)(clock_now() - begin) / BUCKETS);
	return 0;
}

static int one_round(struct bench *bench, struct refresh_run *run, struct series *series)
{
	int error = pass(bench, run->raw, scenario_bucket_bytes(bench), &run->reference);

	if (error)
		return error;
	run->ours->contestant->invalidate(run->ours->instance);
	return pass(bench, run->ours, 4, series);
}

static int all_rounds(struct bench *bench, struct refresh_run *run)
{
	unsigned int rounds = scenario_rounds(bench, 15);
	struct series warm_up = { 0 };
	int error = lineup_populate(run->ours, bench, BUCKETS);

	if (!error)
		error = one_round(bench, run, &run->whole);
	for (unsigned int i = 0; i < 3 && !error; i++)
		error = one_round(bench, run, &warm_up);
	run->reference.count = 0;
	for (unsigned int round = 0; round < rounds && !error; round++) {
		report_progress("refresh: round %u of %u", round + 1, rounds);
		error = one_round(bench, run, &run->stale);
	}
	return error;
}

static void report(struct bench *bench, const char *contestant, const char *variant,
		   const struct series *series)
{
	struct report_row row = {
		.scenario = "refresh",
		.contestant = contestant,
		.variant = variant,
		.buckets = BUCKETS,
		.threads = 1,
		.metric = "touch",
		.unit = "us",
		.value = series_median(series) / 1000,
	};

	report_add(&bench->report, &row);
}

static int refresh_run(struct bench *bench)
{
	struct contestant_config config = lineup_config(bench, BUCKETS);
	struct refresh_run run = { 0 };
	int error;

	error = lineup_open(&run.lineup, bench, "raw,ours", &config);
	if (error)
		return error;
	run.ours = lineup_find(&run.lineup, "ours");
	run.raw = lineup_find(&run.lineup, "raw");
	if (run.ours && run.raw) {
		error = all_rounds(bench, &run);
		report(bench, "raw", "bucket", &run.reference);
		report(bench, "ours", "was_whole", &run.whole);
		report(bench, "ours", "was_page", &run.stale);
		goals_set(&bench->goals, GOAL_refresh_vs_raw,
			  series_median_ratio(&run.stale, &run.reference));
	} else {
		error = scenario_error("refresh compares ours with raw", -22);
	}
	lineup_close(&run.lineup);
	return error;
}

const struct scenario scenario_refresh = {
	.name = "refresh",
	.text = "first touch of a stale page, us",
	.buckets = refresh_buckets,
	.run = refresh_run,
};
