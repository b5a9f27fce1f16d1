/* SPDX-License-Identifier: MIT */
/* reverse: from a pinned pointer back to its guest address, ns. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <mapcache/mapcache.h>

#include "bench/clock.h"
#include "bench/lineup.h"
#include "bench/random.h"
#include "bench/statistics.h"

#define POINTERS 4096 /* a power of two */

static struct option_list pin_counts(const struct bench *bench)
{
	static const uint64_t full[] = { 1, 64, 1024, 4096 }, quick[] = { 1024 };

	return bench->quick ? scenario_sizes(bench, 1, quick) : scenario_sizes(bench, 4, full);
}

static uint64_t reverse_buckets(const struct bench *bench)
{
	struct option_list list = pin_counts(bench);

	return options_list_maximum(&list);
}

/* Random addresses inside the pinned buckets. */
static char **draw_pointers(const struct bench *bench, void **pinned, uint64_t pins)
{
	char **pointers = malloc(POINTERS * sizeof(*pointers));
	uint64_t random = bench->options.seed, bytes = scenario_bucket_bytes(bench);

	for (uint64_t i = 0; pointers && i < POINTERS; i++)
		pointers[i] =
			(char *)pinned[random_below(&random, pins)] + random_below(&random, bytes);
	return pointers;
}

/* ns of one, or a negative value when one was not found. */
static double time_lookups(struct mapcache *cache, char *const *pointers, uint64_t count)
{
	uint64_t begin = clock_now(), gpa, sum = 0;
	volatile uint64_t sink;
	int failed = 0;

	for (uint64_t i = 0; i < count; i++) {
		failed |= mapcache_gpa(cache, pointers[i & (POINTERS - 1)], &gpa);
		sum += gpa;
	}
	sink = sum;
	(void)sink;
	return failed ? -1 : (double)(clock_now() - begin) / (double)count;
}

static int measure(struct bench *bench, struct lineup_entry *ours, char *const *pointers,
		   uint64_t pins)
{
	struct mapcache *cache = ours->contestant->cache(ours->instance);
	uint64_t count = scenario_duration_ns(bench, 10, 50) / 4;
	unsigned int rounds = scenario_rounds(bench, 7);
	struct series series = { 0 };

	time_lookups(cache, pointers, POINTERS);
	for (unsigned int round = 0; round < rounds; round++) {
		double ns = time_lookups(cache, pointers, count);

		if (ns < 0)
			return scenario_error("a pinned pointer was not found", -ENOENT);
		series_add(&series, ns);
	}
	report_add(&bench->report, &(struct report_row){ .scenario = "reverse",
							 .contestant = "ours",
							 .variant = "uniform",
							 .buckets = pins,
							 .threads = 1,
							 .metric = "pointer_to_gpa",
							 .unit = "ns",
							 .value = series_median(&series) });
	if (pins == 1024)
		goals_set(&bench->goals, GOAL_reverse_ns, series_median(&series));
	return 0;
}

static int run_pins(struct bench *bench, struct lineup_entry *ours, uint64_t pins)
{
	void **pinned = calloc(pins, sizeof(*pinned));
	char **pointers = NULL;
	int error;

	if (!pinned)
		return scenario_error("reverse", -ENOMEM);
	error = lineup_hold(ours, bench, pins, pinned);
	if (error)
		goto out;
	pointers = draw_pointers(bench, pinned, pins);
	error = pointers ? measure(bench, ours, pointers, pins) : -ENOMEM;
	lineup_release(ours, bench, pins, pinned);
out:
	free(pointers);
	free(pinned);
	return error;
}

static int reverse_run(struct bench *bench)
{
	struct option_list pins = pin_counts(bench);
	struct contestant_config config = lineup_config(bench, options_list_maximum(&pins));
	struct lineup lineup = { 0 };
	struct lineup_entry *ours;
	int error = lineup_open(&lineup, bench, "ours", &config);

	if (error)
		return error;
	ours = lineup_find(&lineup, "ours");
	if (!ours)
		error = scenario_error("only ours can do this", -ENOTSUP);
	for (unsigned int i = 0; i < pins.count && !error; i++)
		error = run_pins(bench, ours, pins.value[i]);
	lineup_close(&lineup);
	return error;
}

const struct scenario scenario_reverse = {
	.name = "reverse",
	.text = "pointer back to guest address, ns",
	.buckets = reverse_buckets,
	.run = reverse_run,
};
