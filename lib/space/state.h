/* SPDX-License-Identifier: MIT */
/* What space keeps of a cache. Its own files only. */
#ifndef MAPCACHE_SPACE_STATE_H
#define MAPCACHE_SPACE_STATE_H

#include <pthread.h>

#include <mapcache/atomic.h>

#include "lib/space/arena.h"
#include "lib/space/ballast.h"

struct place;
struct placeholder;

/* Memory that stands in for the guest's (source.c). */
struct placeholders {
	pthread_mutex_t lock; /* protects the list */
	struct placeholder *first;
	mapcache_atomic_u64 count;
};

/* Where slots are, with a backend that chooses (place.c). */
struct places {
	pthread_mutex_t lock; /* protects what follows, but what a place's owner reads */
	struct place *of;     /* one a slot; NULL: the backend maps where it is told */
	uint32_t *heads;      /* chains: slot + 1 */
	uint64_t mask;        /* their number - 1 */
};

struct space {
	struct arena arena;
	struct ballast ballast;
	struct places places;
	struct placeholders placeholders;
	/* The guest frame that each page of each slot shows, where addresses are translated, or of
	 * slots that are MAPPING_LISTED. NULL: there are none. */
	mapcache_atomic_u64 *frames;
	mapcache_atomic_u64 unmap_calls, unmap_errors;
};

#endif
