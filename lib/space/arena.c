/* SPDX-License-Identifier: MIT */
#include "lib/space/arena.h"

#include <errno.h>
#include <sys/mman.h>

#include "lib/space/mapping.h"

static void arena_put(struct arena *arena, struct mapping *mapping)
{
	struct mapping **list = &arena->free;

	if (mapping < arena->mappings + ARENA_SPARES)
		list = &arena->spare;
	else
		arena->used--;
	mapping_set_state(mapping, MAPPING_FREE);
	mapping->listed = list == &arena->free;
	mapping->next = *list;
	*list = mapping;
}

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
	for (unsigned int i = 0; i < ARENA_SPARES; i++)
		arena_put(arena, &arena->mappings[i]);
	arena->beyond = ARENA_SPARES;
	return 0;
unmap:
	munmap(arena->mappings, (size_t)(slots * sizeof(*arena->mappings)));
unreserve:
	arena_unreserve_space(arena);
	return error;
}

void arena_unreserve(struct arena *arena)
{
	munmap(arena->mappings, (size_t)(arena->slots * sizeof(*arena->mappings)));
	arena_unreserve_space(arena);
}

void arena_destroy(struct arena *arena)
{
	pthread_mutex_destroy(&arena->lock);
	arena_unreserve(arena);
}

struct mapping *arena_take(struct arena *arena)
{
	struct mapping *mapping = NULL;

	pthread_mutex_lock(&arena->lock);
	if (arena->free) {
		mapping = arena->free;
		mapping->listed = 0;
		arena->free = mapping->next;
	} else if (arena->beyond < arena->slots) {
		mapping = &arena->mappings[arena->beyond++];
	}
	if (mapping)
		arena->used++;
	pthread_mutex_unlock(&arena->lock);
	return mapping;
}

/* The first of count neighbours on the free list; NULL: there are none. Lock held. */
static struct mapping *arena_find_run(struct arena *arena, uint64_t count)
{
	uint64_t run = 0;

	for (uint64_t slot = ARENA_SPARES; slot < arena->beyond; slot++) {
		run = arena->mappings[slot].listed ? run + 1 : 0;
		if (run == count)
			return &arena->mappings[slot + 1 - count];
	}
	return NULL;
}

static void arena_unlist_run(struct arena *arena, struct mapping *first, uint64_t count)
{
	struct mapping **link = &arena->free;

	for (uint64_t left = count; *link && left;) {
		if (*link >= first && *link < first + count) {
			(*link)->listed = 0;
			*link = (*link)->next;
			left--;
		} else {
			link = &(*link)->next;
		}
	}
}

/* Whether the list begins with count neighbours, as giving a run back leaves it. */
static bool arena_begins_run(const struct arena *arena, uint64_t count)
{
	const struct mapping *mapping = arena->free;
	uint64_t run = 0;

	while (mapping && mapping == arena->free + run && ++run < count)
		mapping = mapping->next;
	return run == count;
}

struct mapping *arena_take_run(struct arena *arena, uint64_t count, uint64_t keep)
{
	struct mapping *first = NULL;
	uint64_t all = arena->slots - ARENA_SPARES;

	pthread_mutex_lock(&arena->lock);
	if (count + keep > all || arena->used > all - count - keep)
		goto unlock;
	if (arena_begins_run(arena, count)) {
		first = arena->free;
		arena_unlist_run(arena, first, count);
	} else if (count <= arena->slots - arena->beyond) {
		first = &arena->mappings[arena->beyond];
		arena->beyond += count;
	} else {
		first = arena_find_run(arena, count);
		if (first)
			arena_unlist_run(arena, first, count);
	}
	if (first)
		arena->used += count;
unlock:
	pthread_mutex_unlock(&arena->lock);
	return first;
}

struct mapping *arena_take_spare(struct arena *arena)
{
	struct mapping *mapping;

	pthread_mutex_lock(&arena->lock);
	mapping = arena->spare;
	if (mapping)
		arena->spare = mapping->next;
	pthread_mutex_unlock(&arena->lock);
	return mapping;
}

void arena_give(struct arena *arena, struct mapping *mapping)
{
	mapcache_store_relaxed(&mapping->epoch, 0); /* mapcache_gpa(): nobody's */
	pthread_mutex_lock(&arena->lock);
	arena_put(arena, mapping);
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
