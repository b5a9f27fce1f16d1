/* SPDX-License-Identifier: MIT */
/* What the index keeps of a cache. Its own files only. */
#ifndef MAPCACHE_INDEX_STATE_H
#define MAPCACHE_INDEX_STATE_H

#include <mapcache/atomic.h>

struct stripe;

struct index {
	struct stripe *stripes;
	mapcache_atomic_u64 buckets;
};

#endif
