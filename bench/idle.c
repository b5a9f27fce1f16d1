/* SPDX-License-Identifier: MIT */
/* idle: what many caches cost while nobody uses them, each with a bucket mapped. */
#include <errno.h>
#include <stdlib.h>

#include "bench/clock.h"
#include "bench/lineup.h"

#define CACHES 200
/* Reclaim threads look ever more seldom until then. */
#define SETTLE_NS (1500 * CLOCK_MILLISECOND)

static uint64_t idle_buckets(const struct bench *bench)
{
	(void)bench;
	return 1;
}

static int open_caches(struct bench *bench, struct lineup *caches)
{
	struct contestant_config config = lineup_config(bench, 1);
	int error = 0;

	for (unsigned int i = 0; i < CACHES && !error; i++) {
		error = lineup_open(&caches[i], bench, "ours", &config);
		if (!error)
			error = lineup_populate(&caches[i].entries[0], bench, 1);
	}
	return error;
}

static void report_one(struct bench *bench, enum goal goal, const char *metric, const char *unit,
		       double value)
{
	struct report_row row = {
		.scenario = "idle",
		.contestant = "ours",
		.variant = "200_caches",
		.buckets = 1,
		.metric = metric,
		.unit = unit,
		.value = value,
	};

	report_add(&bench->report, &row);
	goals_set(&bench->goals, goal, value);
}

/* Whole seconds, at which looks of all caches are due. This thread sleeps once. */
static void measure(struct bench *bench)
{
	uint64_t sleeps, begin;
	double cpu, seconds;

	clock_sleep_until(clock_now() + SETTLE_NS);
	sleeps = machine_sleeps();
	cpu = machine_load().own;
	begin = clock_now();
	clock_sleep_until(begin + scenario_duration_ns(bench, 3000, 10000));
	cpu = machine_load().own - cpu;
	sleeps = machine_sleeps() - sleeps;
	seconds = (double)(clock_now() - begin) / 1e9;
	report_one(bench, GOAL_idle_wakeups_200, "wakeups", "per s", (double)sleeps / seconds);
	report_one(bench, GOAL_idle_cpu_200, "cpu", "%", 100 * cpu / seconds);
}

static int idle_run(struct bench *bench)
{
	struct lineup *caches = calloc(CACHES, sizeof(*caches));
	int error;

	if (!caches)
		return scenario_error("idle", -ENOMEM);
	report_progress("idle: %u caches", CACHES);
	error = open_caches(bench, caches);
	if (!error)
		measure(bench);
	for (unsigned int i = 0; i < CACHES; i++)
		lineup_close(&caches[i]);
	free(caches);
	return error;
}

const struct scenario scenario_idle = {
	.name = "idle",
	.text = "wake-ups and processor time of 200 caches that nobody uses",
	.buckets = idle_buckets,
	.run = idle_run,
};
