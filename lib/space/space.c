/* SPDX-License-Identifier: MIT */
/* Address space, cut into slots; what space begins and ends with a cache, and what it counts. */
#include "lib/space/own.h"

#include <errno.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"

#define ARENA_WORD 64u /* slots in a word of the bitmap */

/* Mappings, and the bitmap behind them. */
static uint64_t arena_mappings_bytes(const struct arena *arena)
{
	return arena->slots * sizeof(*arena->mappings) +
	       (arena->slots + ARENA_WORD - 1) / ARENA_WORD * sizeof(*arena->taken);
}

/* One bucket more, to align the first slot. */
static int arena_reserve(struct arena *arena)
{
	uint64_t bucket = UINT64_C(1) << arena->shift;
	int error;

	arena->bytes = arena->slots << arena->shift;
	error = reserve_open(&arena->reserve, arena->bytes + bucket);
	if (error)
		return error;
	arena->base = (char *)(((uintptr_t)arena->reserve.start + (uintptr_t)bucket - 1) &
			       ~((uintptr_t)bucket - 1));
	return 0;
}

/* All but what is lost. */
static void arena_unreserve_space(struct arena *arena)
{
	char *from = arena->reserve.start;

	if (!from)
		return;
	for (uint64_t slot = 0; arena->lost && slot < arena->beyond; slot++) {
		const struct mapping *mapping = &arena->mappings[slot];
		char *base = arena->base + (slot << arena->shift);

		if (!mapping->lost_pages)
			continue;
		munmap(from, (size_t)(base + ((uint64_t)mapping->lost_first << PAGE_SHIFT) - from));
		from = base + (((uint64_t)mapping->lost_first + mapping->lost_pages) << PAGE_SHIFT);
	}
	munmap(from, (size_t)(arena->reserve.start + arena->reserve.bytes - from));
	reserve_close(&arena->reserve);
}

int arena_init(struct mapcache *cache)
{
	struct arena *arena = &cache->space.arena;
	int error;

	arena->shift = cache->settings.bucket_shift;
	arena->slots = cache->settings.slots + ARENA_SPARES;
	/* What else there is for every slot is smaller: places, and the pins of a client. */
	if (arena->slots > SIZE_MAX / (sizeof(*arena->mappings) + 1) || arena->slots >= UINT32_MAX)
		return -ENOMEM;
	error = -pthread_mutex_init(&arena->lock, NULL);
	if (error)
		return error;
	if (cache->embedder.backend->flags & MAPCACHE_BACKEND_FIXED)
		error = arena_reserve(arena);
	if (!error)
		arena->mappings =
			account_reserve(arena_mappings_bytes(arena), PROT_READ | PROT_WRITE);
	if (!error && !arena->mappings)
		error = -errno;
	if (error) {
		arena_destroy(arena);
		return error;
	}
	arena->taken = (uint64_t *)(arena->mappings + arena->slots);
	arena->lowest = arena->beyond = ARENA_SPARES;
	arena->vmas_limit = cache->settings.vmas_max;
	return 0;
}

static void arena_forget(struct arena *arena)
{
	if (arena->mappings)
		munmap(arena->mappings, (size_t)arena_mappings_bytes(arena));
}

void arena_destroy(struct arena *arena)
{
	pthread_mutex_destroy(&arena->lock);
	arena_unreserve_space(arena);
	arena_forget(arena);
}

/* The first of the lowest count neighbours that are free, or 0. Word by word: what is asked for
 * costs a map call, which takes longer. */
static uint64_t arena_find(const struct arena *arena, uint64_t count)
{
	uint64_t slot = arena->lowest, run = 0;

	while (slot < arena->slots && run < count) {
		uint64_t rest = ARENA_WORD - slot % ARENA_WORD;
		uint64_t bits = arena->taken[slot / ARENA_WORD] >> slot % ARENA_WORD;
		uint64_t change = bits & 1 ? ~bits : bits;
		uint64_t same = change ? (uint64_t)__builtin_ctzll(change) : rest;

		same = same < rest ? same : rest;
		run = bits & 1 ? 0 : run + same;
		slot += same;
	}
	return run >= count && slot - run + count <= arena->slots ? slot - run : 0;
}

static void arena_mark(struct arena *arena, uint64_t slot, uint64_t count)
{
	for (uint64_t end = slot + count; slot < end; slot++)
		arena->taken[slot / ARENA_WORD] |= UINT64_C(1) << slot % ARENA_WORD;
}

struct mapping *arena_take_run(struct mapcache *cache, uint64_t count, uint64_t keep)
{
	struct arena *arena = &cache->space.arena;
	uint64_t all = arena->slots - ARENA_SPARES, first = 0;

	pthread_mutex_lock(&arena->lock);
	if (count + keep <= all && arena->used <= all - count - keep)
		first = arena_find(arena, count);
	if (first) {
		arena_mark(arena, first, count);
		arena->used += count;
		if (count == 1)
			arena->lowest = first + 1;
		if (arena->beyond < first + count)
			arena->beyond = first + count;
	}
	pthread_mutex_unlock(&arena->lock);
	return first ? &arena->mappings[first] : NULL;
}

struct mapping *arena_take_spare(struct mapcache *cache)
{
	struct arena *arena = &cache->space.arena;
	struct mapping *mapping = NULL;

	pthread_mutex_lock(&arena->lock);
	if (~arena->taken[0]) {
		uint64_t slot = (uint64_t)__builtin_ctzll(~arena->taken[0]);

		arena_mark(arena, slot, 1);
		mapping = &arena->mappings[slot];
	}
	pthread_mutex_unlock(&arena->lock);
	return mapping;
}

void arena_give(struct mapcache *cache, struct mapping *mapping)
{
	struct arena *arena = &cache->space.arena;
	uint64_t slot = (uint64_t)(mapping - arena->mappings);

	mapcache_store_relaxed(&mapping->epoch, 0); /* mapcache_gpa(): nobody's */
	pthread_mutex_lock(&arena->lock);
	mapping_set_state(mapping, MAPPING_FREE);
	/* Of which a part is lost, it stays taken. */
	if (!mapping->lost_pages) {
		arena->taken[slot / ARENA_WORD] &= ~(UINT64_C(1) << slot % ARENA_WORD);
		if (slot >= ARENA_SPARES) {
			arena->used--;
			arena->lowest = slot < arena->lowest ? slot : arena->lowest;
		}
	}
	pthread_mutex_unlock(&arena->lock);
}

/* What the lock protects, as it is now. */
static uint64_t arena_look(struct arena *arena, const uint64_t *value)
{
	uint64_t now;

	pthread_mutex_lock(&arena->lock);
	now = *value;
	pthread_mutex_unlock(&arena->lock);
	return now;
}

uint64_t arena_used(struct mapcache *cache)
{
	return arena_look(&cache->space.arena, &cache->space.arena.used);
}

uint64_t space_slots(struct mapcache *cache)
{
	return arena_look(&cache->space.arena, &cache->space.arena.beyond);
}

/* ---- the room ----------------------------------------------------------------------------- */

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
	if (cache->space.arena.reserve.start)
		reserve_abandon(&cache->space.arena.reserve);
	arena_forget(&cache->space.arena);
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
