/* SPDX-License-Identifier: MIT */
/* Ways to map again after an INVALIDATE: the library's own, and what it could do instead. */
#ifndef BENCH_POLICY_H
#define BENCH_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/contestant.h"

/* What a policy changes of the library's own; 0: nothing. */
struct policy {
	const char *name, *text;
	uint32_t bucket_shift, granule_shift, reclaim_ms;
	bool no_batches;
};

extern const struct policy policies[];
extern const unsigned int policies_count;

/* Whether a comma-separated list names it; NULL names all. */
bool policy_wanted(const struct policy *policy, const char *names);
bool policy_known(const char *name);

/* Change the options a cache will be opened with. */
void policy_configure(const struct policy *policy, struct contestant_config *config);

#endif
