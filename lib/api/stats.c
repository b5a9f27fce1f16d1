/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/api/options.h"
#include "lib/base/base.h"
#include "lib/index/index.h"
#include "lib/protocol/protocol.h"

/* What clients counted, open and closed ones. */
static void stats_sum(struct mapcache *cache, uint64_t *sums)
{
	struct mapcache_client *client;

	pthread_mutex_lock(&cache->protocol.clients.lock);
	memcpy(sums, cache->protocol.clients.closed, sizeof(cache->protocol.clients.closed));
	for (client = cache->protocol.clients.first; client; client = client->next) {
		for (int i = 0; i < COUNTERS; i++)
			sums[i] += mapcache_load_relaxed(&client->counters[i]);
	}
	pthread_mutex_unlock(&cache->protocol.clients.lock);
}

/* Pages of a range that are in memory. */
static uint64_t stats_resident(const void *start, uint64_t bytes)
{
	static const size_t step = 256; /* pages asked about at once */
	unsigned char resident[256];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t pages = (bytes + page - 1) / page, count = 0;

	for (uint64_t i = 0; i < pages; i += step) {
		size_t n = pages - i < step ? (size_t)(pages - i) : step;

		if (mincore((char *)(uintptr_t)start + i * page, n * page, resident))
			continue;
		for (size_t j = 0; j < n; j++)
			count += resident[j] & 1;
	}
	return count * page;
}

static uint64_t stats_memory(struct mapcache *cache)
{
	const struct settings *settings = &cache->settings;
	uint64_t slots = arena_beyond(&cache->space.arena);
	uint64_t memory = sizeof(*cache) + settings->stripes * sizeof(struct stripe);
	struct mapcache_client *client;

	memory += mapcache_load_relaxed(&cache->accounts.memory_bytes);
	memory += stats_resident(cache->space.arena.mappings, slots * sizeof(struct mapping));
	memory += table_memory(&cache->protocol.table, stats_resident);
	for (uint32_t i = 0; i < settings->stripes; i++) {
		pthread_mutex_lock(&cache->index.stripes[i].lock);
		memory += stripe_memory(&cache->index.stripes[i]);
		pthread_mutex_unlock(&cache->index.stripes[i].lock);
	}
	pthread_mutex_lock(&cache->protocol.clients.lock);
	for (client = cache->protocol.clients.first; client; client = client->next) {
		memory += sizeof(*client) + settings->bucket_pages * sizeof(*client->error);
		memory += stats_resident(client->pins, slots * sizeof(*client->pins));
	}
	pthread_mutex_unlock(&cache->protocol.clients.lock);
	return memory;
}

static void stats_fill(struct mapcache *cache, struct mapcache_stats *stats)
{
	uint64_t sums[COUNTERS];

	stats_sum(cache, sums);
	stats->epoch = epoch_now(&cache->shared);
	stats->range_invalidates = mapcache_load_relaxed(&cache->api.range_invalidates);
	stats->slow_lookups = sums[COUNTER_SLOW_LOOKUPS];
	stats->misses = sums[COUNTER_MISSES];
	stats->waits = sums[COUNTER_WAITS];
	stats->born_stale = sums[COUNTER_BORN_STALE];
	stats->map_calls = sums[COUNTER_MAP_CALLS];
	stats->map_errors = sums[COUNTER_MAP_ERRORS];
	stats->pages_mapped = sums[COUNTER_PAGES_MAPPED];
	stats->holes = sums[COUNTER_HOLES];
	stats->refreshed_in_place = sums[COUNTER_REFRESHED_IN_PLACE];
	stats->refreshed_in_fresh_slot = sums[COUNTER_REFRESHED_IN_FRESH_SLOT];
	stats->mapped_whole = sums[COUNTER_MAPPED_WHOLE];
	stats->rescues = sums[COUNTER_RESCUES];
	stats->evictions = mapcache_load_relaxed(&cache->reclaim.evictions);
	stats->grace_periods = mapcache_load_relaxed(&cache->reclaim.grace_periods);
	stats->grace_failures = mapcache_load_relaxed(&cache->protocol.grace_failures);
	stats->unmap_calls = mapcache_load_relaxed(&cache->space.unmap_calls);
	stats->unmap_errors = mapcache_load_relaxed(&cache->space.unmap_errors);
	stats->modified_calls = mapcache_load_relaxed(&cache->pins.modified_calls);
	stats->modified_errors = mapcache_load_relaxed(&cache->pins.modified_errors);
	stats->modified_pages = mapcache_load_relaxed(&cache->pins.modified_pages);
	stats->table_sweeps = mapcache_load_relaxed(&cache->protocol.table_sweeps);
	stats->buckets = mapcache_load_relaxed(&cache->index.buckets);
	stats->slots_used = arena_used(&cache->space.arena);
	stats->stale_bytes = account_stale(cache);
	stats->mapped_bytes = mapcache_load_relaxed(&cache->accounts.mapped_bytes);
	stats->stale_bytes_max = mapcache_load_relaxed(&cache->accounts.stale_bytes_max);
	stats->pinned_stale_bytes = mapcache_load_relaxed(&cache->reclaim.retired.pinned_bytes);
	stats->vmas = mapcache_load_relaxed(&cache->space.vmas);
	stats->memory_bytes = stats_memory(cache);
	pthread_mutex_lock(&cache->pins.spans.lock);
	stats->spans = cache->pins.spans.count;
	stats->pinned_stale_bytes += cache->pins.spans.pinned_bytes;
	pthread_mutex_unlock(&cache->pins.spans.lock);
	pthread_mutex_lock(&cache->protocol.clients.lock);
	stats->clients = cache->protocol.clients.count - (cache->reclaim.refresher != NULL);
	pthread_mutex_unlock(&cache->protocol.clients.lock);
}

int mapcache_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	struct mapcache_stats known;
	size_t size;
	int error;

	if (!cache || !stats)
		return -EINVAL;
	error = options_copy(stats, &known, sizeof(known));
	if (error)
		return error;
	size = stats->size;
	memset(&known, 0, sizeof(known));
	stats_fill(cache, &known);
	known.size = size;
	memcpy(stats, &known, size < sizeof(known) ? size : sizeof(known));
	return 0;
}
