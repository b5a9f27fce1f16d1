/* SPDX-License-Identifier: MIT */
/*
 * policies: one storm under every way to map again, in turn. Each run has a cache of its own,
 * since what one policy leaves mapped is not where another one would start.
 */
#include <errno.h>
#include <stdlib.h>

#include <mapcache/mapcache.h>

#include "bench/clock.h"
#include "bench/policy.h"
#include "bench/statistics.h"
#include "bench/storm_run.h"

#define BUCKETS 64
#define WARM_UP_NS (60 * CLOCK_MILLISECOND)
#define MAX_POLICIES 48
/* A run that the machine disturbed is repeated, and counts when they all were. */
#define TRIES 3

struct policy_series {
	struct series rate, p999, maximum, calls, pages;
	unsigned int disturbed;
};

struct policies_case {
	uint64_t buckets;
	struct storm storm;
	struct policy_series series[MAX_POLICIES];
};

static uint64_t policies_buckets(const struct bench *bench)
{
	uint64_t asked = options_list_maximum(&bench->options.working_sets);

	return asked ? asked : BUCKETS;
}

/* Every page of the guest; the policy's buckets need not be the workload's. */
static int populate(const struct lineup_entry *entry, uint64_t bytes, uint32_t bucket_shift)
{
	uint64_t step = UINT64_C(1) << bucket_shift;
	int error = 0;

	for (uint64_t gpa = 0; gpa < bytes && !error; gpa += step)
		error = entry->contestant->touch(entry->thread, gpa, step);
	return error;
}

static void record(struct policy_series *series, const struct storm_result *result,
		   const struct mapcache_stats *before, const struct mapcache_stats *after)
{
	double sent = result->answers.count ? (double)result->answers.count : 1;

	series_add(&series->rate, result->accesses_per_second);
	series_add(&series->p999, (double)histogram_percentile(&result->all, 99.9));
	series_add(&series->maximum, (double)result->all.maximum);
	series_add(&series->calls, (double)(after->map_calls - before->map_calls) / sent);
	series_add(&series->pages, (double)(after->pages_mapped - before->pages_mapped) / sent);
	series->disturbed += storm_disturbed(result);
}

static int run_storm(const struct lineup_entry *entry, const struct policies_case *now,
		     struct storm_result *result, struct policy_series *series)
{
	struct mapcache_stats before = { .size = sizeof(before) }, after = before;
	struct mapcache *cache = entry->contestant->cache(entry->instance);
	struct storm warm_up = now->storm;
	int error;

	warm_up.duration_ns = WARM_UP_NS;
	error = storm_run(entry, &warm_up, result);
	for (unsigned int tries = 0; tries < TRIES && !error; tries++) {
		mapcache_stats(cache, &before);
		error = storm_run(entry, &now->storm, result);
		mapcache_stats(cache, &after);
		if (!storm_disturbed(result))
			break;
	}
	if (!error)
		record(series, result, &before, &after);
	return error;
}

static int run_policy(struct bench *bench, struct policies_case *now, const struct policy *policy,
		      struct policy_series *series)
{
	struct contestant_config config = lineup_config(bench, now->buckets);
	struct lineup_entry entry = { .contestant = &contestant_ours };
	struct storm_result *result = calloc(1, sizeof(*result));
	int error;

	if (!result)
		return -ENOMEM;
	policy_configure(policy, &config);
	error = entry.contestant->open(&config, &entry.instance);
	if (error)
		goto free_result;
	error = entry.contestant->thread_open(entry.instance, &entry.thread);
	if (error)
		goto close_cache;
	error = populate(&entry, config.guest_bytes, config.bucket_shift);
	if (!error)
		error = run_storm(&entry, now, result, series);
	entry.contestant->thread_close(entry.thread);
close_cache:
	entry.contestant->close(entry.instance);
free_result:
	free(result);
	return error;
}

static void report_one(struct bench *bench, const struct policies_case *now, const char *policy,
		       const char *metric, const char *unit, double value)
{
	struct report_row row = {
		.scenario = "policies",
		.contestant = policy,
		.variant = options_pattern_name(now->storm.shape.pattern),
		.buckets = now->buckets,
		.threads = now->storm.readers,
		.rate = (uint32_t)(CLOCK_SECOND / now->storm.period_ns),
		.metric = metric,
		.unit = unit,
		.value = value,
	};

	report_add(&bench->report, &row);
}

static void report(struct bench *bench, const struct policies_case *now)
{
	for (unsigned int i = 0; i < policies_count; i++) {
		const struct policy_series *series = &now->series[i];
		const char *name = policies[i].name;

		if (!series->rate.count)
			continue;
		report_one(bench, now, name, "accesses", "M/s", series_median(&series->rate) / 1e6);
		report_one(bench, now, name, "accesses_least", "M/s",
			   series_minimum(&series->rate) / 1e6);
		report_one(bench, now, name, "accesses_most", "M/s",
			   series_maximum(&series->rate) / 1e6);
		report_one(bench, now, name, "access_p99.9", "ns", series_median(&series->p999));
		report_one(bench, now, name, "access_max", "ns", series_median(&series->maximum));
		report_one(bench, now, name, "map_calls", "per epoch",
			   series_median(&series->calls));
		report_one(bench, now, name, "pages", "per epoch", series_median(&series->pages));
		report_one(bench, now, name, "disturbed", "runs", series->disturbed);
	}
}

static int run_case(struct bench *bench, struct policies_case *now)
{
	unsigned int rounds = scenario_rounds(bench, 3);
	int error = 0;

	for (unsigned int round = 0; round < rounds && !error; round++) {
		for (unsigned int turn = 0; turn < policies_count && !error; turn++) {
			/* Nobody is always the first, or always after the same one. */
			unsigned int i = (turn * 7 + round) % policies_count;

			if (!policy_wanted(&policies[i], bench->options.policies))
				continue;
			report_progress("policies: %s, round %u of %u: %s",
					options_pattern_name(now->storm.shape.pattern), round + 1,
					rounds, policies[i].name);
			error = run_policy(bench, now, &policies[i], &now->series[i]);
			if (error)
				scenario_error(policies[i].name, error);
		}
	}
	if (!error)
		report(bench, now);
	return error;
}

/* One case is what the command line says; bench/storms goes through many. */
static int policies_run(struct bench *bench)
{
	static const uint64_t rate_list[] = { 100 }, reader_list[] = { 1 };
	struct option_list rates = options_list(&bench->options.rates, 1, rate_list);
	struct option_list readers = options_list(&bench->options.threads, 1, reader_list);
	struct policies_case *now;
	int error = 0;

	for (unsigned int r = 0; r < rates.count && !error; r++) {
		for (unsigned int t = 0; t < readers.count && !error; t++) {
			now = calloc(1, sizeof(*now));
			if (!now)
				return scenario_error("policies", -ENOMEM);
			now->buckets = policies_buckets(bench);
			now->storm = (struct storm){
				.shape = measure_shape(bench, now->buckets),
				.readers = (unsigned int)readers.value[t],
				.period_ns = CLOCK_SECOND / rates.value[r],
				.duration_ns = scenario_duration_ns(bench, 500, 500),
			};
			now->storm.shape.pin_percent = bench->options.pinned_percent;
			error = run_case(bench, now);
			free(now);
		}
	}
	return error;
}

const struct scenario scenario_policies = {
	.name = "policies",
	.text = "a storm under other ways to map again, accesses/s",
	.buckets = policies_buckets,
	.run = policies_run,
};
