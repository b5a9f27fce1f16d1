/* SPDX-License-Identifier: MIT */
/* A hash of pointers with a count each; a mutex for every so many chains. */
#include "qemu/osdep.h"

#include <pthread.h>

#include "ranges.h"

#define CHAINS 4096u
#define MUTEXES 64u
#define EIGHT(x) x, x, x, x, x, x, x, x

struct lock {
	struct lock *next;
	struct mapcache *cache;
	const void *pointer;
	uint64_t count;
};

static struct lock *chains[CHAINS];
static pthread_mutex_t mutexes[MUTEXES] = { EIGHT(EIGHT(PTHREAD_MUTEX_INITIALIZER)) };

static unsigned int chain_of(const void *pointer)
{
	return (unsigned int)((uintptr_t)pointer * UINT64_C(0x9e3779b97f4a7c15) >> 32) % CHAINS;
}

static struct lock **find(unsigned int chain, const void *pointer)
{
	struct lock **link = &chains[chain];

	while (*link && (*link)->pointer != pointer)
		link = &(*link)->next;
	return link;
}

static int count_one(struct mapcache *cache, unsigned int chain, const void *pointer)
{
	struct lock **link = find(chain, pointer), *lock = *link;

	if (!lock) {
		lock = malloc(sizeof(*lock));
		if (!lock)
			return -ENOMEM;
		*lock = (struct lock){ .cache = cache, .pointer = pointer };
		*link = lock;
	}
	lock->count++;
	return 0;
}

int ranges_lock(struct mapcache *cache, const void *pointer)
{
	unsigned int chain = chain_of(pointer);
	pthread_mutex_t *mutex = &mutexes[chain % MUTEXES];
	int error;

	pthread_mutex_lock(mutex);
	error = count_one(cache, chain, pointer);
	pthread_mutex_unlock(mutex);
	return error;
}

struct mapcache *ranges_unlock(const void *pointer, uint64_t *left)
{
	unsigned int chain = chain_of(pointer);
	pthread_mutex_t *mutex = &mutexes[chain % MUTEXES];
	struct mapcache *cache = NULL;
	struct lock **link, *gone = NULL;

	pthread_mutex_lock(mutex);
	link = find(chain, pointer);
	if (*link) {
		cache = (*link)->cache;
		*left = --(*link)->count;
		if (*left == 0) {
			gone = *link;
			*link = gone->next;
		}
	}
	pthread_mutex_unlock(mutex);
	free(gone);
	return cache;
}
