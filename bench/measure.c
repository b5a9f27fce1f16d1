/* SPDX-License-Identifier: MIT */
/* Timed runs: warm up, estimate, meet, run for about the time asked for. */
#include "bench/measure.h"

#include <errno.h>
#include <stdlib.h>

#include "bench/clock.h"
#include "bench/team.h"

/* Small enough to stay in the first cache, large enough that no predictor learns it. */
#define ADDRESSES 4096
#define WARM_UP 8192
/* A contestant for which these are many is warm sooner. */
#define WARM_UP_CHUNK 256
#define WARM_UP_NS (5 * CLOCK_MILLISECOND)

struct run {
	const struct lineup_entry *entry;
	const struct measure *measure;
	double *ns;
	int error;
};

typedef uint64_t (*timed_loop)(struct contestant_thread *thread, const struct workload *workload,
			       uint64_t count);

struct workload_shape measure_shape(const struct bench *bench, uint64_t buckets)
{
	struct workload_shape shape = {
		.buckets = buckets,
		.bucket_shift = bench->options.bucket_shift,
		.distribution = bench->options.distribution,
		.skew = bench->options.skew,
		.pattern = bench->options.pattern,
		.write_percent = bench->options.write_percent,
		.addresses = ADDRESSES,
		.seed = bench->options.seed,
	};

	return shape;
}

static timed_loop choose_loop(const struct contestant *contestant, enum operation operation)
{
	if (operation == OPERATION_PIN)
		return contestant->pin;
	return operation == OPERATION_MIXED ? contestant->mixed : contestant->hit;
}

static double time_loop(timed_loop loop, struct contestant_thread *thread,
			const struct workload *workload, uint64_t count)
{
	uint64_t begin = clock_now();
	volatile uint64_t sum = loop(thread, workload, count);

	(void)sum;
	return (double)(clock_now() - begin) / (double)count;
}

/* Returns what one operation is likely to take. */
static double warm_up(timed_loop loop, struct contestant_thread *thread,
		      const struct workload *workload)
{
	uint64_t begin = clock_now();
	double estimate = 0;

	for (unsigned int done = 0; done < WARM_UP && clock_now() - begin < WARM_UP_NS;
	     done += WARM_UP_CHUNK)
		estimate = time_loop(loop, thread, workload, WARM_UP_CHUNK);
	if (estimate * WARM_UP < WARM_UP_NS)
		estimate = time_loop(loop, thread, workload, WARM_UP);
	return estimate > 0.2 ? estimate : 0.2;
}

static void run_thread(struct team *team, unsigned int index, void *data)
{
	struct run *run = data;
	const struct contestant *contestant = run->entry->contestant;
	timed_loop loop = choose_loop(contestant, run->measure->operation);
	struct workload_shape shape = run->measure->shape;
	struct contestant_thread *thread = NULL;
	struct workload workload = { 0 };
	double estimate;
	int error;

	shape.stream = index;
	error = workload_open(&workload, &shape);
	if (!error)
		error = contestant->thread_open(run->entry->instance, &thread);
	if (error)
		__atomic_store_n(&run->error, error, __ATOMIC_RELAXED);
	team_meet(team);
	if (!__atomic_load_n(&run->error, __ATOMIC_RELAXED)) {
		estimate = warm_up(loop, thread, &workload);
		team_meet(team);
		run->ns[index] =
			time_loop(loop, thread, &workload,
				  (uint64_t)((double)run->measure->duration_ns / estimate) + 1);
		if (thread->failures)
			__atomic_store_n(&run->error, -EFAULT, __ATOMIC_RELAXED);
	}
	/* Nobody leaves while another one is still being timed. */
	team_meet(team);
	if (thread)
		contestant->thread_close(thread);
	workload_close(&workload);
}

int measure_run(const struct lineup_entry *entry, const struct measure *measure, double *ns)
{
	struct run run = { .entry = entry, .measure = measure };
	int error;

	run.ns = calloc(measure->threads, sizeof(*run.ns));
	if (!run.ns)
		return -ENOMEM;
	error = team_run(measure->threads, run_thread, &run);
	if (!error)
		error = run.error;
	*ns = 0;
	for (unsigned int i = 0; i < measure->threads; i++)
		*ns += run.ns[i] / measure->threads;
	free(run.ns);
	return error;
}
