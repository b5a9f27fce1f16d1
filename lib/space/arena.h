/* SPDX-License-Identifier: MIT */
/*
 * The address space of a cache: reserved once, cut into bucket-sized slots. A slot is mapped
 * over with MAP_FIXED and released by mapping the reservation over it, so that no other thread's
 * mmap can get in between and neighbours are released in one call.
 */
#ifndef ARENA_H
#define ARENA_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/space/reserve.h"
#include "lib/space/runs.h"

struct mapcache_stats;
struct mapping;

struct arena {
	struct reserve reserve;
	char *base; /* first slot, aligned to a bucket */
	uint64_t bytes;
	uint32_t shift;
	uint64_t slots;            /* those of the clients' spares included */
	struct mapping *mappings;  /* one a slot */
	pthread_mutex_t lock;      /* protects what follows */
	struct runs free;          /* but for the spares */
	uint64_t spares;           /* mask of those that are free */
	uint64_t used;             /* slots taken and not given back, but for the spares */
	uint64_t beyond;           /* slots at and past this were never taken */
	uint64_t vmas;             /* kernel mappings, but for the empty reservation's one */
	uint64_t vmas_taken;       /* for map calls on their way */
	uint64_t vmas_limit;       /* past which the kernel had no more for the process; 0: never */
	uint64_t lost, lost_bytes; /* ranges that are somebody else's, and all of them */
};

#define ARENA_SPARES 64 /* the first slots, for clients' own use; at most 64 */

/* reserve: with address space, for a backend that maps where it is told. */
int arena_init(struct arena *arena, uint64_t slots, uint32_t shift, bool reserve);
void arena_destroy(struct arena *arena);
/* In a child after fork(2), where locks must not be touched: the address space only. */
void arena_abandon(struct arena *arena);
/* What it counts, into the statistics. */
void arena_count(struct arena *arena, struct mapcache_stats *stats);

#endif
