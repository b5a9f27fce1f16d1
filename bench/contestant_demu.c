/* SPDX-License-Identifier: MIT */
/*
 * demu: 32 sets of 32 ways of single pages, the oldest stamp goes first, an INVALIDATE unmaps
 * all (baseline D). Made safe for threads by one mutex, held over the access. It has no pins.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench/contestant.h"

#define SETS 32
#define WAYS 32

struct demu_way {
	char *page; /* NULL: empty */
	uint64_t gfn;
	uint64_t stamp;
};

struct demu {
	pthread_mutex_t mutex;
	const struct mapcache_backend *backend;
	void *state;
	uint64_t clock;
	struct demu_way sets[SETS][WAYS];
};

struct demu_thread {
	struct contestant_thread head;
	struct demu *cache;
};

static struct demu_way *demu_replace(struct demu_thread *thread, struct demu_way *set, uint64_t gfn)
{
	struct demu *cache = thread->cache;
	struct demu_way *oldest = set;
	int error = 0;

	thread->head.misses++;
	for (unsigned int way = 1; way < WAYS; way++)
		if (set[way].stamp < oldest->stamp)
			oldest = &set[way];
	if (oldest->page)
		cache->backend->unmap(cache->state, oldest->page, 1, 0);
	oldest->page =
		cache->backend->map(cache->state, NULL, gfn, 1, PROT_READ | PROT_WRITE, &error);
	oldest->gfn = gfn;
	if (oldest->page && error) {
		cache->backend->unmap(cache->state, oldest->page, 1, 0);
		oldest->page = NULL;
	}
	return oldest;
}

/* Called with the mutex held. */
CONTESTANT_INLINE char *demu_look_up(struct demu_thread *thread, uint64_t gpa)
{
	struct demu *cache = thread->cache;
	uint64_t gfn = gpa >> 12;
	struct demu_way *set = cache->sets[gfn % SETS], *found = NULL;

	for (unsigned int way = 0; way < WAYS && !found; way++)
		if (set[way].gfn == gfn && set[way].page)
			found = &set[way];
	if (!found)
		found = demu_replace(thread, set, gfn);
	found->stamp = ++cache->clock;
	if (!found->page) {
		thread->head.failures++;
		return NULL;
	}
	return found->page + (gpa & 4095);
}

CONTESTANT_INLINE uint32_t demu_read(struct demu_thread *thread, uint64_t gpa)
{
	const volatile uint32_t *pointer;
	uint32_t value;

	pthread_mutex_lock(&thread->cache->mutex);
	pointer = (const volatile uint32_t *)demu_look_up(thread, gpa);
	value = pointer ? *pointer : 0;
	pthread_mutex_unlock(&thread->cache->mutex);
	return value;
}

CONTESTANT_INLINE void demu_write(struct demu_thread *thread, uint64_t gpa, uint32_t value)
{
	volatile uint32_t *pointer;

	pthread_mutex_lock(&thread->cache->mutex);
	pointer = (volatile uint32_t *)demu_look_up(thread, gpa);
	if (pointer)
		*pointer = value;
	pthread_mutex_unlock(&thread->cache->mutex);
}

#define DESIGN demu
#define DESIGN_PINS 0
#define DESIGN_UNSAFE 0
#include "bench/loops.h"

static int demu_open(const struct contestant_config *config, void **instance)
{
	struct demu *cache = calloc(1, sizeof(*cache));
	int error;

	if (!cache)
		return -ENOMEM;
	cache->backend = config->backend;
	error = cache->backend->open(NULL, config->domid, &cache->state);
	if (error) {
		free(cache);
		return error;
	}
	pthread_mutex_init(&cache->mutex, NULL);
	*instance = cache;
	return 0;
}

static void demu_invalidate(void *instance)
{
	struct demu *cache = instance;

	pthread_mutex_lock(&cache->mutex);
	for (unsigned int i = 0; i < SETS * WAYS; i++) {
		struct demu_way *way = &cache->sets[i / WAYS][i % WAYS];

		if (way->page)
			cache->backend->unmap(cache->state, way->page, 1, 0);
		way->page = NULL;
		way->stamp = 0;
	}
	pthread_mutex_unlock(&cache->mutex);
}

static void demu_close(void *instance)
{
	struct demu *cache = instance;

	demu_invalidate(cache);
	cache->backend->close(cache->state);
	pthread_mutex_destroy(&cache->mutex);
	free(cache);
}

static int demu_thread_open(void *instance, struct contestant_thread **thread)
{
	struct demu_thread *own = aligned_alloc(64, 64);

	if (!own)
		return -ENOMEM;
	*own = (struct demu_thread){ .cache = instance };
	*thread = &own->head;
	return 0;
}

static void demu_thread_close(struct contestant_thread *thread)
{
	free(thread);
}

/* It holds 1024 pages, so that whole buckets mean nothing to it: the first page is touched. */
static int demu_touch(struct contestant_thread *head, uint64_t gpa, size_t len)
{
	uint64_t failures = head->failures;

	(void)len;
	demu_read((struct demu_thread *)head, gpa);
	return head->failures == failures ? 0 : -EFAULT;
}

const struct contestant contestant_demu = {
	.name = "demu",
	.text = "DEMU's algorithm: 32 x 32 single pages under a mutex, unmapping all first",
	.keeps_no_pins = true,
	.open = demu_open,
	.close = demu_close,
	.thread_open = demu_thread_open,
	.thread_close = demu_thread_close,
	.hit = demu_hit_loop,
	.mixed = demu_mixed_loop,
	.storm = demu_storm_loop,
	.touch = demu_touch,
	.invalidate = demu_invalidate,
};
