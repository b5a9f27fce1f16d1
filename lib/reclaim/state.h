/* SPDX-License-Identifier: MIT */
/* What reclaim keeps of a cache. Its own files only. */
#ifndef MAPCACHE_RECLAIM_STATE_H
#define MAPCACHE_RECLAIM_STATE_H

#include <pthread.h>
#include <stdbool.h>

#include <mapcache/atomic.h>

#include "lib/base/settings.h"
#include "lib/base/base.h"
#include "lib/reclaim/rest.h"

struct mapcache;
struct mapcache_client;
struct mapping;

/* Retired mappings on their way to the arena. */
struct retired {
	pthread_mutex_t lock;     /* protects what follows */
	struct mapping *incoming; /* since the last tick of the clock */
	struct mapping *waiting;  /* until every section is past that tick */
	struct mapping *ready;    /* nobody can be using it, and nobody pins it */
	struct mapping *pinned;   /* nobody but its pinners */
	uint32_t clock;           /* the tick that waiting waits for */
	enum { BARRIER_NONE, BARRIER_RUNNING, BARRIER_DONE } barrier; /* since that tick */
	mapcache_atomic_u64 pending;                                  /* incoming and waiting */
	mapcache_atomic_u64 count;                                    /* of all so far */
	mapcache_atomic_u64 pinned_bytes;
};

/* When to retire, and the thread that does it. */
struct reclaim_thread {
	struct worker worker;
	struct rest rest; /* the thread writes, others read without the lock */
	uint64_t delay;   /* ns to the next look; the thread's own */
};

struct reclaim {
	struct retired retired;
	struct reclaim_thread thread;
	uint64_t (*others)(struct mapcache *cache, bool room);   /* reclaim_others() */
	bool (*batches)(struct mapcache *cache, uint64_t epoch); /* reclaim_batches() */
	mapcache_atomic_u64 other_slots;
	mapcache_atomic_u64 evict_stripe, help_stripe; /* whose turn it is */
	mapcache_atomic_u64 evictions, grace_periods;
	struct cost unmap; /* of slots */
};

#endif
