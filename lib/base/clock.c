/* SPDX-License-Identifier: MIT */
#include "lib/base/base.h"
#include "lib/cache.h"

uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

void clock_sleep_ns(uint64_t ns)
{
	struct timespec time = { .tv_sec = (time_t)(ns / NS_PER_SECOND),
				 .tv_nsec = (long)(ns % NS_PER_SECOND) };

	nanosleep(&time, NULL);
}

int clock_condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;
	int error = -pthread_condattr_init(&attributes);

	if (error)
		return error;
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	error = -pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
	return error;
}
