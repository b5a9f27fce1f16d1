/* SPDX-License-Identifier: MIT */
/* The options, checked and completed: constant while the cache is open. */
#ifndef MAPCACHE_SETTINGS_H
#define MAPCACHE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define CACHE_LINE 128 /* two lines: adjacent ones are fetched together */

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

#endif
