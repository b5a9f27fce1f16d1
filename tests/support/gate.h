/* SPDX-License-Identifier: MIT */
/*
 * A gate in the way of map calls on the simulated Xen: those that touch a frame stand still
 * before it, at their start or their end, until it is opened. One at a time; it is xensim's
 * map hook.
 */
#ifndef TESTS_SUPPORT_GATE_H
#define TESTS_SUPPORT_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t gfn;
	bool end, closed;
	unsigned int stopped; /* calls that came to it */
};

#define GATE                                                                                       \
	{                                                                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER             \
	}

/* end: when the pages have been looked up and mapped, before the call returns. */
void gate_close(struct gate *gate, uint64_t gfn, bool end);
/* Until so many calls have come to it. */
void gate_wait(struct gate *gate, unsigned int calls);
void gate_open(struct gate *gate);

#endif
