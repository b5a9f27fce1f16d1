/* SPDX-License-Identifier: MIT */
/* The options, checked and completed: constant while the cache is open. */
#ifndef MAPCACHE_SETTINGS_H
#define MAPCACHE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define CACHE_LINE 128 /* two lines: adjacent ones are fetched together */

/* How much is mapped after an invalidation, and where (fill.c); benchmarks try others. */
struct fill_policy {
	uint8_t dense_calls;  /* map calls in one epoch that make a bucket dense; 0: as many as
				 cost what one for the whole bucket does */
	uint8_t dense_epochs; /* refreshes for which it stays so */
	uint8_t small;        /* stale granules that may stay beside those replaced */
	uint8_t empty;        /* granules released on the way to a pointer, at most */
	bool whole_in_place;  /* or whole buckets, which are more than that */
	bool at_once;         /* a dense bucket is mapped whole in the epoch that shows it */
	bool map_over;        /* rather over what is retired than in an empty slot */
};

struct settings {
	uint32_t domid;
	uint32_t bucket_shift, granule_shift, stripes, reclaim_ms, flags;
	uint64_t slots;     /* whole address space */
	uint64_t reserve;   /* of these, see slot.c */
	uint64_t stale_max; /* bytes */
	uint64_t vmas_max;
	uint64_t guest_limit;
	uint64_t whole_bytes;
	unsigned int granules; /* of a bucket */
	unsigned int granule_pages, bucket_pages;
	struct fill_policy fill;
};

#endif
