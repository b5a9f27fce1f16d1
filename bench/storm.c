/* SPDX-License-Identifier: MIT */
/* storm: readers while the guest sends INVALIDATE at a rate; access patterns x rates. */
#include <errno.h>
#include <stdlib.h>

#include "bench/clock.h"
#include "bench/statistics.h"
#include "bench/storm_run.h"

#define BUCKETS 64
/* A run that the machine disturbed is repeated, and counts when they all were. */
#define TRIES 4
#define WARM_UP_NS (100 * CLOCK_MILLISECOND)

/* Per contestant, over rounds. */
struct storm_series {
	struct series rate, p50, p99, p999, hits_p999, answer_p50;
	double longest_ns;
	struct histogram all, answers, lateness;
	uint64_t behind;
	uint64_t elapsed_ns;
	unsigned int repeated; /* runs that were disturbed */
};

struct storm_case {
	enum pattern pattern;
	uint32_t rate;
	uint64_t buckets;
	unsigned int readers;
	uint64_t duration_ns;
	const char *contestants;
	struct lineup lineup;
	struct storm_series series[LINEUP_MAX];
};

static uint64_t storm_buckets(const struct bench *bench)
{
	return bench->options.working_sets.count
		       ? options_list_maximum(&bench->options.working_sets)
		       : BUCKETS;
}

static void record(struct storm_series *series, const struct storm_result *result)
{
	series_add(&series->rate, result->accesses_per_second);
	series_add(&series->p50, (double)histogram_percentile(&result->all, 50));
	series_add(&series->p99, (double)histogram_percentile(&result->all, 99));
	series_add(&series->p999, (double)histogram_percentile(&result->all, 99.9));
	series_add(&series->hits_p999, (double)histogram_percentile(&result->hits, 99.9));
	series_add(&series->answer_p50, (double)histogram_percentile(&result->answers, 50));
	histogram_merge(&series->all, &result->all);
	histogram_merge(&series->answers, &result->answers);
	histogram_merge(&series->lateness, &result->lateness);
	series->behind += result->behind;
	series->elapsed_ns += result->elapsed_ns;
	if ((double)result->all.maximum > series->longest_ns)
		series->longest_ns = (double)result->all.maximum;
}

static int one_run(struct bench *bench, struct storm_case *now, unsigned int which,
		   uint64_t duration_ns, bool keep)
{
	struct storm storm = {
		.shape = measure_shape(bench, now->buckets),
		.readers = now->readers,
		.period_ns = CLOCK_SECOND / now->rate,
		.duration_ns = duration_ns,
	};
	struct storm_result *result = calloc(1, sizeof(*result));
	int error = 0;

	if (!result)
		return scenario_error("storm", -ENOMEM);
	storm.shape.pattern = now->pattern;
	storm.shape.pin_percent = bench->options.pinned_percent;
	for (unsigned int tries = 0; tries < TRIES; tries++) {
		error = storm_run(&now->lineup.entries[which], &storm, result);
		if (error || !keep || !storm_disturbed(result))
			break;
		now->series[which].repeated++;
	}
	if (error)
		scenario_error(now->lineup.entries[which].contestant->name, error);
	else if (keep)
		record(&now->series[which], result);
	free(result);
	return error;
}

static void report_one(struct bench *bench, const struct storm_case *now, unsigned int which,
		       const char *metric, const char *unit, double value)
{
	struct report_row row = {
		.scenario = "storm",
		.contestant = now->lineup.entries[which].contestant->name,
		.variant = options_pattern_name(now->pattern),
		.buckets = now->buckets,
		.threads = now->readers,
		.rate = now->rate,
		.metric = metric,
		.unit = unit,
		.value = value,
	};

	report_add(&bench->report, &row);
}

static void report(struct bench *bench, const struct storm_case *now)
{
	for (unsigned int i = 0; i < now->lineup.count; i++) {
		const struct storm_series *series = &now->series[i];

		report_one(bench, now, i, "accesses", "M/s", series_median(&series->rate) / 1e6);
		report_one(bench, now, i, "access_p50", "ns", series_median(&series->p50));
		report_one(bench, now, i, "access_p99", "ns", series_median(&series->p99));
		report_one(bench, now, i, "access_p99.9", "ns", series_median(&series->p999));
		report_one(bench, now, i, "access_max", "ns", series->longest_ns);
		report_one(bench, now, i, "hit_p99.9", "ns", series_median(&series->hits_p999));
		report_one(bench, now, i, "answer_p50", "ns", series_median(&series->answer_p50));
		report_one(bench, now, i, "answer_max", "ns", (double)series->answers.maximum);
		report_one(bench, now, i, "answered_late_p99", "ns",
			   (double)histogram_percentile(&series->lateness, 99));
		report_one(bench, now, i, "answered_behind", "requests", (double)series->behind);
		report_one(bench, now, i, "disturbed", "runs", (double)series->repeated);
		/* Less than the rate: the design kept the others waiting. */
		report_one(bench, now, i, "answered", "per s",
			   (double)series->answers.count * 1e9 / (double)series->elapsed_ns);
	}
}

static const struct storm_series *find(struct storm_case *now, const char *name)
{
	struct lineup_entry *entry = lineup_find(&now->lineup, name);

	return entry ? &now->series[entry - now->lineup.entries] : NULL;
}

static void conclude(struct bench *bench, struct storm_case *now)
{
	const struct storm_series *ours = find(now, "ours"), *qemu = find(now, "qemu");
	const struct storm_series *limit = find(now, "limit");
	struct goals *goals = &bench->goals;

	if (!ours || now->buckets != BUCKETS || now->readers != 1)
		return;
	if (now->rate == 1000 && now->pattern == PATTERN_RINGS) {
		goals_set(goals, GOAL_storm_hits_p999_ns, series_median(&ours->hits_p999));
		if (qemu) {
			goals_set(goals, GOAL_storm_throughput_vs_qemu_rings,
				  series_median_ratio(&ours->rate, &qemu->rate));
			goals_set(goals, GOAL_storm_p999_vs_qemu_rings,
				  series_median_ratio(&qemu->p999, &ours->p999));
		}
	}
	if (now->rate == 1000 && now->pattern == PATTERN_UNIFORM && qemu)
		goals_set(goals, GOAL_storm_throughput_vs_qemu_uniform,
			  series_median_ratio(&ours->rate, &qemu->rate));
	if (now->rate == 100 && now->pattern == PATTERN_RINGS && limit) {
		goals_set(goals, GOAL_storm100_vs_direct_rings,
			  series_median_ratio(&ours->rate, &limit->rate));
		/* Of all rounds: both had as much time for it, and the machine's own stalls. */
		if (limit->longest_ns > 0)
			goals_set(goals, GOAL_stall_vs_limit_100hz,
				  ours->longest_ns / limit->longest_ns);
	}
}

static int run_rounds(struct bench *bench, struct storm_case *now)
{
	unsigned int rounds = scenario_rounds(bench, 5);
	int error = 0;

	for (unsigned int i = 0; i < now->lineup.count && !error; i++) {
		error = lineup_populate(&now->lineup.entries[i], bench, now->buckets);
		if (!error)
			error = one_run(bench, now, i, WARM_UP_NS, false);
	}
	for (unsigned int round = 0; round < rounds && !error; round++) {
		report_progress("storm: %s at %u Hz, round %u of %u",
				options_pattern_name(now->pattern), now->rate, round + 1, rounds);
		for (unsigned int i = 0; i < now->lineup.count && !error; i++)
			error = one_run(bench, now, i, now->duration_ns, true);
	}
	return error;
}

static int run_case(struct bench *bench, const struct storm_case *wanted)
{
	struct contestant_config config = lineup_config(bench, wanted->buckets);
	struct storm_case *now = malloc(sizeof(*now));
	int error;

	if (!now)
		return scenario_error("storm", -ENOMEM);
	*now = *wanted;
	error = lineup_open(&now->lineup, bench, now->contestants, &config);
	if (!error)
		error = run_rounds(bench, now);
	if (!error) {
		report(bench, now);
		conclude(bench, now);
	}
	lineup_close(&now->lineup);
	free(now);
	return error;
}

/* The three storms whose figures have goals. */
static int run_quick(struct bench *bench)
{
	struct storm_case now = { .buckets = BUCKETS,
				  .readers = 1,
				  .rate = 1000,
				  .pattern = PATTERN_RINGS,
				  .contestants = "ours,qemu" };
	int error;

	now.duration_ns = scenario_duration_ns(bench, 150, 0);
	error = run_case(bench, &now);
	now.pattern = PATTERN_UNIFORM;
	if (!error)
		error = run_case(bench, &now);
	now.pattern = PATTERN_RINGS;
	now.rate = 100;
	now.contestants = "ours,limit";
	now.duration_ns = scenario_duration_ns(bench, 500, 0);
	return error ? error : run_case(bench, &now);
}

static int run_pattern(struct bench *bench, enum pattern pattern)
{
	static const uint64_t rate_list[] = { 10, 100, 1000, 10000 };
	static const uint64_t reader_list[] = { 1 }, bucket_list[] = { BUCKETS };
	struct option_list rates = options_list(&bench->options.rates, 4, rate_list);
	struct option_list readers = options_list(&bench->options.threads, 1, reader_list);
	struct option_list buckets = options_list(&bench->options.working_sets, 1, bucket_list);
	struct storm_case now = { .pattern = pattern,
				  .duration_ns = scenario_duration_ns(bench, 250, 400),
				  .contestants = "limit,ours,striped,qemu,demu,eager" };
	int error = 0;

	for (unsigned int b = 0; b < buckets.count; b++) {
		for (unsigned int t = 0; t < readers.count; t++) {
			for (unsigned int r = 0; r < rates.count && !error; r++) {
				now.buckets = buckets.value[b];
				now.readers = (unsigned int)readers.value[t];
				now.rate = (uint32_t)rates.value[r];
				error = run_case(bench, &now);
			}
		}
	}
	return error;
}

/* Half a minute of 100 Hz, in which no reader should stall for long. */
static int run_long(struct bench *bench)
{
	struct storm_case now = { .buckets = BUCKETS,
				  .readers = 1,
				  .rate = 100,
				  .pattern = PATTERN_RINGS,
				  .contestants = "ours,limit" };

	now.duration_ns = scenario_duration_ns(bench, 500, 6000);
	return run_case(bench, &now);
}

static int storm_scenario(struct bench *bench)
{
	static const enum pattern all[] = { PATTERN_UNIFORM, PATTERN_SCATTERED, PATTERN_RUNS,
					    PATTERN_RINGS };
	int error = 0;

	if (bench->quick)
		return run_quick(bench);
	if (bench->options.pattern_given)
		return run_pattern(bench, bench->options.pattern);
	for (unsigned int i = 0; i < 4 && !error; i++)
		error = run_pattern(bench, all[i]);
	if (!error && !bench->options.rates.count && !bench->options.threads.count)
		error = run_long(bench);
	return error;
}

const struct scenario scenario_storm = {
	.name = "storm",
	.text = "readers while INVALIDATE comes at a rate, accesses/s and ns",
	.buckets = storm_buckets,
	.run = storm_scenario,
};
