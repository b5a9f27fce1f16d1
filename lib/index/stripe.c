/* SPDX-License-Identifier: MIT */
#include "lib/index/index.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/base.h"
#include "lib/protocol/entry.h"

int index_init(struct mapcache *cache)
{
	uint32_t count = cache->settings.stripes, i;
	struct stripe *stripes;
	int error;

	error = -posix_memalign((void **)&stripes, CACHE_LINE, count * sizeof(*stripes));
	if (error)
		return error;
	memset(stripes, 0, count * sizeof(*stripes));
	for (i = 0; i < count; i++) {
		error = waiting_init(&stripes[i].lock, &stripes[i].filled);
		if (error)
			goto destroy;
	}
	cache->index.stripes = stripes;
	return 0;
destroy:
	while (i-- > 0)
		waiting_destroy(&stripes[i].lock, &stripes[i].filled);
	free(stripes);
	return error;
}

void index_destroy(struct mapcache *cache)
{
	for (uint32_t i = 0; i < cache->settings.stripes; i++)
		waiting_destroy(&stripe_at(cache, i)->lock, &stripe_at(cache, i)->filled);
	free(cache->index.stripes);
}

struct stripe *stripe_of(struct mapcache *cache, uint64_t index)
{
	/* Fibonacci hashing: neighbours, which are used together, get different locks. */
	uint64_t hash = (index * UINT64_C(0x9e3779b97f4a7c15)) >> 32;

	return &cache->index.stripes[hash & (cache->settings.stripes - 1)];
}

struct mapping *stripe_find(struct mapcache *cache, uint64_t index)
{
	uint32_t holder = entry_holder(cache, index);

	return holder ? mapping_at(cache, holder - 1) : NULL;
}

void stripe_add(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping)
{
	entry_set_holder(cache, mapcache_load_relaxed(&mapping->index),
			 (uint32_t)mapping_slot(cache, mapping) + 1);
	DL_APPEND(stripe->oldest, mapping);
	stripe->count++;
	mapcache_add_relaxed(&cache->index.buckets, 1);
}

void stripe_remove(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping)
{
	entry_set_holder(cache, mapcache_load_relaxed(&mapping->index), 0);
	DL_DELETE(stripe->oldest, mapping);
	stripe->count--;
	mapcache_add_relaxed(&cache->index.buckets, UINT64_MAX);
}

void stripe_touch(struct stripe *stripe, struct mapping *mapping)
{
	DL_DELETE(stripe->oldest, mapping);
	DL_APPEND(stripe->oldest, mapping);
}

struct mapping *stripe_newer(struct mapping *mapping)
{
	return mapping->next;
}

void index_abandon(struct mapcache *cache)
{
	free(cache->index.stripes);
}

void index_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	stats->buckets = index_buckets(cache);
	stats->memory_bytes += cache->settings.stripes * sizeof(struct stripe);
}
