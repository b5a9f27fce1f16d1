/* SPDX-License-Identifier: MIT */
/*
 * When stale mappings go: by a look of the reclaim thread (thread.c), by mapcache_reclaim(), or
 * by the mapping path when there are too many.
 *
 * Generations: a look retires what is older than the epoch that the look before it has seen.
 * Nothing is remembered of single mappings, so that none is forgotten, whenever it was inserted;
 * and a storm keeps nothing that is cold, since epochs only grow.
 */
#include "lib/reclaim/reclaim.h"

#include <limits.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/index/index.h"

/* Mappings that the mapping path retires when too much is stale and too little on its way. */
#define RECLAIM_HELP 4

void reclaim_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	stats->evictions = mapcache_load_relaxed(&cache->reclaim.evictions);
	stats->grace_periods = mapcache_load_relaxed(&cache->reclaim.grace_periods);
	stats->pinned_stale_bytes += mapcache_load_relaxed(&cache->reclaim.retired.pinned_bytes);
}

void reclaim_others(struct mapcache *cache, uint64_t (*others)(struct mapcache *cache, bool room))
{
	cache->reclaim.others = others;
}

void reclaim_batches(struct mapcache *cache,
		     bool (*batches)(struct mapcache *cache, uint64_t epoch))
{
	cache->reclaim.batches = batches;
}

uint64_t reclaim_count_others(struct mapcache *cache, uint64_t slots)
{
	return mapcache_add_relaxed(&cache->reclaim.other_slots, slots) + slots;
}

/* Returns how many were retired, at most limit. */
static unsigned int reclaim_sweep_stripe(struct mapcache *cache, struct stripe *stripe,
					 uint64_t epoch, unsigned int limit)
{
	struct mapping *mapping, *next;
	unsigned int count = 0;

	pthread_mutex_lock(&stripe->lock);
	for (mapping = stripe->oldest; mapping && count < limit; mapping = next) {
		next = stripe_newer(mapping);
		if (!mapping->busy && mapcache_load_relaxed(&mapping->epoch) < epoch) {
			retired_add(cache, stripe, mapping);
			count++;
		}
	}
	pthread_mutex_unlock(&stripe->lock);
	return count;
}

bool reclaim_sweep(struct mapcache *cache, uint64_t epoch)
{
	bool found = cache->reclaim.batches(cache, epoch);

	for (uint32_t i = 0; i < cache->settings.stripes; i++)
		found |= reclaim_sweep_stripe(cache, stripe_at(cache, i), epoch, UINT_MAX) != 0;
	return found;
}

void reclaim_help(struct mapcache *cache)
{
	uint64_t bytes = UINT64_C(2) << cache->settings.bucket_shift;
	uint64_t known;
	unsigned int left = RECLAIM_HELP;

	if (mapcache_likely(account_stale(cache) <= cache->settings.stale_max))
		return;
	cache->reclaim.batches(cache, epoch_now(&cache->shared));
	retired_check_pins(cache);
	retired_advance(cache);
	release(cache, bytes, false);
	cache->reclaim.others(cache, false);
	/* Of the rest, what is retired only waits for sections or pins to end. */
	known = mapcache_load_relaxed(&cache->reclaim.retired.pinned_bytes) +
		(retired_pending(cache) << cache->settings.bucket_shift);
	if (account_stale(cache) <= cache->settings.stale_max + known)
		return;
	for (uint32_t i = 0; i < cache->settings.stripes && left; i++) {
		uint64_t turn = mapcache_add_relaxed(&cache->reclaim.help_stripe, 1);

		left -= reclaim_sweep_stripe(cache, stripe_at(cache, turn),
					     epoch_now(&cache->shared), left);
	}
	/* Nothing stale is in the index, but parts of what is current. */
	if (left == RECLAIM_HELP)
		trim(cache, bytes, false, false);
}

/* Of what is retired, as much as can go; released: what has gone already. Returns the bytes that
 * have gone by now. */
static uint64_t reclaim_release(struct mapcache *cache, uint64_t budget, uint64_t released)
{
	retired_check_pins(cache);
	retired_advance(cache);
	if (released < budget)
		released += release(cache, budget - released, true);
	released += cache->reclaim.others(cache, false);
	PROBE3(reclaim, cache, released, account_stale(cache));
	return released;
}

uint64_t mapcache_reclaim(struct mapcache *cache, uint64_t budget_bytes)
{
	CANCEL_DEFERRED;

	if (!cache)
		return 0;
	reclaim_sweep(cache, epoch_now(&cache->shared));
	reclaim_release(cache, budget_bytes, trim(cache, budget_bytes, false, true));
	return account_stale(cache);
}

bool reclaim_pass(struct mapcache *cache, uint64_t epoch)
{
	uint64_t trimmed;
	bool found;

	if (!account_stale(cache) && retired_empty(cache))
		return false;
	found = reclaim_sweep(cache, epoch);
	trimmed = trim(cache, UINT64_MAX, true, true);
	found |= trim_mark(cache);
	return reclaim_release(cache, UINT64_MAX, trimmed) || found;
}
