/* SPDX-License-Identifier: MIT */
/*
 * answer: INVALIDATE until it can be answered, by what is mapped. Ours is called once a
 * millisecond (cold) and back to back (hot) while a reader runs on another CPU, and everything
 * stays mapped in between. The others unmap before they answer: they are filled again before
 * each call, and have no reader that could hold their lock.
 */
#include <errno.h>
#include <string.h>

#include <mapcache/mapcache.h>

#include "bench/clock.h"
#include "bench/histogram.h"
#include "bench/lineup.h"
#include "bench/measure.h"
#include "bench/statistics.h"
#include "bench/team.h"

#define READ_BUCKETS 64
#define READ_CHUNK 256
#define HOT_CALLS 2000
#define KEEP_MS 3600000 /* nothing is reclaimed during a run */

struct answer_run {
	struct bench *bench;
	struct lineup lineup;
	struct lineup_entry *ours;
	uint64_t buckets;
	uint64_t period_ns;
	unsigned int samples;
	bool stop;
	int error;
	struct histogram cold, cold_all;
	double hot_ns;
	struct series cold_series, hot_series, others[LINEUP_MAX];
};

static struct option_list sizes(const struct bench *bench)
{
	static const uint64_t quick[] = { 1, 1024, 8192 };
	static const uint64_t full[] = { 1, 16, 128, 1024, 4096, 8192 };

	return bench->quick ? scenario_sizes(bench, 3, quick) : scenario_sizes(bench, 6, full);
}

static uint64_t answer_buckets(const struct bench *bench)
{
	struct option_list list = sizes(bench);

	return options_list_maximum(&list);
}

static void read_until_stopped(struct answer_run *run)
{
	const struct contestant *contestant = run->ours->contestant;
	struct workload_shape shape = measure_shape(
		run->bench, run->buckets < READ_BUCKETS ? run->buckets : READ_BUCKETS);
	struct contestant_thread *thread;
	struct workload workload;
	int error = workload_open(&workload, &shape);

	if (!error) {
		error = contestant->thread_open(run->ours->instance, &thread);
		while (!error && !__atomic_load_n(&run->stop, __ATOMIC_RELAXED)) {
			contestant->hit(thread, &workload, READ_CHUNK);
			if (thread->failures)
				error = -EFAULT;
		}
		if (!error || error == -EFAULT)
			contestant->thread_close(thread);
		workload_close(&workload);
	}
	run->error = error;
}

static void call_cold_and_hot(struct answer_run *run)
{
	const struct contestant *contestant = run->ours->contestant;
	uint64_t next = clock_now(), begin, end;

	histogram_reset(&run->cold);
	for (unsigned int i = 0; i < run->samples; i++) {
		next += run->period_ns;
		clock_sleep_until(next);
		begin = clock_now();
		contestant->invalidate(run->ours->instance);
		end = clock_now();
		histogram_record(&run->cold, end - begin);
	}
	begin = clock_now();
	for (unsigned int i = 0; i < HOT_CALLS; i++)
		contestant->invalidate(run->ours->instance);
	run->hot_ns = (double)(clock_now() - begin) / HOT_CALLS;
	__atomic_store_n(&run->stop, true, __ATOMIC_RELAXED);
}

static void member(struct team *team, unsigned int index, void *data)
{
	team_meet(team);
	if (index)
		call_cold_and_hot(data);
	else
		read_until_stopped(data);
}

/* That what was mapped before still is, but for what the reader had refreshed. */
static int check_mapped(struct answer_run *run)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	uint64_t expected = run->buckets > READ_BUCKETS ? run->buckets - READ_BUCKETS : 0;
	int error = mapcache_stats(run->ours->contestant->cache(run->ours->instance), &stats);

	if (!error && stats.mapped_bytes < expected * scenario_bucket_bytes(run->bench))
		error = -EIO;
	return error;
}

static int round_of_ours(struct answer_run *run)
{
	int error;

	run->stop = false;
	error = team_run(2, member, run);
	if (!error)
		error = run->error;
	if (!error)
		error = check_mapped(run);
	if (error)
		return scenario_error("ours", error);
	histogram_merge(&run->cold_all, &run->cold);
	series_add(&run->cold_series, (double)histogram_percentile(&run->cold, 50));
	series_add(&run->hot_series, run->hot_ns);
	return 0;
}

static int round_of_other(struct answer_run *run, unsigned int which)
{
	struct lineup_entry *entry = &run->lineup.entries[which];
	uint64_t begin;
	int error = lineup_populate(entry, run->bench, run->buckets);

	if (error)
		return error;
	begin = clock_now();
	entry->contestant->invalidate(entry->instance);
	series_add(&run->others[which], (double)(clock_now() - begin));
	return 0;
}

static void report_one(struct answer_run *run, const char *contestant, const char *metric,
		       double value)
{
	struct report_row row = {
		.scenario = "answer",
		.contestant = contestant,
		.variant = "all",
		.buckets = run->buckets,
		.metric = metric,
		.unit = "ns",
		.value = value,
	};

	report_add(&run->bench->report, &row);
}

static void report(struct answer_run *run)
{
	for (unsigned int i = 0; i < run->lineup.count; i++)
		if (&run->lineup.entries[i] != run->ours)
			report_one(run, run->lineup.entries[i].contestant->name, "answer",
				   series_median(&run->others[i]));
	if (!run->ours)
		return;
	report_one(run, "ours", "answer", series_median(&run->cold_series));
	report_one(run, "ours", "answer_p99", (double)histogram_percentile(&run->cold_all, 99));
	report_one(run, "ours", "answer_max", (double)run->cold_all.maximum);
	report_one(run, "ours", "answer_hot", series_median(&run->hot_series));
}

static void conclude(struct answer_run *run)
{
	struct goals *goals = &run->bench->goals;
	struct lineup_entry *qemu = lineup_find(&run->lineup, "qemu");
	double ratio = 0;

	if (!run->ours)
		return;
	if (qemu)
		ratio = series_median_ratio(&run->others[qemu - run->lineup.entries],
					    &run->cold_series);
	switch (run->buckets) {
	case 1:
		goals_set(goals, GOAL_answer_ns_1, series_median(&run->cold_series));
		break;
	case 1024:
		goals_set(goals, GOAL_answer_ns_1024, series_median(&run->cold_series));
		goals_set(goals, GOAL_answer_hot_ns, series_median(&run->hot_series));
		if (qemu)
			goals_set(goals, GOAL_answer_vs_qemu_1024, ratio);
		break;
	case 8192:
		goals_set(goals, GOAL_answer_ns_8192, series_median(&run->cold_series));
		if (qemu)
			goals_set(goals, GOAL_answer_vs_qemu_8192, ratio);
		break;
	}
}

static int run_size(struct bench *bench, uint64_t buckets)
{
	struct contestant_config config = lineup_config(bench, buckets);
	unsigned int rounds = scenario_rounds(bench, 5);
	static struct answer_run run;
	int error;

	run = (struct answer_run){ .bench = bench,
				   .buckets = buckets,
				   .period_ns = CLOCK_MILLISECOND };
	run.samples = bench->quick ? 100 : 500;
	config.reclaim_ms = KEEP_MS;
	/* The stale budget is a quarter of it, and everything may be stale. */
	config.max_bytes = 8 * buckets * scenario_bucket_bytes(bench) + (UINT64_C(1) << 30);
	error = lineup_open(&run.lineup, bench,
			    bench->quick ? "ours,qemu" : "ours,striped,qemu,eager", &config);
	if (error)
		return error;
	run.ours = lineup_find(&run.lineup, "ours");
	if (run.ours)
		error = lineup_populate(run.ours, bench, buckets);
	for (unsigned int round = 0; round < rounds && !error; round++) {
		report_progress("answer: %llu buckets, round %u of %u", (unsigned long long)buckets,
				round + 1, rounds);
		if (run.ours)
			error = round_of_ours(&run);
		for (unsigned int i = 0; i < run.lineup.count && !error; i++)
			if (&run.lineup.entries[i] != run.ours)
				error = round_of_other(&run, i);
	}
	if (!error) {
		report(&run);
		conclude(&run);
	}
	lineup_close(&run.lineup);
	return error;
}

static int answer_run(struct bench *bench)
{
	struct option_list list = sizes(bench);
	int error = 0;

	for (unsigned int i = 0; i < list.count && !error; i++)
		error = run_size(bench, list.value[i]);
	return error;
}

const struct scenario scenario_answer = {
	.name = "answer",
	.text = "INVALIDATE until it can be answered, ns",
	.buckets = answer_buckets,
	.run = answer_run,
};
