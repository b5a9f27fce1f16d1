/* SPDX-License-Identifier: MIT */
/*
 * eager: libmapcache, but the answer to an INVALIDATE retires and unmaps everything that is
 * stale before it returns. What laziness buys is the difference to "ours".
 */
#include <sched.h>

#include "bench/ours.h"

static int eager_open(const struct contestant_config *config, void **instance)
{
	struct contestant_config own = *config;

	own.no_reclaim_thread = true;
	return ours_open(&own, instance);
}

static void eager_invalidate(void *instance)
{
	uint64_t before = UINT64_MAX, left;

	mapcache_invalidate(instance);
	/* A section that is still open keeps something: wait for it, but for pins do not. */
	for (unsigned int tries = 0; tries < 1000; tries++) {
		left = mapcache_reclaim(instance, UINT64_MAX);
		if (!left)
			return;
		if (left == before)
			sched_yield();
		before = left;
	}
}

/* The loops are the ones of "ours": the read side is the same code. */
static uint64_t eager_hit(struct contestant_thread *thread, const struct workload *workload,
			  uint64_t count)
{
	return contestant_ours.hit(thread, workload, count);
}

static uint64_t eager_mixed(struct contestant_thread *thread, const struct workload *workload,
			    uint64_t count)
{
	return contestant_ours.mixed(thread, workload, count);
}

static uint64_t eager_pin(struct contestant_thread *thread, const struct workload *workload,
			  uint64_t count)
{
	return contestant_ours.pin(thread, workload, count);
}

static void eager_storm(struct contestant_thread *thread, struct storm_reader *reader)
{
	contestant_ours.storm(thread, reader);
}

const struct contestant contestant_eager = {
	.name = "eager",
	.text = "libmapcache, unmapping everything before it answers",
	.open = eager_open,
	.close = ours_close,
	.thread_open = ours_thread_open,
	.thread_close = ours_thread_close,
	.hit = eager_hit,
	.mixed = eager_mixed,
	.pin = eager_pin,
	.storm = eager_storm,
	.touch = ours_touch,
	.hold = ours_hold,
	.release = ours_release,
	.invalidate = eager_invalidate,
	.cache = ours_cache,
};
