/* SPDX-License-Identifier: MIT */
#include "lib/space/arena.h"

#include <errno.h>
#include <sys/mman.h>

#include "lib/space/mapping.h"

/* One bucket more, to align the first slot. */
static int arena_reserve(struct arena *arena)
{
	uint64_t bucket = UINT64_C(1) << arena->shift;

	arena->bytes = arena->slots << arena->shift;
	arena->reserved_bytes = arena->bytes + bucket;
	if (arena->reserved_bytes > SIZE_MAX)
		return -ENOMEM;
	arena->reserved = mmap(NULL, (size_t)arena->reserved_bytes, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena->reserved == MAP_FAILED)
		return -errno;
	arena->base = (char *)(((uintptr_t)arena->reserved + (uintptr_t)bucket - 1) &
			       ~((uintptr_t)bucket - 1));
	return 0;
}

static void arena_unreserve_space(struct arena *arena)
{
	if (arena->reserved)
		munmap(arena->reserved, (size_t)arena->reserved_bytes);
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
	arena->mappings =
		mmap(NULL, (size_t)(slots * sizeof(*arena->mappings)), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena->mappings == MAP_FAILED) {
		error = -errno;
		goto unreserve;
	}
	/* Only what is touched shall cost memory. Advice: may be refused. */
	(void)madvise(arena->mappings, (size_t)(slots * sizeof(*arena->mappings)), MADV_NOHUGEPAGE);
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

void arena_unreserve(struct arena *arena)
{
	runs_destroy(&arena->free);
	munmap(arena->mappings, (size_t)(arena->slots * sizeof(*arena->mappings)));
	arena_unreserve_space(arena);
}

void arena_destroy(struct arena *arena)
{
	pthread_mutex_destroy(&arena->lock);
	arena_unreserve(arena);
}

struct mapping *arena_take_run(struct arena *arena, uint64_t count, uint64_t keep)
{
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

struct mapping *arena_take(struct arena *arena)
{
	return arena_take_run(arena, 1, 0);
}

struct mapping *arena_take_spare(struct arena *arena)
{
	struct mapping *mapping = NULL;

	pthread_mutex_lock(&arena->lock);
	if (arena->spares) {
		mapping = &arena->mappings[__builtin_ctzll(arena->spares)];
		arena->spares &= arena->spares - 1;
	}
	pthread_mutex_unlock(&arena->lock);
	return mapping;
}

void arena_give(struct arena *arena, struct mapping *mapping)
{
	uint64_t slot = (uint64_t)(mapping - arena->mappings);

	mapcache_store_relaxed(&mapping->epoch, 0); /* mapcache_gpa(): nobody's */
	pthread_mutex_lock(&arena->lock);
	mapping_set_state(mapping, MAPPING_FREE);
	if (slot < ARENA_SPARES) {
		arena->spares |= UINT64_C(1) << slot;
	} else {
		runs_set(&arena->free, slot - ARENA_SPARES, 1, false);
		arena->used--;
	}
	pthread_mutex_unlock(&arena->lock);
}

uint64_t arena_used(struct arena *arena)
{
	uint64_t used;

	pthread_mutex_lock(&arena->lock);
	used = arena->used;
	pthread_mutex_unlock(&arena->lock);
	return used;
}

uint64_t arena_beyond(struct arena *arena)
{
	uint64_t beyond;

	pthread_mutex_lock(&arena->lock);
	beyond = arena->beyond;
	pthread_mutex_unlock(&arena->lock);
	return beyond;
}
