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
};

#endif
