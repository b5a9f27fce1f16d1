/* SPDX-License-Identifier: MIT */
/*
 * A pause after each of many unmaps in a row.
 *
 * Every unmap holds the kernel's mmap_lock of the process, and nothing makes a thread that lets
 * go of it wait for those who want it: they lose it to the next unmap. Whoever spins for it
 * needs a few microseconds of it being free, whoever sleeps the time to be woken. So after each
 * unmap the lock is left alone for a fraction of what the unmap took, and for longer when a
 * thread of the process has gone to sleep meanwhile: one that waits for the lock is woken by
 * every unmap and goes to sleep again when it came too late, so that none waits unseen.
 *
 * The thread that paces only. It blocks for some tens of microseconds.
 */
#include <sched.h>
#include <sys/resource.h>

#include "lib/base/base.h"
#include "lib/cache.h"
#include "lib/reclaim/reclaim.h"

#define PACE_SHARE 16 /* the pause is at least this part of what the unmap took */
#define PACE_SPIN_MIN_NS 2000
#define PACE_SPIN_MAX_NS 20000
#define PACE_SLEEP_NS 50000 /* until one that sleeps has been woken and has the lock */

/* Where it cannot be known, nobody ever sleeps. */
static long pace_sleeps(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) ? 0 : usage.ru_nvcsw;
}

void pace_begin(struct pace *pace)
{
	pace->sleeps = pace_sleeps();
	pace->since = clock_ns();
}

void pace_pause(struct pace *pace)
{
	uint64_t now = clock_ns(), until, spin = (now - pace->since) / PACE_SHARE;
	long sleeps = pace_sleeps();

	if (sleeps != pace->sleeps) {
		clock_sleep_ns(PACE_SLEEP_NS);
		pace_begin(pace);
		return;
	}
	if (spin < PACE_SPIN_MIN_NS)
		spin = PACE_SPIN_MIN_NS;
	else if (spin > PACE_SPIN_MAX_NS)
		spin = PACE_SPIN_MAX_NS;
	until = now + spin;
	/* Yielding: who has just been given the lock may be waiting for this CPU, too. */
	do
		sched_yield();
	while (clock_ns() < until);
	pace->since = clock_ns();
}
