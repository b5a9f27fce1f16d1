/* SPDX-License-Identifier: MIT */
/*
 * Time for targets of one thread, instead of the clock of lib/base: it passes when somebody looks at the
 * clock, waits or gives way, and never otherwise. Nobody else could end what is waited for, so
 * nothing is missed by not waiting for it really; and an input does the same at each run.
 */
#include <string.h>
#include <unistd.h>
#include <lib/base/base.h>
#include <lib/cache.h>

#define LOOK_NS 50u
#define YIELD_NS 1000u

uint64_t __wrap_clock_ns(void);
void __wrap_clock_sleep_ns(uint64_t ns);
int __wrap_sched_yield(void);
int __wrap_mincore(void *address, size_t len, unsigned char *resident);

static uint64_t time_now = NS_PER_SECOND;

uint64_t __wrap_clock_ns(void)
{
	return time_now += LOOK_NS;
}

void __wrap_clock_sleep_ns(uint64_t ns)
{
	time_now += ns;
}

int __wrap_sched_yield(void)
{
	time_now += YIELD_NS;
	return 0;
}

/* Which pages are in memory is asked for a statistic that no target looks at. */
int __wrap_mincore(void *address, size_t len, unsigned char *resident)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)address;
	memset(resident, 1, (len + page - 1) / page);
	return 0;
}
