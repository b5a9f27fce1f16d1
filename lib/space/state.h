/* SPDX-License-Identifier: MIT */
/* What space keeps of a cache. Its own files only. */
#ifndef MAPCACHE_SPACE_STATE_H
#define MAPCACHE_SPACE_STATE_H

#include <pthread.h>

#include <mapcache/atomic.h>

struct mapping;
struct place;
struct placeholder;

/*
 * The reservation: address space that is ours, held by mappings of a file of our own that nobody
 * can access. The file tells them from whatever anybody else of the process maps: where a backend
 * has failed, its library may have given the range back to the kernel, and another thread's
 * mmap(2) may have it already (H). Nothing here is locked: a range belongs to whoever maps in it.
 */
struct reserve {
	char *start;
	uint64_t bytes;
	int file;               /* -1: none was to be had, and what is ours cannot be told */
	uint64_t device, inode; /* of it */
	int areas;              /* the kernel's list of what is mapped where, or -1 */
};

#define ARENA_SPARES 64 /* the first slots, for clients' own use: a word of the bitmap */

/*
 * The address space of a cache: reserved once, cut into bucket-sized slots. A slot is mapped
 * over with MAP_FIXED and released by mapping the reservation over it, so that no other thread's
 * mmap can get in between and neighbours are released in one call.
 */
struct arena {
	struct reserve reserve;
	char *base; /* first slot, aligned to a bucket */
	uint64_t bytes;
	uint32_t shift;
	uint64_t slots;            /* those of the clients' spares included */
	struct mapping *mappings;  /* one a slot */
	pthread_mutex_t lock;      /* protects what follows, and where a chosen place is */
	uint64_t *taken;           /* one bit a slot; behind the mappings */
	uint64_t lowest;           /* no slot before this is free, but for the spares */
	uint64_t used;             /* slots taken and not given back, but for the spares */
	uint64_t beyond;           /* slots at and past this were never taken */
	uint64_t vmas;             /* kernel mappings, but for the empty reservation's one */
	uint64_t vmas_taken;       /* for map calls on their way */
	uint64_t vmas_limit;       /* the budget, or less: the kernel had no more for the process */
	uint64_t lost, lost_bytes; /* ranges that are somebody else's, and all of them */
};

/* Where slots are, with a backend that chooses (place.c). */
struct places {
	struct place *of; /* one a slot; NULL: the backend maps where it is told */
	uint32_t *heads;  /* chains: slot + 1 */
	uint64_t mask;    /* their number - 1 */
};

/* Memory that stands in for the guest's (source.c). */
struct placeholders {
	pthread_mutex_t lock; /* protects the list */
	struct placeholder *first;
};

/* Kernel mappings that are there to be given up (cover.c). */
#define BALLAST_PAGES 8

struct space {
	struct arena arena;
	void *ballast[BALLAST_PAGES]; /* NULL: given up, or not to be had. Atomic */
	struct places places;
	struct placeholders placeholders;
	/* The guest frame that each page of each slot shows, where addresses are translated, or of
	 * slots that are MAPPING_LISTED. NULL: there are none. */
	mapcache_atomic_u64 *frames;
	mapcache_atomic_u64 unmap_calls, unmap_errors;
};

#endif
