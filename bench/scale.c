/* SPDX-License-Identifier: MIT */
/*
 * scale: hits by the number of threads, more than there are CPUs included; the system call of
 * a grace period by the threads that run; and what idle clients that are only registered cost
 * an INVALIDATE and the refresh after it.
 */
#include <errno.h>
#include <stdlib.h>

#include <mapcache/mapcache.h>

#include "bench/barrier.h"
#include "bench/clock.h"
#include "bench/operations.h"

#define BUCKETS 64

static uint64_t scale_buckets(const struct bench *bench)
{
	uint64_t asked = options_list_maximum(&bench->options.working_sets);

	return asked > BUCKETS ? asked : BUCKETS;
}

static int run_threads(struct bench *bench)
{
	static const uint64_t threads[] = { 1, 2, 4, 8, 16, 64 }, buckets[] = { BUCKETS };
	struct operation_plan plan = {
		.scenario = "scale",
		.metric = "access",
		.fastest_metric = "access_fastest",
		.operation = bench->options.write_percent ? OPERATION_MIXED : OPERATION_READ,
		.contestants = "limit,ours,striped,qemu",
		.working_sets = options_list(&bench->options.working_sets, 1, buckets),
		.threads = options_list(&bench->options.threads, 6, threads),
		.duration_ns = scenario_duration_ns(bench, 5, 20),
		.pattern = bench->options.pattern,
	};

	return operations_run(bench, &plan);
}

static int open_clients(struct mapcache *cache, struct mapcache_client **clients,
			unsigned int count)
{
	int error = 0;

	for (unsigned int i = 0; i < count && !error; i++)
		error = mapcache_client_open(cache, &clients[i]);
	return error;
}

static void close_clients(struct mapcache_client **clients, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (clients[i])
			mapcache_client_close(clients[i]);
}

static void report_one(struct bench *bench, const char *variant, unsigned int threads,
		       const char *metric, const struct series *series)
{
	struct report_row row = {
		.scenario = "scale",
		.contestant = "ours",
		.variant = variant,
		.buckets = BUCKETS,
		.threads = threads,
		.metric = metric,
		.unit = "ns",
		.value = series_median(series),
	};

	report_add(&bench->report, &row);
}

/* An INVALIDATE, then one touch of each bucket: the first pays for the grace period. */
static int time_refresh(struct bench *bench, struct lineup_entry *ours, struct series *answer,
			struct series *first, struct series *others)
{
	uint64_t bytes = scenario_bucket_bytes(bench), begin = clock_now(), middle;
	int error;

	ours->contestant->invalidate(ours->instance);
	series_add(answer, (double)(clock_now() - begin));
	begin = clock_now();
	error = ours->contestant->touch(ours->thread, 0, 4);
	middle = clock_now();
	for (uint64_t i = 1; i < BUCKETS && !error; i++)
		error = ours->contestant->touch(ours->thread, i * bytes, 4);
	series_add(first, (double)(middle - begin));
	series_add(others, (double)(clock_now() - middle) / (BUCKETS - 1));
	return error ? scenario_error("refresh", error) : 0;
}

static int run_clients(struct bench *bench, struct lineup_entry *ours, unsigned int count)
{
	struct mapcache *cache = ours->contestant->cache(ours->instance);
	struct mapcache_client **clients = calloc(count, sizeof(*clients));
	struct series answer = { 0 }, first = { 0 }, others = { 0 };
	unsigned int rounds = scenario_rounds(bench, 25);
	int error;

	if (!clients)
		return scenario_error("clients", -ENOMEM);
	error = open_clients(cache, clients, count);
	if (error)
		scenario_error("clients", error);
	/* Three passes first, until the buckets are held in pages. */
	for (unsigned int round = 0; round < rounds + 3 && !error; round++) {
		error = time_refresh(bench, ours, &answer, &first, &others);
		if (round < 3)
			answer.count = first.count = others.count = 0;
	}
	if (!error) {
		report_one(bench, "idle", count, "answer", &answer);
		report_one(bench, "idle", count, "first_refresh", &first);
		report_one(bench, "idle", count, "other_refresh", &others);
	}
	close_clients(clients, count);
	free(clients);
	return error;
}

/* The system call of a grace period, by threads that run meanwhile and itself. */
static int run_barriers(struct bench *bench)
{
	static const unsigned int threads[] = { 1, 2, 4, 16, 64 };
	unsigned int rounds = scenario_rounds(bench, 9);
	double ns;
	int error = 0;

	for (unsigned int i = 0; i < 5 && !error; i++) {
		struct series series = { 0 };

		for (unsigned int round = 0; round < rounds && !error; round++) {
			error = barrier_measure(threads[i] - 1, &ns);
			series_add(&series, ns);
		}
		if (error)
			return scenario_error("membarrier", error);
		report_one(bench, "running", threads[i], "membarrier", &series);
	}
	return 0;
}

static int scale_run(struct bench *bench)
{
	static const unsigned int counts[] = { 1, 64, 1024 };
	struct contestant_config config = lineup_config(bench, BUCKETS);
	struct lineup lineup = { 0 };
	struct lineup_entry *ours;
	int error = run_threads(bench);

	if (!error)
		error = run_barriers(bench);
	if (error)
		return error;
	error = lineup_open(&lineup, bench, "ours", &config);
	ours = error ? NULL : lineup_find(&lineup, "ours");
	if (ours)
		error = lineup_populate(ours, bench, BUCKETS);
	for (unsigned int i = 0; i < 3 && !error && ours; i++)
		error = run_clients(bench, ours, counts[i]);
	lineup_close(&lineup);
	return error;
}

const struct scenario scenario_scale = {
	.name = "scale",
	.text = "hits by threads; what registered clients cost, ns",
	.buckets = scale_buckets,
	.run = scale_run,
};
