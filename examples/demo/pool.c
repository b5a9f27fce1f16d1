/* SPDX-License-Identifier: MIT */
/* Free pages in an array; the lock is the guest kernel's. */
#include "pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/random.h"

int pool_init(struct pool *pool, uint64_t first, uint32_t count, uint64_t seed)
{
	uint32_t i;

	memset(pool, 0, sizeof(*pool));
	pool->gfn = calloc(count, sizeof(pool->gfn[0]));
	if (!pool->gfn)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		pool->gfn[i] = first + i;
	pool->count = count;
	pool->random = seed;
	pthread_mutex_init(&pool->lock, NULL);
	return 0;
}

void pool_destroy(struct pool *pool)
{
	if (pool->gfn)
		pthread_mutex_destroy(&pool->lock);
	free(pool->gfn);
}

int pool_take(struct pool *pool, uint64_t *gfn, uint32_t count)
{
	int error = -ENOMEM;

	pthread_mutex_lock(&pool->lock);
	if (pool->count >= count) {
		error = 0;
		while (count--) {
			uint64_t pick = random_below(&pool->random, pool->count);

			*gfn++ = pool->gfn[pick];
			pool->gfn[pick] = pool->gfn[--pool->count];
		}
	}
	pthread_mutex_unlock(&pool->lock);
	return error;
}

void pool_give(struct pool *pool, const uint64_t *gfn, uint32_t count)
{
	pthread_mutex_lock(&pool->lock);
	memcpy(pool->gfn + pool->count, gfn, count * sizeof(*gfn));
	pool->count += count;
	pthread_mutex_unlock(&pool->lock);
}
