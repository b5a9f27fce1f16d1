/* SPDX-License-Identifier: MIT */
/* uthash reports a failed allocation by this name; stripe_insert() has the variable. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) (failed = true)

#include "lib/index/index.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/worker.h"

/* Chains may grow longer than uthash lets them before it doubles its array, which is read on slow
 * paths only: four bytes a bucket are worth more than two steps along a chain. */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 14U

static void stripe_destroy(struct stripe *stripe)
{
	HASH_CLEAR(hh, stripe->index);
	waiting_destroy(&stripe->lock, &stripe->filled);
}

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
		stripe_destroy(&stripes[i]);
	free(stripes);
	return error;
}

void index_destroy(struct mapcache *cache)
{
	for (uint32_t i = 0; i < cache->settings.stripes; i++)
		stripe_destroy(stripe_at(cache, i));
	free(cache->index.stripes);
}

struct stripe *stripe_of(struct mapcache *cache, uint64_t index)
{
	/* Fibonacci hashing: neighbours, which are used together, get different locks. */
	uint64_t hash = (index * UINT64_C(0x9e3779b97f4a7c15)) >> 32;

	return &cache->index.stripes[hash & (cache->settings.stripes - 1)];
}

struct mapping *stripe_find(struct stripe *stripe, uint64_t index)
{
	struct mapping *mapping;

	HASH_FIND(hh, stripe->index, &index, sizeof(index), mapping);
	return mapping;
}

static int stripe_insert(struct stripe *stripe, struct mapping *mapping)
{
	bool failed = false;

	HASH_ADD(hh, stripe->index, index, sizeof(mapping->index), mapping);
	return failed ? -ENOMEM : 0;
}

int stripe_add(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping)
{
	int error = stripe_insert(stripe, mapping);

	if (!error)
		mapcache_add_relaxed(&cache->index.buckets, 1);
	return error;
}

void stripe_remove(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping)
{
	HASH_DELETE(hh, stripe->index, mapping);
	mapcache_add_relaxed(&cache->index.buckets, UINT64_MAX);
}

static struct mapping *stripe_newest(struct stripe *stripe)
{
	UT_hash_table *table;

	if (!stripe->index)
		return NULL;
	table = stripe->index->hh.tbl;
	return (struct mapping *)ELMT_FROM_HH(table, table->tail);
}

int stripe_touch(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping)
{
	int error;

	/* Also keeps uthash from freeing the table with its last element. */
	if (stripe_newest(stripe) == mapping)
		return 0;
	HASH_DELETE(hh, stripe->index, mapping);
	error = stripe_insert(stripe, mapping);
	if (error)
		mapcache_add_relaxed(&cache->index.buckets, UINT64_MAX);
	return error;
}

struct mapping *stripe_oldest(struct stripe *stripe)
{
	return stripe->index;
}

struct mapping *stripe_newer(struct mapping *mapping)
{
	return (struct mapping *)mapping->hh.next;
}

uint64_t stripe_count(struct stripe *stripe)
{
	return HASH_COUNT(stripe->index);
}

static uint64_t stripe_memory(struct stripe *stripe)
{
	return HASH_OVERHEAD(hh, stripe->index) -
	       HASH_COUNT(stripe->index) * sizeof(UT_hash_handle);
}

void index_abandon(struct mapcache *cache)
{
	free(cache->index.stripes);
}

void index_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	stats->buckets = mapcache_load_relaxed(&cache->index.buckets);
	for (uint32_t i = 0; i < cache->settings.stripes; i++) {
		struct stripe *stripe = stripe_at(cache, i);

		pthread_mutex_lock(&stripe->lock);
		stats->memory_bytes += sizeof(*stripe) + stripe_memory(stripe);
		pthread_mutex_unlock(&stripe->lock);
	}
}
