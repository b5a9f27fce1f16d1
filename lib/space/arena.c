/* SPDX-License-Identifier: MIT */
#include "lib/space/arena.h"

#include <errno.h>
#include <sys/mman.h>

#include "lib/base/base.h"
#include "lib/space/mapping.h"

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

/* [from, to) is ours. */
static void arena_unmap(char *from, char *to)
{
	if (from < to)
		munmap(from, (size_t)(to - from));
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
		arena_unmap(from, base + ((uint64_t)mapping->lost_first << PAGE_SHIFT));
		from = base + (((uint64_t)mapping->lost_first + mapping->lost_pages) << PAGE_SHIFT);
	}
	arena_unmap(from, arena->reserve.start + arena->reserve.bytes);
	reserve_close(&arena->reserve);
}

int arena_init(struct arena *arena, uint64_t slots, uint32_t shift, bool reserve)
{
	int error;

	slots += ARENA_SPARES;
	/* What else there is for every slot is smaller: places, and the pins of a client. */
	if (slots > SIZE_MAX / sizeof(*arena->mappings))
		return -ENOMEM;
	arena->shift = shift;
	arena->slots = slots;
	error = reserve ? arena_reserve(arena) : 0;
	if (error)
		return error;
	arena->mappings = account_reserve(slots * sizeof(*arena->mappings), PROT_READ | PROT_WRITE);
	if (!arena->mappings) {
		error = -errno;
		goto unreserve;
	}
	error = -pthread_mutex_init(&arena->lock, NULL);
	if (error)
		goto unmap;
	error = runs_init(&arena->free, slots - ARENA_SPARES);
	if (error)
		goto destroy_lock;
	arena->spares = UINT64_MAX >> (64 - ARENA_SPARES);
	arena->beyond = ARENA_SPARES;
	return 0;
destroy_lock:
	pthread_mutex_destroy(&arena->lock);
unmap:
	munmap(arena->mappings, (size_t)(slots * sizeof(*arena->mappings)));
unreserve:
	arena_unreserve_space(arena);
	return error;
}

static void arena_forget(struct arena *arena)
{
	runs_destroy(&arena->free);
	munmap(arena->mappings, (size_t)(arena->slots * sizeof(*arena->mappings)));
}

void arena_abandon(struct arena *arena)
{
	if (arena->reserve.start)
		reserve_abandon(&arena->reserve);
	arena_forget(arena);
}

void arena_destroy(struct arena *arena)
{
	pthread_mutex_destroy(&arena->lock);
	arena_unreserve_space(arena);
	arena_forget(arena);
}

struct mapping *arena_take_run(struct mapcache *cache, uint64_t count, uint64_t keep)
{
	struct arena *arena = &cache->space.arena;
	uint64_t all = arena->slots - ARENA_SPARES, first = RUNS_NONE;

	pthread_mutex_lock(&arena->lock);
	if (count + keep <= all && arena->used <= all - count - keep)
		first = runs_find(&arena->free, count);
	if (first != RUNS_NONE) {
		runs_set(&arena->free, first, count, true);
		arena->used += count;
		first += ARENA_SPARES;
		if (arena->beyond < first + count)
			arena->beyond = first + count;
	}
	pthread_mutex_unlock(&arena->lock);
	return first == RUNS_NONE ? NULL : &arena->mappings[first];
}

struct mapping *arena_take(struct mapcache *cache)
{
	return arena_take_run(cache, 1, 0);
}

struct mapping *arena_take_spare(struct mapcache *cache)
{
	struct arena *arena = &cache->space.arena;
	struct mapping *mapping = NULL;

	pthread_mutex_lock(&arena->lock);
	if (arena->spares) {
		mapping = &arena->mappings[__builtin_ctzll(arena->spares)];
		arena->spares &= arena->spares - 1;
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
	if (mapping->lost_pages) {
		/* It stays taken. */
	} else if (slot < ARENA_SPARES) {
		arena->spares |= UINT64_C(1) << slot;
	} else {
		runs_set(&arena->free, slot - ARENA_SPARES, 1, false);
		arena->used--;
	}
	pthread_mutex_unlock(&arena->lock);
}

uint64_t arena_used(struct mapcache *cache)
{
	struct arena *arena = &cache->space.arena;
	uint64_t used;

	pthread_mutex_lock(&arena->lock);
	used = arena->used;
	pthread_mutex_unlock(&arena->lock);
	return used;
}

void arena_count(struct arena *arena, struct mapcache_stats *stats)
{
	pthread_mutex_lock(&arena->lock);
	stats->slots_used = arena->used;
	stats->vmas = arena->vmas;
	stats->lost_ranges = arena->lost;
	stats->lost_bytes = arena->lost_bytes;
	pthread_mutex_unlock(&arena->lock);
}
