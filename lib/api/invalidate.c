/* SPDX-License-Identifier: MIT */
/* The answer to INVALIDATE, the same for a range, waiting for those who were before it, and giving a
 * range up at once. */
#include <errno.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/fill/fill.h"
#include "lib/index/index.h"
#include "lib/pins/pins.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

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

/* Buckets, both included. */
struct buckets {
	uint64_t first, last;
};

static struct buckets buckets_of(const struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	uint32_t shift = cache->settings.bucket_shift;

	return (struct buckets){ gpa >> shift, (gpa + len - 1) >> shift };
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

/* Those of a stripe. */
static void invalidate_stripe(struct mapcache *cache, struct stripe *stripe, struct buckets range)
{
	struct mapping *mapping, *next;

	pthread_mutex_lock(&stripe->lock);
	for (mapping = stripe->oldest; mapping; mapping = next) {
		uint64_t index = mapcache_load_relaxed(&mapping->index);

		next = stripe_newer(mapping);
		if (index >= range.first && index <= range.last)
			invalidate_mapping(cache, stripe, mapping);
	}
	pthread_mutex_unlock(&stripe->lock);
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

int mapcache_invalidate_range(struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	struct buckets range;
	uint32_t shift;

	if (!cache || len == 0)
		return -EINVAL;
	if (gpa + len - 1 < gpa)
		return -ERANGE;
	PROBE3(invalidate_range, cache, gpa, len);
	mapcache_add_relaxed(&cache->api.range_invalidates, 1);
	if (gpa >= cache->settings.guest_limit)
		return 0;
	if (len > cache->settings.guest_limit - gpa)
		len = cache->settings.guest_limit - gpa;
	range = buckets_of(cache, gpa, len);
	shift = cache->settings.bucket_shift;
	span_invalidate(cache, range.first << shift, (range.last - range.first + 1) << shift);
	batch_drop(cache, gpa, len);
	if (range.last - range.first < index_buckets(cache)) {
		for (uint64_t index = range.first; index <= range.last; index++)
			invalidate_bucket(cache, index);
	} else {
		for (uint32_t i = 0; i < cache->settings.stripes; i++)
			invalidate_stripe(cache, stripe_at(cache, i), range);
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

/* ---- for memory that somebody waits to have back ------------------------------------------- */

/* Whether a slot shows a part of the buckets, or is about to: of a span the end of one bucket and the
 * beginning of the next; of a list any, past its end what was on an earlier one. */
static bool unmap_shows(const struct mapcache *cache, const struct mapping *mapping,
			struct buckets range)
{
	bool listed = mapcache_load_relaxed(&mapping->index) & MAPPING_LISTED;
	uint64_t last = cache->settings.bucket_pages - 1;

	for (uint64_t page = 0; page <= last; page += listed || !last ? 1 : last) {
		uint64_t gpa = place_gpa(cache, mapping, page << PAGE_SHIFT);
		uint64_t bucket = gpa >> cache->settings.bucket_shift;

		if (bucket >= range.first && bucket <= range.last)
			return true;
	}
	return false;
}

/* Whether any slot does. One that did when the caller began keeps its state and its number until it
 * is unmapped, so it cannot be missed. */
static bool unmap_left(struct mapcache *cache, struct buckets range)
{
	uint64_t slots = space_slots(cache);
	bool left = false;

	for (uint64_t slot = 0; slot < slots && !left; slot++) {
		const struct mapping *mapping = mapping_at(cache, slot);

		left = mapping_state(mapping) != MAPPING_FREE && unmap_shows(cache, mapping, range);
	}
	return left;
}

static int unmap_try(struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	int error = mapcache_invalidate_range(cache, gpa, len);
	CANCEL_DEFERRED;

	if (error)
		return error;
	span_reclaim(cache, false);
	retired_check_pins(cache);
	retired_advance(cache);
	release(cache, UINT64_MAX, false);
	return 0;
}

int mapcache_unmap(struct mapcache *cache, uint64_t gpa, uint64_t len, int timeout_ms)
{
	struct clock_wait wait = { 0 };
	struct buckets range;
	int error;

	if (!cache || len == 0)
		return -EINVAL;
	if (client_in_section(cache))
		return -EDEADLK;
	range = buckets_of(cache, gpa, len);
	while (!(error = unmap_try(cache, gpa, len))) {
		if (!unmap_left(cache, range))
			return 0;
		if (!clock_wait(&wait, timeout_ms))
			return -ETIMEDOUT;
	}
	return error;
}
