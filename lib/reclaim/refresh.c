/* SPDX-License-Identifier: MIT */
/*
 * Ahead of use: after an invalidation the reclaim thread maps what was used most recently
 * again, up to refresh_bytes, so that its users find it.
 */

/* The granules that were last used of a stale mapping, as a request; false: nothing to do. */
#include "lib/fill/fill.h"
#include "lib/index/index.h"
#include "lib/reclaim/reclaim.h"

static bool refresh_request(struct mapcache *cache, struct mapping *mapping, uint64_t epoch,
			    struct request *request)
{
	const struct settings *settings = &cache->settings;
	uint64_t valid = mapping_valid(cache, mapping);
	unsigned int first, count;

	if (mapping->busy || mapcache_load_relaxed(&mapping->epoch) >= epoch || !valid)
		return false;
	first = (unsigned int)__builtin_ctzll(valid);
	valid >>= first;
	count = ~valid ? (unsigned int)__builtin_ctzll(~valid) : 64;
	request->index = mapcache_load_relaxed(&mapping->index);
	request->offset = (uint64_t)first << settings->granule_shift;
	request->first_page = first * settings->granule_pages;
	request->last_page = (first + count) * settings->granule_pages - 1;
	request->granules = run_mask((struct run){ first, count });
	request->write = !mapping->read_only;
	request->epoch = epoch;
	return true;
}

void refresh_ahead(struct mapcache *cache, uint64_t epoch)
{
	uint64_t left = cache->settings.refresh_bytes, bytes;
	struct request request;
	struct mapping *mapping;
	void *pointer;
	bool due;

	for (uint32_t i = 0; i < cache->settings.stripes; i++) {
		struct stripe *stripe = stripe_at(cache, i);

		pthread_mutex_lock(&stripe->lock);
		mapping = stripe_newest(stripe);
		due = mapping && refresh_request(cache, mapping, epoch, &request);
		pthread_mutex_unlock(&stripe->lock);
		if (!due)
			continue;
		bytes = (uint64_t)__builtin_popcountll(request.granules)
			<< cache->settings.granule_shift;
		if (bytes > left)
			return;
		left -= bytes;
		mapcache_begin_inline(cache->reclaim.refresher);
		(void)lookup_slow(cache->reclaim.refresher, &request, &pointer);
		mapcache_end_inline(cache->reclaim.refresher);
	}
}
