/* SPDX-License-Identifier: MIT */
#include <lib/index/index.h>
#include <tests/support/locks.h>

#define LOCKS_MAX 4200u

static unsigned int locks_list(struct mapcache *cache, pthread_mutex_t **list)
{
	unsigned int count = 0;

	list[count++] = &cache->reclaim.thread.worker.lock;
	list[count++] = &cache->api.seats_lock;
	list[count++] = &cache->protocol.sweep_lock;
	for (uint32_t i = 0; i < cache->settings.stripes; i++)
		list[count++] = &cache->index.stripes[i].lock;
	list[count++] = &cache->pins.spans.lock;
	list[count++] = &cache->space.placeholders.lock;
	list[count++] = &cache->accounts.lock;
	list[count++] = &cache->reclaim.retired.lock;
	list[count++] = &cache->protocol.clients.lock;
	list[count++] = &cache->space.arena.lock;
	return count;
}

unsigned int locks_held(struct mapcache *cache)
{
	pthread_mutex_t *list[LOCKS_MAX];
	unsigned int count = locks_list(cache, list), held = 0;

	for (unsigned int i = 0; i < count; i++) {
		if (pthread_mutex_trylock(list[i]))
			held++;
		else
			pthread_mutex_unlock(list[i]);
	}
	return held;
}

void locks_take(struct mapcache *cache)
{
	pthread_mutex_t *list[LOCKS_MAX];
	unsigned int count = locks_list(cache, list);

	for (unsigned int i = 0; i < count; i++)
		pthread_mutex_lock(list[i]);
}

void locks_drop(struct mapcache *cache)
{
	pthread_mutex_t *list[LOCKS_MAX];
	unsigned int count = locks_list(cache, list);

	while (count-- > 0)
		pthread_mutex_unlock(list[count]);
}
