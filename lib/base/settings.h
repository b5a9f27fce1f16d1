/* SPDX-License-Identifier: MIT */
/* The options, checked and completed: constant while the cache is open. */
#ifndef MAPCACHE_SETTINGS_H
#define MAPCACHE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include <mapcache/atomic.h>

#define PAGE_SHIFT 12
#define CACHE_LINE 128 /* two lines: adjacent ones are fetched together */

/* What calls take for a whole bucket, for little of one and for a granule more, in ns, 0: not known yet. Whoever makes
 * them notes it; a lost update does not matter. */
struct cost {
	mapcache_atomic_u64 little, whole, granule;
};

struct settings {
	uint32_t domid;
	uint32_t bucket_shift, granule_shift, stripes, reclaim_ms, flags;
	uint64_t slots;     /* whole address space */
	uint64_t reserve;   /* of these, see slot.c */
	uint64_t stale_max; /* bytes */
	uint64_t vmas_max;
	uint64_t guest_limit;
	unsigned int granules; /* of a bucket */
	unsigned int granule_pages, bucket_pages;
};

/* Whether the guest may have [gpa, gpa + len); by subtraction, so that nothing wraps (I). */
static inline bool settings_reach(const struct settings *settings, uint64_t gpa, uint64_t len)
{
	return gpa < settings->guest_limit && len <= settings->guest_limit - gpa;
}

#endif
