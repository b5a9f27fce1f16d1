/* SPDX-License-Identifier: MIT */
/* Room for neighbours: free ones, or what is in the way of them given up. */
#include <errno.h>

#include "lib/base/base.h"
#include "lib/index/index.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"

#define NEIGHBOURS_WAIT_NS (4 * NS_PER_MS)
#define NEIGHBOURS_ROUNDS 16 /* at least, however long the thread was kept from running */
#define NEIGHBOURS_PAUSE_NS UINT64_C(50000)

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
		first = arena_take_run(cache, count, keep);
		if (first || cache->reclaim.others(cache, true))
			continue;
		/* Whatever a round frees is looked at before the time is. */
		if (round >= NEIGHBOURS_ROUNDS && clock_ns() - since > NEIGHBOURS_WAIT_NS)
			break;
		if (round)
			clock_sleep_ns(NEIGHBOURS_PAUSE_NS);
		cache->reclaim.batches(cache, UINT64_MAX);
		neighbours_retire(cache, count);
		retired_check_pins(cache);
		retired_advance(cache);
		release(cache, UINT64_MAX, false);
	}
	*error = retired_pending(cache) ? -EAGAIN : -ENOMEM;
	return first;
}
