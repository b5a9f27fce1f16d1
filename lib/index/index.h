/* SPDX-License-Identifier: MIT */
/*
 * index: which bucket has a mapping, in stripes. A stripe is a lock, the buckets whose number
 * hashes to it, and their order of use: a list of uthash's, oldest first. The slot of a bucket
 * stands beside its table entry, so that it is found by arithmetic and nothing here can fail. It
 * promises to the rooms above: one mapping a bucket; who holds the stripe's lock has its mappings
 * to itself, but for those that are busy.
 *
 * Lock: a stripe's.
 * Guarantees: C (what is retired is in no index).
 */
#ifndef MAPCACHE_INDEX_H
#define MAPCACHE_INDEX_H

#include "lib/space/space.h"

struct stripe {
	pthread_mutex_t lock;  /* protects the index, and the mappings in it that are not busy */
	pthread_cond_t filled; /* a busy mapping of this stripe is no longer busy */
	struct mapping *oldest;
	uint64_t count;
} __attribute__((aligned(CACHE_LINE)));

int index_init(struct mapcache *cache);
void index_destroy(struct mapcache *cache);
/* In a child after fork(2): what hangs on the stripes stays, somebody may have been changing it. */
void index_abandon(struct mapcache *cache);
void index_stats(struct mapcache *cache, struct mapcache_stats *stats);
/* The stripe of a bucket, and the i-th of settings.stripes, counted round. */
struct stripe *stripe_of(struct mapcache *cache, uint64_t index);
static inline struct stripe *stripe_at(const struct mapcache *cache, uint64_t i)
{
	return &cache->index.stripes[i & (cache->settings.stripes - 1)];
}
/* Buckets that have a mapping. */
static inline uint64_t index_buckets(const struct mapcache *cache)
{
	return mapcache_load_relaxed(&cache->index.buckets);
}

/* All with the lock held. */
struct mapping *stripe_find(struct mapcache *cache, uint64_t index);
/* As the most recently used; its entry is populated. */
void stripe_add(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping);
void stripe_remove(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping);
/* Make it the most recently used. */
void stripe_touch(struct stripe *stripe, struct mapping *mapping);
struct mapping *stripe_newer(struct mapping *mapping);

#endif
