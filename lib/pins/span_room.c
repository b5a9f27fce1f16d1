/* SPDX-License-Identifier: MIT */
/* Neighbouring slots for a span, and giving them back. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "lib/base/base.h"
#include "lib/index/index.h"
#include "lib/pins/pins.h"
#include "lib/pins/span.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"

#define SPAN_WAIT_NS (4 * NS_PER_MS)
#define SPAN_ROUNDS 16 /* at least, however long the thread was kept from running */
#define SPAN_PAUSE_NS UINT64_C(50000)

/* Retire what is in a slot, if it is in use by nobody just now. */
static void span_evict_slot(struct mapcache *cache, struct mapping *mapping)
{
	uint64_t index = mapcache_load_relaxed(&mapping->index);
	struct stripe *stripe = stripe_of(cache, index);

	if (mapping_state(mapping) != MAPPING_LIVE)
		return;
	pthread_mutex_lock(&stripe->lock);
	if (stripe_find(stripe, index) == mapping && !mapping->busy &&
	    !client_pins(cache, mapping)) {
		retired_add(cache, stripe, mapping);
		mapcache_add_relaxed(&cache->reclaim.evictions, 1);
	}
	pthread_mutex_unlock(&stripe->lock);
}

/* Free what can be freed of neighbours, other ones at each call: every slot has its turn. */
static void span_evict(struct mapcache *cache, uint64_t count)
{
	uint64_t turn = mapcache_add_relaxed(&cache->reclaim.evict_stripe, 1);
	uint64_t last = cache->settings.slots - count;
	uint64_t first = turn % (last / count + 2) * count;

	first = ARENA_SPARES + (first < last ? first : last);
	for (uint64_t slot = first; slot < first + count; slot++)
		span_evict_slot(cache, mapping_at(cache, slot));
}

static struct mapping *span_room(struct mapcache *cache, uint64_t count, int *error)
{
	uint64_t keep = cache->settings.reserve, since = 0;

	*error = -ENOMEM;
	if (count + keep > cache->settings.slots)
		return NULL;
	for (unsigned int round = 0;; round++) {
		struct mapping *first = arena_take_run(&cache->space.arena, count, keep);

		if (first)
			return first;
		/* Whatever a round frees is looked at before the time is. */
		if (round >= SPAN_ROUNDS && clock_ns() - since > SPAN_WAIT_NS)
			break;
		if (since)
			clock_sleep_ns(SPAN_PAUSE_NS);
		since = since ? since : clock_ns();
		span_reclaim(cache, true);
		span_evict(cache, count);
		retired_check_pins(cache);
		retired_advance(cache);
		release(cache, UINT64_MAX, false);
	}
	*error = retired_pending(cache) ? -EAGAIN : -ENOMEM;
	return NULL;
}

void span_name(struct mapcache *cache, struct span *span, uint64_t gpa, uint64_t epoch)
{
	span->gpa = gpa;
	span->epoch = epoch;
	for (uint64_t i = 0; i < span->slots; i++) {
		mapcache_store_relaxed(&span->first[i].index,
				       (gpa >> cache->settings.bucket_shift) + i);
		mapcache_store_relaxed(&span->first[i].epoch, epoch);
	}
}

struct span *span_new(struct mapcache *cache, uint64_t gpa, uint64_t len, int *error)
{
	uint64_t page = UINT64_C(1) << PAGE_SHIFT, end = (gpa + len + page - 1) & ~(page - 1);
	uint32_t shift = cache->settings.bucket_shift;
	struct span *span = calloc(1, sizeof(*span));

	if (!span) {
		*error = -ENOMEM;
		return NULL;
	}
	gpa &= ~(page - 1);
	span->len = end - gpa;
	span->slots = ((end - 1) >> shift) - (gpa >> shift) + 1;
	span->first = span_room(cache, span->slots, error);
	if (!span->first) {
		free(span);
		return NULL;
	}
	/* Here the epoch is sampled: no map call has begun (A). */
	span_name(cache, span, gpa, epoch_now(&cache->shared));
	pthread_mutex_lock(&cache->protocol.clients.lock);
	for (uint64_t i = 0; i < span->slots; i++) {
		span->first[i].span = span;
		mapping_set_state(&span->first[i], MAPPING_SPAN);
	}
	pthread_mutex_unlock(&cache->protocol.clients.lock);
	reclaim_count_others(cache, span->slots);
	mapcache_add_relaxed(&cache->accounts.memory_bytes, sizeof(*span));
	return span;
}

void span_free(struct mapcache *cache, struct span *span)
{
	pthread_mutex_lock(&cache->protocol.clients.lock);
	for (uint64_t i = 0; i < span->slots; i++) {
		struct mapping *mapping = &span->first[i];

		/* Together they are 0; from here on each must be. */
		mapcache_add_relaxed(&mapping->shared_pins,
				     -(uint64_t)client_pins_locked(cache, mapping));
		mapping_set_state(mapping, MAPPING_FREE);
	}
	pthread_mutex_unlock(&cache->protocol.clients.lock);
	for (uint64_t i = span->slots; i-- > 0;)
		arena_give(&cache->space.arena, &span->first[i]);
	reclaim_count_others(cache, -span->slots);
	mapcache_add_relaxed(&cache->accounts.memory_bytes, -(uint64_t)sizeof(*span));
	free(span);
}
