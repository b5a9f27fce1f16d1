/* SPDX-License-Identifier: MIT */
/*
 * Grace periods. Retired mappings gather on a list; a tick of the grace clock and a barrier
 * later, every section that began after the tick cannot know them, so once no older one is
 * left they are nobody's but their pinners'. One tick is waited for at a time; what is
 * retired meanwhile waits for the next. Nothing here sleeps (J).
 */
#include "lib/base/base.h"
#include "lib/index/index.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"

void retired_push(struct mapcache *cache, struct mapping *mapping, uint64_t current)
{
	struct retired *retired = &cache->reclaim.retired;

	account_retire(cache, mapcache_load_relaxed(&mapping->epoch),
		       (uint64_t)__builtin_popcountll(current) << cache->settings.granule_shift);
	mapping_drop_detail(cache, mapping);
	mapping_set_state(mapping, MAPPING_RETIRED);
	pthread_mutex_lock(&retired->lock);
	mapping->next = retired->incoming;
	retired->incoming = mapping;
	mapcache_add_relaxed(&retired->pending, 1);
	mapcache_add_relaxed(&retired->count, 1);
	pthread_mutex_unlock(&retired->lock);
}

void retired_add(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping)
{
	stripe_remove(cache, stripe, mapping);
	mapping_unpublish(cache, mapping);
	retired_push(cache, mapping, mapping_current(cache, mapping));
}

void retired_settle(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping)
{
	mapping->busy = 0;
	if (mapping_doomed(mapping))
		retired_add(cache, stripe, mapping);
	pthread_cond_broadcast(&stripe->filled);
}

void retired_add_ready(struct mapcache *cache, struct mapping *mapping)
{
	pthread_mutex_lock(&cache->reclaim.retired.lock);
	mapping_set_state(mapping, MAPPING_RETIRED);
	mapping->next = cache->reclaim.retired.ready;
	cache->reclaim.retired.ready = mapping;
	pthread_mutex_unlock(&cache->reclaim.retired.lock);
}

struct mapping *retired_take_ready(struct mapcache *cache)
{
	struct mapping *mapping;

	pthread_mutex_lock(&cache->reclaim.retired.lock);
	mapping = cache->reclaim.retired.ready;
	if (mapping)
		cache->reclaim.retired.ready = mapping->next;
	pthread_mutex_unlock(&cache->reclaim.retired.lock);
	return mapping;
}

/* Each to the ready or the pinned ones. Nobody can pin them anew: their grace is over (B). */
static void retired_sort(struct mapcache *cache, struct mapping *list)
{
	struct retired *retired = &cache->reclaim.retired;
	struct mapping *next, **to;

	for (; list; list = next) {
		bool pinned = client_pins(cache, list) != 0;

		next = list->next;
		to = pinned ? &retired->pinned : &retired->ready;
		list->next = *to;
		*to = list;
		if (pinned)
			mapcache_add_relaxed(&retired->pinned_bytes, mapping_bytes(cache, list));
	}
}

void retired_check_pins(struct mapcache *cache)
{
	struct retired *retired = &cache->reclaim.retired;
	struct mapping *list;

	pthread_mutex_lock(&retired->lock);
	list = retired->pinned;
	retired->pinned = NULL;
	mapcache_store_relaxed(&retired->pinned_bytes, 0);
	retired_sort(cache, list);
	pthread_mutex_unlock(&retired->lock);
}

/* Start a grace period for what has come in. The lock is dropped for the barrier. */
static void retired_tick(struct mapcache *cache)
{
	struct retired *retired = &cache->reclaim.retired;
	bool done;

	if (!retired->waiting) {
		retired->waiting = retired->incoming;
		retired->incoming = NULL;
		retired->clock = epoch_advance(&cache->shared);
		mapcache_add_relaxed(&cache->reclaim.grace_periods, 1);
	}
	retired->barrier = BARRIER_RUNNING;
	pthread_mutex_unlock(&retired->lock);
	done = client_barrier(cache);
	pthread_mutex_lock(&retired->lock);
	retired->barrier = done ? BARRIER_DONE : BARRIER_NONE;
}

void retired_advance(struct mapcache *cache)
{
	struct retired *retired = &cache->reclaim.retired;
	struct mapping *list;
	bool stopped = false;

	pthread_mutex_lock(&retired->lock);
	/* Twice: what came in during the last grace period may be through the next at once. */
	for (int i = 0; i < 2; i++) {
		if (retired->barrier == BARRIER_NONE && (retired->waiting || retired->incoming))
			retired_tick(cache);
		if (retired->barrier != BARRIER_DONE)
			break;
		stopped = !client_sections_passed(
			cache, (struct epoch_condition){ .clock = retired->clock });
		if (stopped)
			break;
		list = retired->waiting;
		retired->waiting = NULL;
		for (struct mapping *each = list; each; each = each->next)
			mapcache_add_relaxed(&retired->pending, UINT64_MAX);
		retired->barrier = BARRIER_NONE;
		retired_sort(cache, list);
	}
	pthread_mutex_unlock(&retired->lock);
	/* It may tell the embedder: without a lock (G). */
	if (stopped)
		watch_sections(cache);
}

uint64_t retired_writable(struct mapcache *cache, struct mapping *mapping)
{
	uint64_t granules = 0;

	/* Whoever is to unmap it takes it off a list under this lock, once nobody pins it. */
	pthread_mutex_lock(&cache->reclaim.retired.lock);
	if (mapping_state(mapping) == MAPPING_RETIRED && client_pins(cache, mapping) &&
	    !mapping->read_only)
		granules = mapping->mapped;
	pthread_mutex_unlock(&cache->reclaim.retired.lock);
	return granules;
}

bool retired_empty(struct mapcache *cache)
{
	struct retired *retired = &cache->reclaim.retired;
	bool empty;

	pthread_mutex_lock(&retired->lock);
	empty = !retired->incoming && !retired->waiting && !retired->ready && !retired->pinned;
	pthread_mutex_unlock(&retired->lock);
	return empty;
}

uint64_t retired_pending(struct mapcache *cache)
{
	return mapcache_load_relaxed(&cache->reclaim.retired.pending);
}
