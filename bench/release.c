/* SPDX-License-Identifier: MIT */
/*
 * release: after an INVALIDATE with nobody reading, the time from the first to the last
 * release of a stale mapping, over unmapping as many in a plain loop; and what another thread
 * that maps and unmaps a page of its own sees meanwhile.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#include "bench/backend_base.h"
#include "bench/backend_timed.h"
#include "bench/bystander.h"
#include "bench/clock.h"
#include "bench/lineup.h"
#include "bench/statistics.h"

#define TIMEOUT_NS (60 * CLOCK_SECOND)
#define IDLE_NS (50 * CLOCK_MILLISECOND)

struct release_run {
	struct bench *bench;
	uint64_t buckets;
	struct lineup lineup;
	struct series plain, ours, eager;
	uint64_t calls; /* that ours made the last time */
	struct histogram beside_ours, beside_eager, beside_nothing;
};

static struct option_list sizes(const struct bench *bench)
{
	static const uint64_t full[] = { 64, 256, 1024, 4096 }, quick[] = { 1024 };

	return bench->quick ? scenario_sizes(bench, 1, quick) : scenario_sizes(bench, 4, full);
}

static uint64_t release_buckets(const struct bench *bench)
{
	struct option_list list = sizes(bench);

	return options_list_maximum(&list);
}

static void unmap_all(void *state, void **base, uint64_t count, size_t pages)
{
	for (uint64_t i = 0; i < count; i++)
		if (base[i])
			backend_base.unmap(state, base[i], pages, 0);
}

/* As many mappings made and unmapped one after the other. */
static int plain_loop(struct release_run *run)
{
	size_t pages = scenario_bucket_bytes(run->bench) >> 12;
	int *errors = calloc(pages, sizeof(*errors)), result = 0;
	void **base = calloc(run->buckets, sizeof(*base)), *state = NULL;
	uint64_t begin;

	if (!errors || !base)
		result = -ENOMEM;
	else
		result = backend_base.open(NULL, run->bench->guest.domid, &state);
	if (result)
		goto out;
	for (uint64_t i = 0; i < run->buckets && !result; i++) {
		base[i] = backend_base.map(state, NULL, i * pages, pages, PROT_READ | PROT_WRITE,
					   errors);
		if (!base[i])
			result = -errno;
	}
	begin = clock_now();
	unmap_all(state, base, run->buckets, pages);
	series_add(&run->plain, (double)(clock_now() - begin));
	backend_base.close(state);
out:
	free(base);
	free(errors);
	return result ? scenario_error("plain loop", result) : 0;
}

/* Until nothing stale is mapped. */
static int await_reclaim(struct lineup_entry *entry)
{
	struct mapcache *cache = entry->contestant->cache(entry->instance);
	struct mapcache_stats stats = { .size = sizeof(stats) };
	uint64_t deadline = clock_now() + TIMEOUT_NS;
	int error;

	do {
		error = mapcache_stats(cache, &stats);
		if (error || !stats.stale_bytes)
			return error;
		clock_sleep_until(clock_now() + CLOCK_MILLISECOND);
	} while (clock_now() < deadline);
	return -ETIMEDOUT;
}

/* Fill, invalidate, wait. *times: of what was released by it. */
static int reclaim_once(struct release_run *run, struct lineup_entry *entry,
			struct backend_times *times)
{
	int error = lineup_populate(entry, run->bench, run->buckets);

	if (error)
		return error;
	backend_timed_reset();
	entry->contestant->invalidate(entry->instance);
	error = await_reclaim(entry);
	if (error)
		return scenario_error("stale mappings were not released", error);
	*times = backend_timed_read();
	if (times->pages < run->buckets * (scenario_bucket_bytes(run->bench) >> 12))
		return scenario_error("less was released than had been mapped", -EIO);
	return 0;
}

static int round_of(struct release_run *run, const char *name, struct series *series,
		    struct histogram *beside)
{
	struct lineup_entry *entry = lineup_find(&run->lineup, name);
	struct bystander *bystander;
	struct backend_times times = { 0 };
	int error;

	if (!entry)
		return 0;
	error = reclaim_once(run, entry, &times);
	if (error)
		return error;
	series_add(series, (double)(times.last_end - times.first_begin));
	if (series == &run->ours)
		run->calls = times.calls;
	/* Once more, with somebody beside it: they slow each other down. */
	error = bystander_start(&bystander);
	if (error)
		return scenario_error("bystander", error);
	error = reclaim_once(run, entry, &times);
	bystander_stop(bystander, times.first_begin, times.last_end, beside);
	return error;
}

/* What the machine itself does to somebody who maps and unmaps. */
static int round_of_nothing(struct release_run *run)
{
	struct bystander *bystander;
	uint64_t begin = clock_now(), end = begin + IDLE_NS;
	int error = bystander_start(&bystander);

	if (error)
		return scenario_error("bystander", error);
	clock_sleep_until(end);
	bystander_stop(bystander, begin, end, &run->beside_nothing);
	return 0;
}

static void report_one(struct release_run *run, const char *contestant, const char *metric,
		       const char *unit, double value)
{
	struct report_row row = {
		.scenario = "release",
		.contestant = contestant,
		.variant = "all",
		.buckets = run->buckets,
		.metric = metric,
		.unit = unit,
		.value = value,
	};

	report_add(&run->bench->report, &row);
}

static void report_beside(struct release_run *run, const char *contestant,
			  const struct histogram *beside)
{
	if (!beside->count)
		return;
	report_one(run, contestant, "bystander_p50", "us",
		   (double)histogram_percentile(beside, 50) / 1000);
	report_one(run, contestant, "bystander_p99", "us",
		   (double)histogram_percentile(beside, 99) / 1000);
	report_one(run, contestant, "bystander_max", "us", (double)beside->maximum / 1000);
}

static void report(struct release_run *run)
{
	report_one(run, "raw", "release", "ms", series_median(&run->plain) / 1e6);
	if (run->ours.count) {
		report_one(run, "ours", "release", "ms", series_median(&run->ours) / 1e6);
		report_one(run, "ours", "release_calls", "calls", (double)run->calls);
	}
	if (run->eager.count)
		report_one(run, "eager", "release", "ms", series_median(&run->eager) / 1e6);
	report_beside(run, "none", &run->beside_nothing);
	report_beside(run, "ours", &run->beside_ours);
	report_beside(run, "eager", &run->beside_eager);
	if (run->buckets != 1024 || !run->ours.count)
		return;
	goals_set(&run->bench->goals, GOAL_release_vs_raw_1024,
		  series_median_ratio(&run->ours, &run->plain));
	if (run->beside_ours.count)
		goals_set(&run->bench->goals, GOAL_bystander_p99_us,
			  (double)histogram_percentile(&run->beside_ours, 99) / 1000);
}

static int run_size(struct bench *bench, uint64_t buckets)
{
	struct contestant_config config = lineup_config(bench, buckets);
	unsigned int rounds = scenario_rounds(bench, 5);
	static struct release_run run;
	int error;

	run = (struct release_run){ .bench = bench, .buckets = buckets };
	config.backend = &backend_timed;
	error = lineup_open(&run.lineup, bench, bench->quick ? "ours" : "ours,eager", &config);
	for (unsigned int round = 0; round < rounds && !error; round++) {
		report_progress("release: %llu buckets, round %u of %u",
				(unsigned long long)buckets, round + 1, rounds);
		error = plain_loop(&run);
		if (!error)
			error = round_of_nothing(&run);
		if (!error)
			error = round_of(&run, "ours", &run.ours, &run.beside_ours);
		if (!error)
			error = round_of(&run, "eager", &run.eager, &run.beside_eager);
	}
	if (!error)
		report(&run);
	lineup_close(&run.lineup);
	return error;
}

static int release_run(struct bench *bench)
{
	struct option_list list = sizes(bench);
	int error = 0;

	for (unsigned int i = 0; i < list.count && !error; i++)
		error = run_size(bench, list.value[i]);
	return error;
}

const struct scenario scenario_release = {
	.name = "release",
	.text = "reclaim of what went stale, ms, and another thread meanwhile, us",
	.buckets = release_buckets,
	.run = release_run,
};
