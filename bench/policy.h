/* SPDX-License-Identifier: MIT */
/* Ways to map again after an INVALIDATE: the library's own, and what it could do instead. */
#ifndef BENCH_POLICY_H
#define BENCH_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/contestant.h"

/* Members of struct fill_policy (lib/private.h). */
enum policy_knob {
	POLICY_NOTHING,
	POLICY_DENSE_CALLS,
	POLICY_DENSE_EPOCHS,
	POLICY_SMALL,
	POLICY_EMPTY,
	POLICY_WHOLE_IN_PLACE,
	POLICY_AT_ONCE,
	POLICY_MAP_OVER,
};

struct policy_change {
	enum policy_knob knob;
	uint8_t value;
};

#define POLICY_CHANGES 5

/* What a policy changes of the library's own; 0: nothing. */
struct policy {
	const char *name, *text;
	uint32_t bucket_shift, granule_shift, reclaim_ms;
	struct policy_change change[POLICY_CHANGES];
};

extern const struct policy policies[];
extern const unsigned int policies_count;

/* Whether a comma-separated list names it; NULL names all. */
bool policy_wanted(const struct policy *policy, const char *names);
bool policy_known(const char *name);

/* Change the options a cache will be opened with / a cache that nothing was mapped in yet. */
void policy_configure(const struct policy *policy, struct contestant_config *config);
void policy_apply(const struct policy *policy, struct mapcache *cache);

#endif
