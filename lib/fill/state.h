/* SPDX-License-Identifier: MIT */
/* What fill keeps of a cache. Its own files only. */
#ifndef MAPCACHE_FILL_STATE_H
#define MAPCACHE_FILL_STATE_H

#include <mapcache/atomic.h>

/* What map calls take, in ns; whoever maps notes it, and a lost update does not matter. */
struct fill_cost {
	mapcache_atomic_u64 granule, whole;
};

struct fills {
	struct fill_cost cost;
	/* plan.c: the last epoch that anybody mapped in, and when that was noticed (ns); a byte a
	 * bucket on how it is used, and how many of them there may be something in. */
	mapcache_atomic_u64 epoch, since;
	uint8_t *habits;
	mapcache_atomic_u64 habits_used;
};

#endif
