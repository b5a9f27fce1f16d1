/* SPDX-License-Identifier: MIT */
/*
 * How many bytes are mapped, and how many of them are stale. An invalidation makes everything
 * stale without touching any of this: what is current is counted for one epoch only, and is
 * nothing as soon as that epoch is over.
 */
#include "lib/base/base.h"
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
	if (epoch == mapcache_load_relaxed(&cache->accounts.current_epoch))
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
