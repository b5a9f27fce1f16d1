/* SPDX-License-Identifier: MIT */
/*
 * How many bytes are mapped, and how many of them are stale. An invalidation makes everything
 * stale without touching any of this: what is current is counted for one epoch only, and is
 * nothing as soon as that epoch is over.
 */
#include "lib/base/base.h"

#include <sys/mman.h>
#include <unistd.h>
#include "lib/cache.h"

int base_init(struct mapcache *cache, const struct mapcache_options *options)
{
	cache->embedder.options = *options;
	return -pthread_mutex_init(&cache->accounts.lock, NULL);
}

void base_destroy(struct mapcache *cache)
{
	pthread_mutex_destroy(&cache->accounts.lock);
}

void account_map(struct mapcache *cache, uint64_t epoch, uint64_t mapped, uint64_t current)
{
	struct accounts *accounts = &cache->accounts;

	pthread_mutex_lock(&accounts->lock);
	mapcache_add_relaxed(&accounts->mapped_bytes, mapped);
	if (epoch > accounts->current_epoch) {
		accounts->current_epoch = epoch;
		accounts->current_bytes = 0;
	}
	/* 0 is of a slot in which nothing is current, and counted before the first map call. */
	if (epoch && epoch == accounts->current_epoch)
		accounts->current_bytes += current;
	pthread_mutex_unlock(&accounts->lock);
}

uint64_t account_stale(struct mapcache *cache)
{
	struct accounts *accounts = &cache->accounts;
	uint64_t stale;

	pthread_mutex_lock(&accounts->lock);
	stale = mapcache_load_relaxed(&accounts->mapped_bytes);
	if (accounts->current_epoch == epoch_now(&cache->shared))
		stale -= accounts->current_bytes;
	if (stale > mapcache_load_relaxed(&accounts->stale_bytes_max))
		mapcache_store_relaxed(&accounts->stale_bytes_max, stale);
	pthread_mutex_unlock(&accounts->lock);
	return stale;
}

void account_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	stats->stale_bytes = account_stale(cache);
	stats->mapped_bytes = mapcache_load_relaxed(&cache->accounts.mapped_bytes);
	stats->stale_bytes_max = mapcache_load_relaxed(&cache->accounts.stale_bytes_max);
	stats->memory_bytes += mapcache_load_relaxed(&cache->accounts.memory_bytes);
}

void *account_reserve(uint64_t bytes, int prot)
{
	void *memory =
		mmap(NULL, (size_t)bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* Advice: may be refused. */
	(void)madvise(memory, (size_t)bytes, MADV_NOHUGEPAGE);
	return memory;
}

uint64_t account_resident(const void *start, uint64_t bytes)
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
