/* SPDX-License-Identifier: MIT */
/*
 * footprint: what the library itself takes. Its own count is reported beside the growth of
 * the whole process' anonymous memory, which also holds what the simulator notes down.
 */
#include <errno.h>
#include <stdlib.h>

#include <mapcache/mapcache.h>

#include "bench/clock.h"
#include "bench/lineup.h"

#define MANY_CACHES 1000
#define HUGE_GUEST (UINT64_C(1) << 44)

static struct option_list sizes(const struct bench *bench)
{
	static const uint64_t full[] = { 64, 1024, 8192 }, quick[] = { 8192 };

	return bench->quick ? scenario_sizes(bench, 1, quick) : scenario_sizes(bench, 3, full);
}

static uint64_t footprint_buckets(const struct bench *bench)
{
	struct option_list list = sizes(bench);

	return options_list_maximum(&list);
}

static void report_one(struct bench *bench, const char *variant, uint64_t buckets,
		       const char *metric, const char *unit, double value)
{
	struct report_row row = {
		.scenario = "footprint",
		.contestant = "ours",
		.variant = variant,
		.buckets = buckets,
		.metric = metric,
		.unit = unit,
		.value = value,
	};

	report_add(&bench->report, &row);
}

static int run_size(struct bench *bench, uint64_t buckets)
{
	struct contestant_config config = lineup_config(bench, buckets);
	struct mapcache_stats stats = { .size = sizeof(stats) };
	uint64_t before = machine_anonymous_bytes(), after;
	struct lineup lineup = { 0 };
	struct lineup_entry *ours;
	int error = lineup_open(&lineup, bench, "ours", &config);

	if (error)
		return error;
	ours = lineup_find(&lineup, "ours");
	error = ours ? lineup_populate(ours, bench, buckets)
		     : scenario_error("only ours can do this", -ENOTSUP);
	if (error)
		goto out;
	error = mapcache_stats(ours->contestant->cache(ours->instance), &stats);
	after = machine_anonymous_bytes();
	if (error || stats.mapped_bytes < config.guest_bytes) {
		error = scenario_error("not all of it stayed mapped", error ? error : -ENOMEM);
		goto out;
	}
	report_one(bench, "library", buckets, "bytes_per_bucket", "bytes",
		   (double)stats.memory_bytes / (double)buckets);
	report_one(bench, "process", buckets, "bytes_per_bucket", "bytes",
		   after > before ? (double)(after - before) / (double)buckets : 0);
	if (buckets == 8192)
		goals_set(&bench->goals, GOAL_bytes_per_bucket,
			  (double)stats.memory_bytes / (double)buckets);
out:
	lineup_close(&lineup);
	return error;
}

/* How a guest space that is hardly used costs hardly anything. */
static int run_huge(struct bench *bench)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	struct mapcache_options options = {
		.size = sizeof(options),
		.domid = bench->guest.domid,
		.guest_limit = HUGE_GUEST,
	};
	uint64_t before = machine_anonymous_bytes(), after, begin = clock_now();
	struct mapcache *cache;
	int error = mapcache_open(&options, &cache);

	if (error)
		return scenario_error("a cache for 16 TiB", error);
	report_one(bench, "16_TiB", 0, "open", "us", (double)(clock_now() - begin) / 1000);
	mapcache_stats(cache, &stats);
	after = machine_anonymous_bytes();
	report_one(bench, "16_TiB", 0, "library", "KiB", (double)stats.memory_bytes / 1024);
	report_one(bench, "16_TiB", 0, "process", "KiB",
		   after > before ? (double)(after - before) / 1024 : 0);
	return mapcache_close(cache);
}

static void close_many(struct mapcache **caches, unsigned int count)
{
	while (count)
		mapcache_close(caches[--count]);
	free(caches);
}

/* Many caches in one process, small ones, without threads of their own. */
static int run_many(struct bench *bench)
{
	struct mapcache_options options = {
		.size = sizeof(options),
		.domid = bench->guest.domid,
		.flags = MAPCACHE_NO_RECLAIM_THREAD,
		.stripes = 1,
		.max_bytes = 64 * scenario_bucket_bytes(bench),
		.guest_limit = UINT64_C(1) << 32,
	};
	struct mapcache **caches = calloc(MANY_CACHES, sizeof(*caches));
	uint64_t before = machine_anonymous_bytes(), after, begin = clock_now(), end;
	unsigned int count = 0;
	int error = 0;

	if (!caches)
		return scenario_error("footprint", -ENOMEM);
	while (count < MANY_CACHES && !(error = mapcache_open(&options, &caches[count])))
		count++;
	end = clock_now();
	after = machine_anonymous_bytes();
	close_many(caches, count);
	if (error)
		return scenario_error("one of 1000 caches", error);
	report_one(bench, "1000_caches", 0, "open", "us",
		   (double)(end - begin) / 1000 / MANY_CACHES);
	report_one(bench, "1000_caches", 0, "process", "KiB",
		   after > before ? (double)(after - before) / 1024 / MANY_CACHES : 0);
	return 0;
}

static int footprint_run(struct bench *bench)
{
	struct option_list list = sizes(bench);
	int error = 0;

	for (unsigned int i = 0; i < list.count && !error; i++) {
		report_progress("footprint: %llu buckets", (unsigned long long)list.value[i]);
		error = run_size(bench, list.value[i]);
	}
	if (bench->quick)
		return error;
	if (!error)
		error = run_huge(bench);
	return error ? error : run_many(bench);
}

const struct scenario scenario_footprint = {
	.name = "footprint",
	.text = "memory of the library itself",
	.buckets = footprint_buckets,
	.run = footprint_run,
};
