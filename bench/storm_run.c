/* SPDX-License-Identifier: MIT */
/*
 * The generator is due at fixed times and never waits for reclaim: what came due while the
 * request before it was still being answered is sent at once, so that every design has to
 * bear the same number of requests. An answer's lateness counts from when it was due.
 */
#include "bench/storm_run.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "bench/clock.h"
#include "bench/team.h"

#define ADDRESSES 65536
/* More than one part in so many overslept: timers alone make less than a tenth at 1 kHz. */
#define DISTURBED_PART 8

struct storm_state {
	const struct lineup_entry *entry;
	const struct storm *storm;
	struct storm_result *result;
	struct storm_reader *readers;
	uint64_t elapsed_ns;
	bool stop;
	int error;
};

static void generate(struct storm_state *state)
{
	const struct contestant *contestant = state->entry->contestant;
	struct storm_result *result = state->result;
	uint64_t period = state->storm->period_ns, start = clock_now(), due = start + period;
	uint64_t stop = start + state->storm->duration_ns, begin, end;

	/* 50 us of slack are the default, much at 1 kHz. */
	(void)prctl(PR_SET_TIMERSLACK, 1);
	for (; due < stop; due += period) {
		bool free = clock_now() < due;

		clock_sleep_until(due);
		begin = clock_now();
		if (free)
			result->overslept_ns += begin - due;
		if (begin >= stop)
			break;
		contestant->invalidate(state->entry->instance);
		end = clock_now();
		histogram_record(&result->answers, end - begin);
		histogram_record(&result->lateness, end - due);
		result->behind += end > due + period;
	}
	clock_sleep_until(stop);
	__atomic_store_n(&state->stop, true, __ATOMIC_RELAXED);
	state->elapsed_ns = clock_now() - start;
}

static void read_memory(struct storm_state *state, struct team *team, unsigned int index)
{
	const struct contestant *contestant = state->entry->contestant;
	struct workload_shape shape = state->storm->shape;
	struct storm_reader *reader = &state->readers[index];
	struct contestant_thread *thread = NULL;
	struct workload workload = { 0 };
	int error;

	shape.stream = index;
	shape.addresses = ADDRESSES;
	reader->workload = &workload;
	reader->stop = &state->stop;
	error = workload_open(&workload, &shape);
	if (!error)
		error = contestant->thread_open(state->entry->instance, &thread);
	team_meet(team);
	if (!error) {
		contestant->storm(thread, reader);
		if (thread->failures)
			error = -EFAULT;
		contestant->thread_close(thread);
	}
	if (error)
		__atomic_store_n(&state->error, error, __ATOMIC_RELAXED);
	workload_close(&workload);
}

static void member(struct team *team, unsigned int index, void *data)
{
	struct storm_state *state = data;

	if (index < state->storm->readers) {
		read_memory(state, team, index);
		return;
	}
	team_meet(team);
	generate(state);
}

bool storm_disturbed(const struct storm_result *result)
{
	return result->overslept_ns > result->elapsed_ns / DISTURBED_PART;
}

int storm_run(const struct lineup_entry *entry, const struct storm *storm,
	      struct storm_result *result)
{
	struct storm_state state = { .entry = entry, .storm = storm, .result = result };
	uint64_t accesses = 0;
	int error;

	*result = (struct storm_result){ 0 };
	if (storm->shape.pin_percent && entry->contestant->keeps_no_pins)
		return -ENOTSUP;
	state.readers = calloc(storm->readers, sizeof(*state.readers));
	if (!state.readers)
		return -ENOMEM;
	error = team_run(storm->readers + 1, member, &state);
	if (!error)
		error = state.error;
	for (unsigned int i = 0; i < storm->readers && !error; i++) {
		histogram_merge(&result->hits, &state.readers[i].hits);
		histogram_merge(&result->misses, &state.readers[i].misses);
		accesses += state.readers[i].accesses;
	}
	histogram_merge(&result->all, &result->hits);
	histogram_merge(&result->all, &result->misses);
	result->elapsed_ns = state.elapsed_ns;
	if (state.elapsed_ns)
		result->accesses_per_second = (double)accesses * 1e9 / (double)state.elapsed_ns;
	free(state.readers);
	return error;
}
