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

void account_map(struct mapcache *cache, uint64_t epoch, uint64_t mapped, uint64_t current)
{
	uint64_t counted;

	mapcache_add_relaxed(&cache->accounts.mapped_bytes, mapped);
	pthread_mutex_lock(&cache->accounts.current_lock);
	counted = mapcache_load_relaxed(&cache->accounts.current_epoch);
	if (epoch > counted) {
		mapcache_store_relaxed(&cache->accounts.current_epoch, epoch);
		mapcache_store_relaxed(&cache->accounts.current_bytes, current);
	} else if (epoch == counted) {
		mapcache_add_relaxed(&cache->accounts.current_bytes, current);
	}
	pthread_mutex_unlock(&cache->accounts.current_lock);
}

void account_unmap(struct mapcache *cache, uint64_t mapped)
{
	mapcache_add_relaxed(&cache->accounts.mapped_bytes, -mapped);
}

void account_retire(struct mapcache *cache, uint64_t epoch, uint64_t current)
{
	pthread_mutex_lock(&cache->accounts.current_lock);
	/* Before the first map call no epoch is counted, which must not be that of a slot in which
	 * nothing is current. */
	if (epoch && epoch == mapcache_load_relaxed(&cache->accounts.current_epoch))
		mapcache_add_relaxed(&cache->accounts.current_bytes, -current);
	pthread_mutex_unlock(&cache->accounts.current_lock);
}

uint64_t account_stale(struct mapcache *cache)
{
	uint64_t mapped, current = 0, stale;

	pthread_mutex_lock(&cache->accounts.current_lock);
	mapped = mapcache_load_relaxed(&cache->accounts.mapped_bytes);
	if (mapcache_load_relaxed(&cache->accounts.current_epoch) == epoch_now(&cache->shared))
		current = mapcache_load_relaxed(&cache->accounts.current_bytes);
	stale = mapped > current ? mapped - current : 0;
	if (stale > mapcache_load_relaxed(&cache->accounts.stale_bytes_max))
		mapcache_store_relaxed(&cache->accounts.stale_bytes_max, stale);
	pthread_mutex_unlock(&cache->accounts.current_lock);
	return stale;
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

int account_init(struct mapcache *cache)
{
	return -pthread_mutex_init(&cache->accounts.current_lock, NULL);
}

void account_destroy(struct mapcache *cache)
{
	pthread_mutex_destroy(&cache->accounts.current_lock);
}

void account_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	stats->stale_bytes = account_stale(cache);
	stats->mapped_bytes = mapcache_load_relaxed(&cache->accounts.mapped_bytes);
	stats->stale_bytes_max = mapcache_load_relaxed(&cache->accounts.stale_bytes_max);
	stats->memory_bytes += mapcache_load_relaxed(&cache->accounts.memory_bytes);
}
