/* SPDX-License-Identifier: MIT */
/*
 * One stripe of the index: a lock, the buckets whose number hashes to it, and their order of
 * use. The only user of uthash, whose own element order is the LRU list: oldest first.
 */
#ifndef STRIPE_H
#define STRIPE_H

#include "lib/space/mapping.h"

struct stripe {
	pthread_mutex_t lock;  /* protects the index, and the mappings in it that are not busy */
	pthread_cond_t filled; /* a busy mapping of this stripe is no longer busy */
	struct mapping *index;
} __attribute__((aligned(CACHE_LINE)));

int stripe_init_all(struct mapcache *cache);
void stripe_destroy_all(struct mapcache *cache);
struct stripe *stripe_of(struct mapcache *cache, uint64_t index);

/* All with the lock held. */
struct mapping *stripe_find(struct stripe *stripe, uint64_t index);
/* As the most recently used. -ENOMEM. */
int stripe_add(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping);
void stripe_remove(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping);
/* Make it the most recently used. -ENOMEM: it is no longer in the index. */
int stripe_touch(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping);
struct mapping *stripe_oldest(struct stripe *stripe);
struct mapping *stripe_newest(struct stripe *stripe);
struct mapping *stripe_newer(struct mapping *mapping);
struct mapping *stripe_older(struct mapping *mapping);
/* It is busy no more, and as it was; doomed meanwhile, it is retired. Wakes who waits. */
void stripe_settle(struct mapcache *cache, struct stripe *stripe, struct mapping *mapping);
uint64_t stripe_count(struct stripe *stripe);
uint64_t stripe_memory(struct stripe *stripe);

#endif
