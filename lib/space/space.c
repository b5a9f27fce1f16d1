/* SPDX-License-Identifier: MIT */
/* What space begins and ends with a cache, and what it counts. */
#include "lib/space/own.h"

#include <errno.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"

int space_init(struct mapcache *cache)
{
	int error = arena_init(cache);

	if (error)
		return error;
	error = place_init(cache);
	if (!error)
		error = source_init(cache);
	if (error) {
		place_unreserve(cache);
		arena_destroy(&cache->space.arena);
		return error;
	}
	ballast_take(&cache->space);
	return 0;
}

void space_destroy(struct mapcache *cache)
{
	/* Details hang on mappings in the index; those that are retired have none. */
	for (uint64_t slot = 0; slot < cache->space.arena.beyond; slot++)
		mapping_drop_detail(cache, mapping_at(cache, slot));
	ballast_drop(&cache->space, BALLAST_PAGES);
	source_destroy(cache);
	place_unreserve(cache);
	arena_destroy(&cache->space.arena);
}

void space_abandon(struct mapcache *cache)
{
	place_unreserve(cache);
	arena_abandon(&cache->space.arena);
	ballast_drop(&cache->space, BALLAST_PAGES);
}

static int space_unmap_once(struct mapcache *cache, char *base, uint64_t bytes, int keep)
{
	const struct mapcache_backend *backend = cache->embedder.backend;
	int error = backend->unmap(cache->embedder.backend_state, base,
				   (size_t)(bytes >> PAGE_SHIFT), keep);

	return error || !keep ? error : reserve_again(&cache->space.arena.reserve, base, bytes);
}

int space_unmap(struct mapcache *cache, char *base, uint64_t bytes, int keep)
{
	int error = space_unmap_once(cache, base, bytes, keep);

	if (error == -ENOMEM && ballast_drop(&cache->space, BALLAST_DROP))
		error = space_unmap_once(cache, base, bytes, keep);
	if (!error)
		ballast_take(&cache->space);
	mapcache_add_relaxed(&cache->space.unmap_calls, 1);
	if (error) {
		mapcache_add_relaxed(&cache->space.unmap_errors, 1);
		PROBE3(unmap_error, cache, base, error);
		log_message(cache, MAPCACHE_LOG_WARNING,
			    "cannot unmap %llu KiB (error %d): will try again",
			    (unsigned long long)bytes >> 10, -error);
	}
	return error;
}

uint64_t space_slots(struct mapcache *cache)
{
	struct arena *arena = &cache->space.arena;
	uint64_t beyond;

	pthread_mutex_lock(&arena->lock);
	beyond = arena->beyond;
	pthread_mutex_unlock(&arena->lock);
	return beyond;
}

void space_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	struct arena *arena = &cache->space.arena;

	stats->unmap_calls = mapcache_load_relaxed(&cache->space.unmap_calls);
	stats->unmap_errors = mapcache_load_relaxed(&cache->space.unmap_errors);
	pthread_mutex_lock(&arena->lock);
	stats->slots_used = arena->used;
	stats->vmas = arena->vmas;
	stats->lost_ranges = arena->lost;
	stats->lost_bytes = arena->lost_bytes;
	pthread_mutex_unlock(&arena->lock);
	stats->memory_bytes +=
		account_resident(arena->mappings, space_slots(cache) * sizeof(struct mapping));
}
