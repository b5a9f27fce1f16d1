/* SPDX-License-Identifier: MIT */
#include "lib/space/own.h"

#include <errno.h>

#include "lib/base/base.h"

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
	return 0;
}

static void arena_forget(struct arena *arena)
{
	if (arena->mappings)
		munmap(arena->mappings, (size_t)arena_mappings_bytes(arena));
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

uint64_t arena_used(struct mapcache *cache)
{
	struct arena *arena = &cache->space.arena;
	uint64_t used;

	pthread_mutex_lock(&arena->lock);
	used = arena->used;
	pthread_mutex_unlock(&arena->lock);
	return used;
}
