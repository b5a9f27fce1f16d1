/* SPDX-License-Identifier: MIT */
/* What fill keeps of a cache. Its own files only. */
#ifndef MAPCACHE_FILL_STATE_H
#define MAPCACHE_FILL_STATE_H

#include <pthread.h>

#include "lib/base/settings.h"
#include "lib/fill/hot.h"

struct mapping;

/* Granules of many buckets, mapped by one call into a slot each time (batch.c). */
struct batches {
	pthread_mutex_t lock; /* protects what follows, and the words of granules */
	struct hots hots;
	struct mapping *first; /* shown; the newest first */
	uint64_t count;        /* of these */
	uint64_t used;         /* buckets; any that was asked for after an INVALIDATE is below */
	uint64_t dropped;      /* times that what is shown went, and is not to come: batch_drop() */
	uint64_t since, period_ns;  /* when the epoch was noticed, and how long they take */
	uint64_t away_until;        /* ns; a call took too long: till then there are none */
	mapcache_atomic_u64 *words; /* by granule; NULL: there are none yet */
	bool off;                   /* for good */
};

struct fills {
	struct cost cost; /* of map calls */
	uint8_t *habits;  /* a byte a bucket on how it is used (plan.c) */
	struct batches batches;
};

#endif
