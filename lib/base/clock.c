/* SPDX-License-Identifier: MIT */
#include "lib/base/base.h"
#include "lib/cache.h"

#define CLOCK_PAUSE_FIRST UINT64_C(5000) /* ns */
#define COST_GRANULES 8u                 /* of a call that tells what one takes */
#define CLOCK_PAUSE_MAX UINT64_C(640000)

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

bool clock_wait(struct clock_wait *wait, int timeout_ms)
{
	uint64_t now = clock_ns();

	if (!wait->start)
		*wait = (struct clock_wait){ .start = now, .pause = CLOCK_PAUSE_FIRST };
	if (timeout_ms >= 0 && now - wait->start >= (uint64_t)timeout_ms * NS_PER_MS)
		return false;
	clock_sleep_ns(wait->pause);
	if (wait->pause < CLOCK_PAUSE_MAX)
		wait->pause *= 2;
	return true;
}

/* The last few calls count; one that was held up does not count for much. */
static void cost_learn(mapcache_atomic_u64 *known, uint64_t ns)
{
	uint64_t before = mapcache_load_relaxed(known);

	if (!before)
		before = ns;
	ns = ns < 4 * before ? ns : 4 * before;
	mapcache_store_relaxed(known, before - before / 8 + ns / 8);
}

void cost_note(struct mapcache *cache, struct cost *cost, uint64_t granules, uint64_t ns)
{
	uint64_t little = mapcache_load_relaxed(&cost->little);

	if (granules == cache->settings.granules)
		cost_learn(&cost->whole, ns);
	else if (granules <= cache->settings.granules / 16 || granules == 1)
		cost_learn(&cost->little, ns);
	else if (granules >= COST_GRANULES)
		cost_learn(&cost->granule, ns > little ? (ns - little) / granules + 1 : 1);
}
