/* SPDX-License-Identifier: MIT */
/*
 * Room for one more mapping: a free slot, one whose grace period is over, or one made free by
 * evicting what was least recently used.
 *
 * Hits write nothing, so they cannot say what is in use. Instead the oldest mappings of a
 * stripe are put on probation: hidden from the table but left in the index. Whoever uses one
 * comes by the slow path once, which shows it again and makes it the newest. What is still on
 * probation when room is needed goes.
 *
 * An evicted mapping needs a grace period before its slot can be used again, and nobody may
 * wait for one inside a section (J). So evicting starts early: of the slots, one reserve is
 * for mappings on their way through a grace period, and one is free for those who need a slot
 * meanwhile. Only when that is used up, because a thread was preempted in its section, do
 * others wait, and not for long: they may be waiting for each other. Then there is the
 * client's spare slot, which no other client ever sees, so that it needs no grace period but
 * the end of the client's own section.
 */

#include <errno.h>
#include <sched.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/cache.h"
#include "lib/index/index.h"
#include "lib/protocol/protocol.h"
#include "lib/protocol/section.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

/* Sections are short, but their threads can be preempted. */
#define SLOT_WAIT_NS (2 * NS_PER_MS)
#define SLOT_YIELDS 50 /* before sleeping */
#define SLOT_PAUSE_NS UINT64_C(50000)
#define SLOT_EVICT_BATCH 16
#define NEIGHBOURS_WAIT_NS (4 * NS_PER_MS)
#define WAIT_ROUNDS 16 /* at least, however long the thread was kept from running */

bool slot_plenty(struct mapcache *cache)
{
	return arena_used(cache) + cache->settings.reserve < cache->settings.slots;
}

/* One in eight of a stripe, and at least one, wait on probation. */
static void slot_probate(struct mapcache *cache, struct stripe *stripe)
{
	uint64_t count = stripe->count / 8 + 1;
	struct mapping *mapping = stripe->oldest;

	for (; mapping && count; count--, mapping = stripe_newer(mapping)) {
		/* By itself: what stands beside it in memory is its owner's while it is busy. */
		if (!__atomic_load_n(&mapping->busy, __ATOMIC_RELAXED))
			mapping_unpublish(cache, mapping);
	}
}

/*
 * The stripe's least recently used mapping that nobody pins, or NULL. Those that are pinned are in
 * use: each becomes the newest, so that it is not passed over again by every search. Lock held.
 */
static struct mapping *slot_find_unpinned(struct mapcache *cache, struct stripe *stripe)
{
	struct mapping *mapping = stripe->oldest, *next;

	for (uint64_t left = stripe->count; mapping && left; left--, mapping = next) {
		next = stripe_newer(mapping);
		if (mapping->busy)
			continue;
		if (!client_pins(cache, mapping))
			return mapping;
		stripe_touch(stripe, mapping);
	}
	return NULL;
}

/* Retire it. */
static bool slot_evict_from(struct mapcache *cache, struct stripe *stripe)
{
	struct mapping *mapping;

	pthread_mutex_lock(&stripe->lock);
	mapping = slot_find_unpinned(cache, stripe);
	if (mapping) {
		PROBE2(evict, cache, mapping->index << cache->settings.bucket_shift);
		retired_add(cache, stripe, mapping);
		mapcache_add_relaxed(&cache->reclaim.evictions, 1);
		slot_probate(cache, stripe);
	}
	pthread_mutex_unlock(&stripe->lock);
	return mapping != NULL;
}

/* Retires up to a batch, round the stripes. Returns how many. */
static unsigned int slot_evict(struct mapcache *cache)
{
	uint64_t reserve = cache->settings.reserve;
	uint64_t batch = reserve < SLOT_EVICT_BATCH ? reserve : SLOT_EVICT_BATCH;
	unsigned int evicted = 0;

	for (uint32_t i = 0; i < cache->settings.stripes && evicted < batch; i++) {
		uint64_t turn = mapcache_add_relaxed(&cache->reclaim.evict_stripe, 1);

		if (slot_evict_from(cache, stripe_at(cache, turn)))
			evicted++;
	}
	return evicted;
}

/* Whether there are more mappings, contiguous ones included, than leave both reserves. */
static bool slot_crowded(struct mapcache *cache)
{
	uint64_t taken = index_buckets(cache) + mapcache_load_relaxed(&cache->reclaim.other_slots);

	return taken + 2 * cache->settings.reserve >= cache->settings.slots;
}

/*
 * Keep the reserve on its way. The grace period of what goes now begins now, so that it can be
 * over by the next look-up, whose section is a later one. Returns how many went.
 */
static unsigned int slot_make_room(struct mapcache *cache)
{
	unsigned int evicted = 0;

	retired_advance(cache);
	if (retired_pending(cache) < cache->settings.reserve)
		evicted = slot_evict(cache);
	if (evicted)
		retired_advance(cache);
	return evicted;
}

int slot_empty(struct mapcache *cache, struct mapping *mapping)
{
	notify_mask(cache, mapping, mapping->mapped, MAPCACHE_EVENT_REMOVING);
	return mapping_release(cache, mapping, 1, (struct run){ 0, cache->settings.granules });
}

/* Fewer kernel mappings before there are more: what is retired goes, and more is retired. */
static void slot_trim_vmas(struct mapcache *cache)
{
	if (mapcache_likely(!space_tight(cache)))
		return;
	retired_advance(cache);
	release(cache, (uint64_t)SLOT_EVICT_BATCH << cache->settings.bucket_shift, false);
	if (space_tight(cache) && retired_pending(cache) < SLOT_EVICT_BATCH && slot_evict(cache))
		retired_advance(cache);
}

/* A free slot, or a retired one that can be used again, emptied; or NULL. */
static struct mapping *slot_find(struct mapcache *cache)
{
	struct mapping *mapping = arena_take_run(cache, 1, 0);

	if (mapping)
		return mapping;
	retired_advance(cache);
	mapping = retired_take_ready(cache);
	if (!mapping || !mapping->mapped || !slot_empty(cache, mapping))
		return mapping;
	retired_add_ready(cache, mapping);
	return NULL;
}

/* One look for what a map call needs: kernel mappings and, unless it is NULL, a slot. */
static bool slot_look(struct mapcache *cache, struct mapping **slot)
{
	slot_trim_vmas(cache);
	if (!space_take(cache, false))
		return false;
	if (slot && !(*slot = slot_find(cache))) {
		space_untake(cache);
		return false;
	}
	return true;
}

int slot_room(struct mapcache *cache, struct mapping **slot)
{
	uint64_t since = 0;

	for (unsigned int round = 0;; round++) {
		unsigned int evicted = 0;
		bool coming;

		if (slot && slot_crowded(cache))
			evicted = slot_make_room(cache);
		/* Asked before the look: what comes meanwhile may be gone to others after it. */
		coming = evicted || retired_pending(cache);
		if (slot_look(cache, slot))
			return 0;
		/* Batches and contiguous mappings that nobody pins are kept only while there is room. */
		cache->reclaim.batches(cache, UINT64_MAX);
		if (cache->reclaim.others(cache, true))
			continue;
		retired_check_pins(cache);
		since = since ? since : clock_ns();
		/* Nothing to evict and nothing on its way: it is pinned. */
		if (round >= WAIT_ROUNDS && clock_ns() - since > SLOT_WAIT_NS)
			return coming ? -EAGAIN : -ENOMEM;
		if (round < SLOT_YIELDS)
			sched_yield();
		else
			clock_sleep_ns(SLOT_PAUSE_NS);
	}
}

struct mapping *slot_try(struct mapcache *cache)
{
	struct mapping *mapping;

	if (!slot_plenty(cache) || space_tight(cache) || !space_take(cache, false))
		return NULL;
	mapping = arena_take_run(cache, 1, 0);
	if (!mapping)
		space_untake(cache);
	return mapping;
}

/* ---- neighbours ------------------------------------------------------------------------------- */

/* Retire what is in a slot, if it is in use by nobody just now. */
static void neighbour_retire(struct mapcache *cache, struct mapping *mapping)
{
	uint64_t index = mapcache_load_relaxed(&mapping->index);
	struct stripe *stripe = stripe_of(cache, index);

	if (mapping_state(mapping) != MAPPING_LIVE)
		return;
	pthread_mutex_lock(&stripe->lock);
	if (stripe_find(cache, index) == mapping && !mapping->busy &&
	    !client_pins(cache, mapping)) {
		retired_add(cache, stripe, mapping);
		mapcache_add_relaxed(&cache->reclaim.evictions, 1);
	}
	pthread_mutex_unlock(&stripe->lock);
}

/* Free what can be freed of neighbours, other ones at each call: every slot has its turn. */
static void neighbours_retire(struct mapcache *cache, uint64_t count)
{
	uint64_t turn = mapcache_add_relaxed(&cache->reclaim.evict_stripe, 1);
	uint64_t last = cache->settings.slots - count;
	uint64_t first = turn % (last / count + 2) * count;

	first = ARENA_SPARES + (first < last ? first : last);
	for (uint64_t slot = first; slot < first + count; slot++)
		neighbour_retire(cache, mapping_at(cache, slot));
}

struct mapping *slot_get_run(struct mapcache *cache, uint64_t count, int *error)
{
	uint64_t keep = cache->settings.reserve, since = clock_ns();
	struct mapping *first = NULL;

	*error = -ENOMEM;
	if (count + keep > cache->settings.slots)
		return NULL;
	for (unsigned int round = 0; !first; round++) {
		*error = retired_pending(cache) ? -EAGAIN : -ENOMEM;
		first = arena_take_run(cache, count, keep);
		if (first || cache->reclaim.others(cache, true))
			continue;
		/* Whatever a round frees is looked at before the time is. */
		if (round >= WAIT_ROUNDS && clock_ns() - since > NEIGHBOURS_WAIT_NS)
			break;
		if (round)
			clock_sleep_ns(SLOT_PAUSE_NS);
		cache->reclaim.batches(cache, UINT64_MAX);
		neighbours_retire(cache, count);
		retired_check_pins(cache);
		retired_advance(cache);
		release(cache, UINT64_MAX, false);
	}
	return first;
}

/* ---- a client's own ---------------------------------------------------------------------------- */

struct mapping *slot_spare(struct mapcache_client *client)
{
	struct mapcache *cache = client->cache;

	if (client->fast.nested & MAPCACHE_NESTED_SPARE)
		return NULL;
	if (!client->spare)
		client->spare = arena_take_spare(cache);
	if (!client->spare)
		return NULL;
	client->fast.nested |= MAPCACHE_NESTED_SPARE;
	section_special(&client->fast);
	return client->spare;
}

void slot_spare_back(struct mapcache_client *client)
{
	client->fast.nested &= ~MAPCACHE_NESTED_SPARE;
	client_give_spare(client);
}

void slot_put(struct mapcache *cache, struct mapping *mapping)
{
	account_retire(cache, mapcache_load_relaxed(&mapping->epoch),
		       mapping_bytes(cache, mapping));
	mapping_restart(cache, mapping, 0);
	mapping->busy = 0;
	if (mapping->mapped && slot_empty(cache, mapping))
		retired_add_ready(cache, mapping);
	else
		arena_give(cache, mapping);
}
