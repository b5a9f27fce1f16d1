/* SPDX-License-Identifier: MIT */
/*
 * The guest's page allocator. Pages are picked at random among the free ones, so that what
 * was ballooned out and in is soon a buffer or a ring again. Any vCPU; never blocks for long.
 */
#ifndef DEMO_POOL_H
#define DEMO_POOL_H

#include <pthread.h>
#include <stdint.h>

#define PAGE_BYTES 4096u

struct pool {
	pthread_mutex_t lock;
	uint64_t *gfn; /* the free pages */
	uint32_t count;
	uint64_t random;
};

/* Pages from first on, count of them, all free. 0 or -ENOMEM. */
int pool_init(struct pool *pool, uint64_t first, uint32_t count, uint64_t seed);
void pool_destroy(struct pool *pool);
/* All or none: 0 or -ENOMEM. */
int pool_take(struct pool *pool, uint64_t *gfn, uint32_t count);
void pool_give(struct pool *pool, const uint64_t *gfn, uint32_t count);

#endif
