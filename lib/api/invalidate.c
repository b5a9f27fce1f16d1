/* SPDX-License-Identifier: MIT */
/* The answer to INVALIDATE, the same for a range, and waiting for those who were before it. */
#include <errno.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/fill/fill.h"
#include "lib/index/index.h"
#include "lib/pins/pins.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"

uint64_t mapcache_invalidate(struct mapcache *cache)
{
	uint64_t epoch = epoch_invalidate(&cache->shared);

	PROBE2(invalidate, cache, epoch);
	return epoch;
}

uint64_t mapcache_epoch(struct mapcache *cache)
{
	return epoch_now(&cache->shared);
}

/* A busy one is being mapped by somebody: its owner will not show it. Stripe lock held. */
static void invalidate_mapping(struct mapcache *cache, struct stripe *stripe,
			       struct mapping *mapping)
{
	if (!mapping->busy) {
		retired_add(cache, stripe, mapping);
		return;
	}
	mapping_doom(mapping);
	mapping_unpublish(cache, mapping);
}

static void invalidate_bucket(struct mapcache *cache, uint64_t index)
{
	struct stripe *stripe = stripe_of(cache, index);
	struct mapping *mapping;

	pthread_mutex_lock(&stripe->lock);
	mapping = stripe_find(cache, index);
	if (mapping)
		invalidate_mapping(cache, stripe, mapping);
	pthread_mutex_unlock(&stripe->lock);
}

static void invalidate_stripe(struct mapcache *cache, struct stripe *stripe, uint64_t first,
			      uint64_t last)
{
	struct mapping *mapping, *next;

	pthread_mutex_lock(&stripe->lock);
	for (mapping = stripe->oldest; mapping; mapping = next) {
		uint64_t index = mapcache_load_relaxed(&mapping->index);

		next = stripe_newer(mapping);
		if (index >= first && index <= last)
			invalidate_mapping(cache, stripe, mapping);
	}
	pthread_mutex_unlock(&stripe->lock);
}

int mapcache_invalidate_range(struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	uint64_t first, last, end;

	if (!cache || len == 0)
		return -EINVAL;
	if (gpa + len - 1 < gpa)
		return -ERANGE;
	PROBE3(invalidate_range, cache, gpa, len);
	mapcache_add_relaxed(&cache->api.range_invalidates, 1);
	if (gpa >= cache->settings.guest_limit)
		return 0;
	end = len < cache->settings.guest_limit - gpa ? gpa + len : cache->settings.guest_limit;
	first = gpa >> cache->settings.bucket_shift;
	last = (end - 1) >> cache->settings.bucket_shift;
	span_invalidate(cache, first << cache->settings.bucket_shift,
			(last - first + 1) << cache->settings.bucket_shift);
	batch_drop(cache, gpa, end - gpa);
	if (last - first < index_buckets(cache)) {
		for (uint64_t index = first; index <= last; index++)
			invalidate_bucket(cache, index);
	} else {
		for (uint32_t i = 0; i < cache->settings.stripes; i++)
			invalidate_stripe(cache, stripe_at(cache, i), first, last);
	}
	reclaim_wake(cache);
	return 0;
}

int mapcache_drain(struct mapcache *cache, uint64_t epoch, int timeout_ms, unsigned int flags)
{
	struct clock_wait wait = { 0 };

	if (!cache || (flags & ~MAPCACHE_DRAIN_PINS) || epoch > epoch_now(&cache->shared))
		return -EINVAL;
	if (client_in_section(cache))
		return -EDEADLK;
	/* Sections first: a pin is taken inside one, and a report is on its way before it ends. */
	while (!client_quiet(cache, epoch) || !report_over(cache, epoch, UINT64_MAX) ||
	       ((flags & MAPCACHE_DRAIN_PINS) && pins_held(cache, epoch))) {
		if (!clock_wait(&wait, timeout_ms))
			return -ETIMEDOUT;
	}
	return 0;
}
