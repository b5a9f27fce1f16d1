/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "lib/api/options.h"
#include "lib/base/base.h"
#include "lib/fill/fill.h"
#include "lib/index/index.h"
#include "lib/pins/pins.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

static void stats_fill(struct mapcache *cache, struct mapcache_stats *stats)
{
	stats->memory_bytes = sizeof(*cache);
	stats->range_invalidates = mapcache_load_relaxed(&cache->api.range_invalidates);
	account_stats(cache, stats);
	protocol_stats(cache, space_slots(cache), stats);
	space_stats(cache, stats);
	index_stats(cache, stats);
	reclaim_stats(cache, stats);
	fill_stats(cache, stats);
	pins_stats(cache, stats);
}

int mapcache_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	struct mapcache_stats given, known;
	int error;

	if (!cache || !stats)
		return -EINVAL;
	error = options_copy(stats, &given, sizeof(given));
	if (error)
		return error;
	known = (struct mapcache_stats){ .size = given.size };
	stats_fill(cache, &known);
	memcpy(stats, &known, known.size < sizeof(known) ? known.size : sizeof(known));
	return 0;
}
