/* SPDX-License-Identifier: MIT */
/*
 * throughput: whole buckets mapped and given up per second, by threads that each walk through
 * buckets of their own, four times as many as may stay mapped.
 */
#include <errno.h>
#include <stdlib.h>

#include "bench/clock.h"
#include "bench/lineup.h"
#include "bench/statistics.h"
#include "bench/team.h"

#define RESIDENT 64
#define TOUCHED (4 * RESIDENT)

struct throughput_run {
	const struct bench *bench;
	const struct lineup_entry *entry;
	unsigned int threads;
	uint64_t duration_ns;
	uint64_t done;
	int error;
};

static uint64_t throughput_buckets(const struct bench *bench)
{
	(void)bench;
	return TOUCHED;
}

static void member(struct team *team, unsigned int index, void *data)
{
	struct throughput_run *run = data;
	const struct contestant *contestant = run->entry->contestant;
	uint64_t bytes = scenario_bucket_bytes(run->bench), own = TOUCHED / run->threads;
	uint64_t first = own * index, done = 0, end;
	struct contestant_thread *thread = NULL;
	int error = contestant->thread_open(run->entry->instance, &thread);

	team_meet(team);
	end = clock_now() + run->duration_ns;
	for (; !error && clock_now() < end; done += !error)
		error = contestant->touch(thread, (first + done % own) * bytes, bytes);
	if (thread)
		contestant->thread_close(thread);
	if (error)
		__atomic_store_n(&run->error, error, __ATOMIC_RELAXED);
	__atomic_fetch_add(&run->done, done, __ATOMIC_RELAXED);
}

static int measure(struct bench *bench, const struct lineup_entry *entry, unsigned int threads,
		   struct series *series)
{
	struct throughput_run run = { .bench = bench, .entry = entry, .threads = threads };
	int error;

	run.duration_ns = scenario_duration_ns(bench, 50, 200);
	error = team_run(threads, member, &run);
	if (!error)
		error = run.error;
	if (error)
		return scenario_error(entry->contestant->name, error);
	series_add(series, (double)run.done * 1e9 / (double)run.duration_ns);
	return 0;
}

static int measure_threads(struct bench *bench, struct lineup *lineup, unsigned int threads)
{
	unsigned int rounds = scenario_rounds(bench, 7);
	struct series series[LINEUP_MAX] = { 0 };
	int error = 0;

	for (unsigned int round = 0; round < rounds && !error; round++) {
		report_progress("throughput: %u threads, round %u of %u", threads, round + 1,
				rounds);
		for (unsigned int i = 0; i < lineup->count && !error; i++)
			error = measure(bench, &lineup->entries[i], threads, &series[i]);
	}
	for (unsigned int i = 0; i < lineup->count && !error; i++) {
		struct report_row row = {
			.scenario = "throughput",
			.contestant = lineup->entries[i].contestant->name,
			.variant = "bucket",
			.buckets = TOUCHED,
			.threads = threads,
			.metric = "map_unmap",
			.unit = "per s",
			.value = series_median(&series[i]),
		};

		report_add(&bench->report, &row);
	}
	return error;
}

static int throughput_run(struct bench *bench)
{
	static const uint64_t preferred[] = { 1, 2, 4 };
	struct option_list threads = options_list(&bench->options.threads, 3, preferred);
	struct contestant_config config = lineup_config(bench, TOUCHED);
	struct lineup lineup = { 0 };
	int error;

	config.max_bytes = RESIDENT * scenario_bucket_bytes(bench);
	error = lineup_open(&lineup, bench, "raw,ours,striped", &config);
	for (unsigned int i = 0; i < threads.count && !error; i++)
		error = measure_threads(bench, &lineup, (unsigned int)threads.value[i]);
	lineup_close(&lineup);
	return error;
}

const struct scenario scenario_throughput = {
	.name = "throughput",
	.text = "buckets mapped and given up per second",
	.buckets = throughput_buckets,
	.run = throughput_run,
};
