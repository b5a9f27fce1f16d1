/* SPDX-License-Identifier: MIT */
/* A flag that one thread sets and another one waits for, with what was written before it. */
#ifndef TESTS_SUPPORT_FLAG_H
#define TESTS_SUPPORT_FLAG_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct flag {
	uint32_t value;
};

static inline void flag_set(struct flag *flag)
{
	__atomic_store_n(&flag->value, 1, __ATOMIC_RELEASE);
}

static inline bool flag_is_set(struct flag *flag)
{
	return __atomic_load_n(&flag->value, __ATOMIC_ACQUIRE) != 0;
}

static inline void flag_wait(struct flag *flag)
{
	while (!flag_is_set(flag))
		sched_yield();
}

#endif
