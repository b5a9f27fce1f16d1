/* SPDX-License-Identifier: MIT */
/* What space begins and ends with a cache, and what it counts. */
#include "lib/space/space.h"

#include "lib/base/base.h"
#include "lib/cache.h"
#include "lib/space/place.h"

int space_init(struct mapcache *cache)
{
	const struct settings *settings = &cache->settings;
	int error;

	error = arena_init(&cache->space.arena, settings->slots, settings->bucket_shift,
			   cache->embedder.backend->flags & MAPCACHE_BACKEND_FIXED);
	if (error)
		return error;
	error = place_init(cache);
	if (error)
		goto destroy_arena;
	error = source_init(cache);
	if (error)
		goto destroy_places;
	ballast_take(&cache->space.ballast);
	return 0;
destroy_places:
	place_destroy(cache);
destroy_arena:
	arena_destroy(&cache->space.arena);
	return error;
}

void space_destroy(struct mapcache *cache)
{
	/* Details hang on mappings in the index; those that are retired have none. */
	for (uint64_t slot = 0; slot < cache->space.arena.beyond; slot++)
		mapping_drop_detail(cache, mapping_at(cache, slot));
	ballast_drop(&cache->space.ballast);
	source_destroy(cache);
	place_destroy(cache);
	arena_destroy(&cache->space.arena);
}

void space_abandon(struct mapcache *cache)
{
	place_unreserve(cache);
	arena_unreserve(&cache->space.arena);
	ballast_drop(&cache->space.ballast);
}

uint64_t space_slots(struct mapcache *cache)
{
	return arena_beyond(&cache->space.arena);
}

void space_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	stats->unmap_calls = mapcache_load_relaxed(&cache->space.unmap_calls);
	stats->unmap_errors = mapcache_load_relaxed(&cache->space.unmap_errors);
	stats->slots_used = arena_used(&cache->space.arena);
	stats->vmas = mapcache_load_relaxed(&cache->space.vmas);
	stats->memory_bytes += account_resident(cache->space.arena.mappings,
						space_slots(cache) * sizeof(struct mapping));
}
