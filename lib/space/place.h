/* SPDX-License-Identifier: MIT */
/*
 * Where a slot is in memory. With a backend that maps at an address the arena says so, by
 * arithmetic. With one that does not, a slot is wherever its map call went: then one call maps a
 * bucket, another unmaps it, and slots are found from pointers through an index.
 */
#ifndef PLACE_H
#define PLACE_H

#include "lib/space/mapping.h"

#define PLACE_NONE UINT64_MAX

/* What a slot shows when the backend chose where. Origin: of the bucket's first byte, which a
 * contiguous pin may not show. */
struct place {
	mapcache_atomic_u64 origin;
	char *address; /* places lock; NULL: nothing is mapped */
	size_t pages;
	uint32_t next; /* slot + 1 in the same chain; 0: the last */
};

int place_init(struct mapcache *cache);
void place_destroy(struct mapcache *cache);
/* In a child after fork(2). */
void place_unreserve(struct mapcache *cache);

/*
 * Map pages of the bucket of the mapping, from byte offset on; of count neighbours' buckets where
 * the backend chooses, which nothing may be mapped in. As backend->map(), after space_take(), which
 * it uses up. NULL: nothing is mapped there any more, but for what mapping->mapped still says. Of a
 * slot that is MAPPING_LISTED, the first pages of its list.
 */
char *place_map(struct mapcache *cache, struct mapping *mapping, uint64_t count, uint64_t offset,
		uint64_t gpa, size_t pages, int prot, int *error);
/*
 * Release bytes from offset on, which cover kernel mappings whole; where the backend chooses,
 * what place_map() mapped for these neighbours. -errno: mapping->mapped says what is left.
 */
int place_release(struct mapcache *cache, struct mapping *mapping, uint64_t count, uint64_t offset,
		  uint64_t bytes);

/* Room for the frames of the slot's pages, which need not follow one another; NULL: it cannot show
 * such. Before it is MAPPING_LISTED. */
mapcache_atomic_u64 *place_list(struct mapcache *cache, const struct mapping *mapping);
/* The guest address of a slot's byte. */
uint64_t place_gpa(const struct mapcache *cache, const struct mapping *mapping, uint64_t offset);

/*
 * The guest frame at a pointer that a pin or a section holds, as it was mapped, and for how many
 * bytes from there on the next ones follow.
 */
uint64_t place_frame(struct mapcache *cache, const void *pointer, uint64_t *linear);

uint64_t place_find(struct mapcache *cache, const void *pointer);

/* The slot that a pointer points into, or PLACE_NONE. */
static inline uint64_t place_slot(struct mapcache *cache, const void *pointer)
{
	if (mapcache_likely(arena_holds(cache, pointer)))
		return arena_slot(cache, pointer);
	return place_find(cache, pointer);
}

#endif
