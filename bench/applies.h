/* SPDX-License-Identifier: MIT */
/* Which options mean something to which scenario: the others are refused, not passed over. */
#ifndef BENCH_APPLIES_H
#define BENCH_APPLIES_H

#include <stdbool.h>

/* given: names of options on the command line, as their bits below. */
enum applies {
	APPLIES_WORKING_SET = 1 << 0,
	APPLIES_THREADS = 1 << 1,
	APPLIES_RATE = 1 << 2,
	APPLIES_CONTESTANTS = 1 << 3,
	APPLIES_POLICIES = 1 << 4,
	APPLIES_DISTRIBUTION = 1 << 5, /* and its skew */
	APPLIES_PATTERN = 1 << 6,
	APPLIES_WRITE = 1 << 7,
	APPLIES_PINNED = 1 << 8,
	APPLIES_RESIDENT = 1 << 9,
	APPLIES_SHIFTS = 1 << 10,
	APPLIES_RECLAIM_MS = 1 << 11,
	APPLIES_COST = 1 << 12, /* on the simulator; and what belongs to it */
	APPLIES_ROUNDS = 1 << 13,
	APPLIES_DURATION = 1 << 14,
	APPLIES_SEED = 1 << 15,
	APPLIES_DOMID = 1 << 16, /* on a real Xen */
	APPLIES_GUEST_BASE = 1 << 17,
	APPLIES_NO_BATCHES = 1 << 18,
};

/* What the scenario takes on this platform; 0 when there is none of that name. */
unsigned int applies_to(const char *scenario, bool real_xen);

#endif
