/* SPDX-License-Identifier: MIT */
/* Neighbouring slots for a span, and giving them back. */
#include <errno.h>
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
#define SPAN_PART 4 /* one slot in so many is for those that are kept, but nobody pins */

/* Retire what is in a slot, if it is in use by nobody just now. */
static void span_retire_slot(struct mapcache *cache, struct mapping *mapping)
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
static void span_retire_neighbours(struct mapcache *cache, uint64_t count)
{
	uint64_t turn = mapcache_add_relaxed(&cache->reclaim.evict_stripe, 1);
	uint64_t last = cache->settings.slots - count;
	uint64_t first = turn % (last / count + 2) * count;

	first = ARENA_SPARES + (first < last ? first : last);
	for (uint64_t slot = first; slot < first + count; slot++)
		span_retire_slot(cache, mapping_at(cache, slot));
}

static struct mapping *span_room(struct mapcache *cache, uint64_t count, int *error)
{
	uint64_t keep = cache->settings.reserve, since = clock_ns();
	struct mapping *first = NULL;

	*error = -ENOMEM;
	if (count + keep > cache->settings.slots)
		return NULL;
	for (unsigned int round = 0; !first; round++) {
		first = arena_take_run(&cache->space.arena, count, keep);
		if (first || span_reclaim(cache, true))
			continue;
		/* Whatever a round frees is looked at before the time is. */
		if (round >= SPAN_ROUNDS && clock_ns() - since > SPAN_WAIT_NS)
			break;
		if (round)
			clock_sleep_ns(SPAN_PAUSE_NS);
		span_retire_neighbours(cache, count);
		retired_check_pins(cache);
		retired_advance(cache);
		release(cache, UINT64_MAX, false);
	}
	*error = retired_pending(cache) ? -EAGAIN : -ENOMEM;
	return first;
}

static void span_make_room(struct mapcache *cache, uint64_t count)
{
	uint64_t most = cache->settings.slots / SPAN_PART;

	while (reclaim_count_others(cache, 0) + count > most) {
		if (!span_reclaim(cache, true))
			return;
	}
}

struct span *span_new(struct mapcache *cache, uint64_t gpa, uint64_t len, int *error)
{
	uint64_t page = UINT64_C(1) << PAGE_SHIFT, end = (gpa + len + page - 1) & ~(page - 1);
	uint32_t shift = cache->settings.bucket_shift;
	struct span *span = calloc(1, sizeof(*span));

	*error = -ENOMEM;
	if (!span)
		return NULL;
	span->gpa = gpa & ~(page - 1);
	span->len = end - span->gpa;
	span->offset = span->gpa & ((UINT64_C(1) << shift) - 1);
	span->slots = ((end - 1) >> shift) - (gpa >> shift) + 1;
	span_make_room(cache, span->slots);
	span->first = span_room(cache, span->slots, error);
	if (!span->first) {
		free(span);
		return NULL;
	}
	clients_lock(cache);
	for (uint64_t i = 0; i < span->slots; i++) {
		span->first[i].span = span;
		mapping_set_state(&span->first[i], MAPPING_SPAN);
	}
	clients_unlock(cache);
	reclaim_count_others(cache, span->slots);
	mapcache_add_relaxed(&cache->accounts.memory_bytes, sizeof(*span));
	return span;
}

void span_free(struct mapcache *cache, struct span *span)
{
	clients_lock(cache);
	for (uint64_t i = 0; i < span->slots; i++) {
		struct mapping *mapping = &span->first[i];

		/* Together they are 0; from here on each must be. */
		mapcache_add_relaxed(&mapping->shared_pins,
				     -(uint64_t)client_pins_locked(cache, mapping));
		mapping_set_state(mapping, MAPPING_FREE);
	}
	clients_unlock(cache);
	for (uint64_t i = span->slots; i-- > 0;)
		arena_give(&cache->space.arena, &span->first[i]);
	reclaim_count_others(cache, -span->slots);
	mapcache_add_relaxed(&cache->accounts.memory_bytes, -(uint64_t)sizeof(*span));
	free(span);
}
