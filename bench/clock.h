/* SPDX-License-Identifier: MIT */
/* The clock of all measurements. Its cost is measured and reported (machine.c). */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_SECOND UINT64_C(1000000000)
#define CLOCK_MILLISECOND UINT64_C(1000000)

static inline uint64_t clock_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * CLOCK_SECOND + (uint64_t)time.tv_nsec;
}

/* Absolute, so that a late wake-up does not shift the ones after it. */
static inline void clock_sleep_until(uint64_t when)
{
	struct timespec time = {
		.tv_sec = (time_t)(when / CLOCK_SECOND),
		.tv_nsec = (long)(when % CLOCK_SECOND),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL))
		;
}

#endif
