/* SPDX-License-Identifier: MIT */
/*
 * A refresh in place maps what is asked for and may leave stale granules beside it (fill.c). No
 * section and no pin of that time is left, and none that came later was shown them: nobody has a
 * pointer there. But the bucket is in use, so that it is not retired, and they would stay for as
 * long as it is. Every one is a kernel mapping of its own (fill_in_place()).
 *
 * Most are mapped again soon. So the thread marks what is stale after each sweep, and unmaps
 * after the next what is marked still.
 */
#include "lib/index/index.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

/* Of one that is busy with us. Returns the bytes that are gone. */
static uint64_t trim_mapping(struct mapcache *cache, struct mapping *mapping, uint64_t granules)
{
	unsigned int shift = cache->settings.granule_shift;
	uint64_t gone = 0;

	while (granules) {
		struct run run = run_first(granules);
		uint64_t bytes = (uint64_t)run.count << shift;

		notify_mask(cache, mapping, run_mask(run), MAPCACHE_EVENT_REMOVING);
		if (mapping_release(cache, mapping, 1, run))
			break;
		granules &= ~run_mask(run);
		gone += bytes;
	}
	return gone;
}

/* What is to go, old ones only or all that are stale. */
static uint64_t trim_granules(const struct mapcache *cache, const struct mapping *mapping, bool old)
{
	uint64_t granules = mapping_stale(cache, mapping);

	return old ? mapping->detail ? granules & mapping->detail->old : 0 : granules;
}

/* From this one on, one that nobody else is busy with, or NULL. Lock held. */
static struct mapping *trim_find(struct mapcache *cache, struct mapping *mapping, bool old)
{
	while (mapping && (mapping->busy || !trim_granules(cache, mapping, old)))
		mapping = stripe_newer(mapping);
	return mapping;
}

static uint64_t trim_stripe(struct mapcache *cache, struct stripe *stripe, uint64_t budget,
			    bool old, bool paced)
{
	struct mapping *mapping, *next;
	uint64_t gone = 0, bytes = 1, rest;
	struct pace pace;

	pthread_mutex_lock(&stripe->lock);
	mapping = trim_find(cache, stripe->oldest, old);
	/* What cannot be unmapped now is left for the next time, and what a storm leaves meanwhile. */
	for (rest = stripe->count; mapping && rest && bytes && gone < budget; rest--) {
		mapping->busy = 1;
		pthread_mutex_unlock(&stripe->lock);
		if (paced)
			pace_begin(&pace);
		bytes = trim_mapping(cache, mapping, trim_granules(cache, mapping, old));
		gone += bytes;
		if (paced)
			pace_pause(&pace);
		pthread_mutex_lock(&stripe->lock);
		/* Busy, it has kept its place in the order: nothing before it is looked at twice. */
		next = stripe_newer(mapping);
		retired_settle(cache, stripe, mapping);
		mapping = trim_find(cache, next, old);
	}
	pthread_mutex_unlock(&stripe->lock);
	return gone;
}

uint64_t trim(struct mapcache *cache, uint64_t budget, bool old, bool paced)
{
	uint64_t gone = 0;

	for (uint32_t i = 0; i < cache->settings.stripes && gone < budget; i++)
		gone += trim_stripe(cache, stripe_at(cache, i), budget - gone, old, paced);
	return gone;
}

bool trim_mark(struct mapcache *cache)
{
	bool stale = false;

	for (uint32_t i = 0; i < cache->settings.stripes; i++) {
		struct stripe *stripe = stripe_at(cache, i);

		pthread_mutex_lock(&stripe->lock);
		for (struct mapping *mapping = stripe->oldest; mapping;
		     mapping = stripe_newer(mapping)) {
			uint64_t granules = mapping->busy ? 0 : mapping_stale(cache, mapping);

			/* What cannot be marked for want of memory is found stale the next time. */
			if (granules)
				(void)mapping_mark(cache, mapping, granules);
			stale |= granules != 0;
		}
		pthread_mutex_unlock(&stripe->lock);
	}
	return stale;
}
