/* SPDX-License-Identifier: MIT */
/* The matrix of working sets x rounds x threads x contestants, contestants innermost. */
#include "bench/operations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int measure_cell(struct bench *bench, const struct operation_plan *plan,
			struct operation_results *results, unsigned int row, unsigned int column)
{
	struct measure measure = {
		.operation = plan->operation,
		.shape = measure_shape(bench, results->buckets),
		.threads = (unsigned int)results->threads.value[row],
		.duration_ns = plan->duration_ns,
	};
	double ns;
	int error;

	measure.shape.pattern = plan->pattern;
	error = measure_run(&results->lineup->entries[column], &measure, &ns);

	if (error)
		return scenario_error(results->lineup->entries[column].contestant->name, error);
	series_add(&results->series[row][column], ns);
	return 0;
}

static int measure_round(struct bench *bench, const struct operation_plan *plan,
			 struct operation_results *results)
{
	int error = 0;

	for (unsigned int row = 0; row < results->threads.count && !error; row++)
		for (unsigned int column = 0; column < results->lineup->count && !error; column++)
			error = measure_cell(bench, plan, results, row, column);
	return error;
}

/* A round that does not count maps again what is used. */
static int refresh(struct bench *bench, const struct operation_plan *plan,
		   struct operation_results *results)
{
	int error;

	for (unsigned int i = 0; i < results->lineup->count; i++) {
		struct lineup_entry *entry = &results->lineup->entries[i];

		entry->contestant->invalidate(entry->instance);
	}
	error = measure_round(bench, plan, results);
	memset(results->series, 0, sizeof(results->series));
	return error;
}

static void report_results(struct bench *bench, const struct operation_plan *plan,
			   const struct operation_results *results)
{
	for (unsigned int row = 0; row < results->threads.count; row++) {
		for (unsigned int column = 0; column < results->lineup->count; column++) {
			const struct series *series = &results->series[row][column];
			struct report_row out = {
				.scenario = plan->scenario,
				.contestant = results->lineup->entries[column].contestant->name,
				.variant = options_pattern_name(plan->pattern),
				.buckets = results->buckets,
				.threads = (uint32_t)results->threads.value[row],
				.metric = plan->metric,
				.unit = "ns",
				.value = series_median(series),
			};

			report_add(&bench->report, &out);
			out.metric = plan->fastest_metric;
			out.value = series_minimum(series);
			report_add(&bench->report, &out);
		}
	}
}

/* Pins of every entry, one array after the other; NULL without keep_pinned. */
static int hold_all(struct bench *bench, struct lineup *lineup, uint64_t buckets, void ***pointers)
{
	int error = 0;

	*pointers = calloc(buckets * lineup->count + 1, sizeof(**pointers));
	if (!*pointers)
		return -ENOMEM;
	for (unsigned int i = 0; i < lineup->count && !error; i++)
		if (!lineup->entries[i].contestant->keeps_no_pins)
			error = lineup_hold(&lineup->entries[i], bench, buckets,
					    *pointers + i * buckets);
	return error;
}

static void release_all(struct bench *bench, struct lineup *lineup, uint64_t buckets,
			void **pointers)
{
	for (unsigned int i = 0; i < lineup->count; i++)
		if (!lineup->entries[i].contestant->keeps_no_pins)
			lineup_release(&lineup->entries[i], bench, buckets, pointers + i * buckets);
	free(pointers);
}

static int prepare(struct bench *bench, const struct operation_plan *plan, struct lineup *lineup,
		   uint64_t buckets)
{
	struct contestant_config config = lineup_config(bench, buckets);
	int error;

	if (bench->options.resident_percent < 1000)
		config.max_bytes = config.guest_bytes * bench->options.resident_percent / 100;
	error = lineup_open(lineup, bench, plan->contestants, &config);
	for (unsigned int i = 0; i < lineup->count && !error; i++) {
		if (plan->operation == OPERATION_PIN &&
		    lineup->entries[i].contestant->keeps_no_pins)
			error = scenario_error("this contestant has no pins", -ENOTSUP);
		else
			error = lineup_populate(&lineup->entries[i], bench, buckets);
	}
	return error;
}

static int run_working_set(struct bench *bench, const struct operation_plan *plan, uint64_t buckets)
{
	uint64_t held = plan->keep_pinned ? buckets : buckets * bench->options.pinned_percent / 100;
	struct operation_results *results = calloc(1, sizeof(*results));
	unsigned int rounds = scenario_rounds(bench, bench->quick ? 15 : 11);
	struct lineup lineup = { 0 };
	void **pointers = NULL;
	int error;

	if (!results)
		return scenario_error("results", -ENOMEM);
	results->buckets = buckets;
	results->threads = plan->threads;
	results->lineup = &lineup;
	error = prepare(bench, plan, &lineup, buckets);
	if (!error)
		error = hold_all(bench, &lineup, held, &pointers);
	if (!error && plan->refreshed)
		error = refresh(bench, plan, results);
	for (unsigned int round = 0; round < rounds && !error; round++) {
		report_progress("%s: %llu buckets, round %u of %u", plan->scenario,
				(unsigned long long)buckets, round + 1, rounds);
		error = measure_round(bench, plan, results);
	}
	if (!error) {
		report_results(bench, plan, results);
		if (plan->conclude)
			plan->conclude(bench, results);
		release_all(bench, &lineup, held, pointers);
		pointers = NULL;
	}
	free(pointers);
	lineup_close(&lineup);
	free(results);
	return error;
}

int operations_run(struct bench *bench, const struct operation_plan *plan)
{
	int error = 0;

	for (unsigned int i = 0; i < plan->working_sets.count && !error; i++)
		error = run_working_set(bench, plan, plan->working_sets.value[i]);
	return error;
}

const struct series *operations_series(const struct operation_results *results,
				       const char *contestant, unsigned int threads)
{
	for (unsigned int row = 0; row < results->threads.count; row++) {
		if (results->threads.value[row] != threads)
			continue;
		for (unsigned int column = 0; column < results->lineup->count; column++)
			if (!strcmp(results->lineup->entries[column].contestant->name, contestant))
				return &results->series[row][column];
	}
	return NULL;
}

void operations_ratio(struct bench *bench, enum goal goal, const struct series *above,
		      const struct series *below)
{
	if (above && below && above->count && below->count)
		goals_set(&bench->goals, goal, series_median_ratio(above, below));
}
