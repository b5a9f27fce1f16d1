/* SPDX-License-Identifier: MIT */
#include "bench/applies.h"

#include <string.h>

#define LOAD (APPLIES_DISTRIBUTION | APPLIES_PATTERN | APPLIES_SEED)
#define REPEATED (APPLIES_ROUNDS | APPLIES_DURATION)
#define CACHE (APPLIES_SHIFTS | APPLIES_RECLAIM_MS)
#define GUEST (APPLIES_COST | APPLIES_DOMID | APPLIES_GUEST_BASE)
#define STORM                                                                                      \
	(GUEST | CACHE | LOAD | REPEATED | APPLIES_WORKING_SET | APPLIES_THREADS | APPLIES_RATE |  \
	 APPLIES_WRITE | APPLIES_PINNED)

static const struct {
	const char *scenario;
	unsigned int options;
} table[] = {
	{ "hit", GUEST | CACHE | LOAD | REPEATED | APPLIES_WORKING_SET | APPLIES_THREADS |
			 APPLIES_CONTESTANTS | APPLIES_WRITE | APPLIES_PINNED | APPLIES_RESIDENT },
	{ "pin", GUEST | CACHE | LOAD | REPEATED | APPLIES_WORKING_SET | APPLIES_THREADS |
			 APPLIES_CONTESTANTS | APPLIES_RESIDENT },
	{ "miss", GUEST | CACHE | APPLIES_ROUNDS | APPLIES_CONTESTANTS },
	{ "refresh", GUEST | CACHE | APPLIES_ROUNDS | APPLIES_SEED },
	{ "answer", GUEST | LOAD | APPLIES_SHIFTS | APPLIES_ROUNDS | APPLIES_WORKING_SET |
			    APPLIES_CONTESTANTS },
	{ "storm", STORM | APPLIES_CONTESTANTS },
	{ "release", GUEST | CACHE | APPLIES_ROUNDS | APPLIES_WORKING_SET | APPLIES_CONTESTANTS },
	{ "throughput", GUEST | CACHE | REPEATED | APPLIES_THREADS | APPLIES_CONTESTANTS },
	{ "reverse", GUEST | APPLIES_SHIFTS | REPEATED | APPLIES_SEED | APPLIES_WORKING_SET },
	{ "dma", GUEST | CACHE | REPEATED | APPLIES_WORKING_SET },
	{ "footprint", GUEST | APPLIES_SHIFTS | APPLIES_WORKING_SET },
	{ "idle", GUEST | CACHE | APPLIES_DURATION },
	{ "budget", GUEST | APPLIES_SHIFTS | APPLIES_WORKING_SET },
	{ "scale", GUEST | CACHE | LOAD | REPEATED | APPLIES_WORKING_SET | APPLIES_THREADS |
			   APPLIES_CONTESTANTS | APPLIES_WRITE | APPLIES_PINNED |
			   APPLIES_RESIDENT },
	{ "policies", STORM | APPLIES_POLICIES },
	/* It has costs and a guest of its own. */
	{ "vstorm", APPLIES_WORKING_SET | APPLIES_THREADS | APPLIES_RATE | APPLIES_PATTERN |
			    APPLIES_RECLAIM_MS | APPLIES_SEED | APPLIES_DOMID |
			    APPLIES_NO_BATCHES },
	/* Figures with goals are of the default everything; how often is free. */
	{ "quick", GUEST | REPEATED | APPLIES_SEED },
	{ "full", GUEST | REPEATED | APPLIES_SEED },
};

unsigned int applies_to(const char *scenario, bool real_xen)
{
	unsigned int elsewhere = real_xen ? APPLIES_COST : APPLIES_DOMID;

	for (unsigned int i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (!strcmp(table[i].scenario, scenario))
			return table[i].options & ~elsewhere;
	return 0;
}
