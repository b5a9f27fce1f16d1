/* SPDX-License-Identifier: MIT */
/* What fill keeps of a cache. Its own files only. */
#ifndef MAPCACHE_FILL_STATE_H
#define MAPCACHE_FILL_STATE_H

#include "lib/base/settings.h"

struct fills {
	struct cost cost; /* of map calls */
	/* plan.c: the last epoch that anybody mapped in, and when that was noticed (ns); a byte a
	 * bucket on how it is used, and how many of them there may be something in. */
	mapcache_atomic_u64 epoch, since;
	uint8_t *habits;
	mapcache_atomic_u64 habits_used;
};

#endif
