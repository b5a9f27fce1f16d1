/* SPDX-License-Identifier: MIT */
/* What space begins and ends with a cache, and what it counts. */
#include "lib/space/space.h"

#include <errno.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
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
	ballast_drop(&cache->space.ballast, BALLAST_PAGES);
	source_destroy(cache);
	place_destroy(cache);
	arena_destroy(&cache->space.arena);
}

void space_abandon(struct mapcache *cache)
{
	place_unreserve(cache);
	arena_abandon(&cache->space.arena);
	ballast_drop(&cache->space.ballast, BALLAST_PAGES);
}

bool space_fixed(const struct mapcache *cache)
{
	return !cache->space.places.of;
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

	if (error == -ENOMEM && ballast_drop(&cache->space.ballast, BALLAST_DROP))
		error = space_unmap_once(cache, base, bytes, keep);
	if (!error)
		ballast_take(&cache->space.ballast);
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

uint64_t space_slots_max(const struct mapcache *cache)
{
	return cache->space.arena.slots;
}

void space_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	stats->unmap_calls = mapcache_load_relaxed(&cache->space.unmap_calls);
	stats->unmap_errors = mapcache_load_relaxed(&cache->space.unmap_errors);
	arena_count(&cache->space.arena, stats);
	stats->memory_bytes += account_resident(cache->space.arena.mappings,
						space_slots(cache) * sizeof(struct mapping));
}
