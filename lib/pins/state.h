/* SPDX-License-Identifier: MIT */
/* What pins keeps of a cache and of a client. Its own files only. */
#ifndef MAPCACHE_PINS_STATE_H
#define MAPCACHE_PINS_STATE_H

#include <pthread.h>

#include <mapcache/mapcache.h>

#include "lib/pins/report.h"

struct span;

/* Modified pages on their way to a report; what does not fit is covered by a larger extent. */
#define DIRTY_EXTENTS 32

struct dirty {
	struct mapcache_extent extent[DIRTY_EXTENTS]; /* rising, with gaps between */
	unsigned int count;
};

/* Pins with address space of their own (span.c). */
struct spans {
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t idle;  /* one is no longer busy */
	struct span *first;   /* most recently used first */
	uint64_t count;
	uint64_t pinned_bytes; /* stale and pinned, at the last reclaim */
};

struct pins {
	struct spans spans;
	struct reports reports;
};

#endif
