/* SPDX-License-Identifier: MIT */
/*
 * striped: the design one would write first: 64 mutexes, each with a uthash table and an LRU
 * list that every hit updates. The access is made under the stripe's mutex.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <uthash.h>
#include <utlist.h>

#include "bench/contestant.h"

#define STRIPES 64

struct striped_entry {
	uint64_t index;
	char *base;
	uint64_t pins;
	struct striped_entry *prev, *next;
	UT_hash_handle hh;
};

struct striped_stripe {
	pthread_mutex_t mutex;
	struct striped_entry *hash;
	struct striped_entry *oldest; /* first of the list */
	uint64_t entries;
} __attribute__((aligned(64)));

struct striped {
	const struct mapcache_backend *backend;
	void *state;
	uint32_t bucket_shift;
	uint64_t entries_limit; /* of one stripe */
	struct striped_stripe stripes[STRIPES];
};

struct striped_thread {
	struct contestant_thread head;
	struct striped *cache;
};

static void striped_drop(struct striped *cache, struct striped_stripe *stripe,
			 struct striped_entry *entry)
{
	HASH_DEL(stripe->hash, entry);
	DL_DELETE(stripe->oldest, entry);
	stripe->entries--;
	cache->backend->unmap(cache->state, entry->base, (size_t)1 << (cache->bucket_shift - 12),
			      0);
	free(entry);
}

static struct striped_entry *striped_fill(struct striped_thread *thread,
					  struct striped_stripe *stripe, uint64_t index)
{
	struct striped *cache = thread->cache;
	size_t pages = (size_t)1 << (cache->bucket_shift - 12);
	struct striped_entry *entry = calloc(1, sizeof(*entry));
	int *errors = malloc(pages * sizeof(*errors));

	thread->head.misses++;
	if (stripe->entries >= cache->entries_limit && !stripe->oldest->pins)
		striped_drop(cache, stripe, stripe->oldest);
	if (entry && errors)
		entry->base = cache->backend->map(cache->state, NULL, index * pages, pages,
						  PROT_READ | PROT_WRITE, errors);
	free(errors);
	if (!entry || !entry->base) {
		free(entry);
		return NULL;
	}
	entry->index = index;
	HASH_ADD(hh, stripe->hash, index, sizeof(entry->index), entry);
	DL_APPEND(stripe->oldest, entry);
	stripe->entries++;
	return entry;
}

CONTESTANT_INLINE struct striped_stripe *striped_lock(struct striped_thread *thread, uint64_t gpa)
{
	uint64_t index = gpa >> thread->cache->bucket_shift;
	struct striped_stripe *stripe = &thread->cache->stripes[index % STRIPES];

	pthread_mutex_lock(&stripe->mutex);
	return stripe;
}

CONTESTANT_INLINE void striped_unlock(struct striped_stripe *stripe)
{
	pthread_mutex_unlock(&stripe->mutex);
}

/* Called with the stripe's mutex held. */
CONTESTANT_INLINE struct striped_entry *striped_look_up(struct striped_thread *thread,
							struct striped_stripe *stripe, uint64_t gpa)
{
	uint64_t index = gpa >> thread->cache->bucket_shift;
	struct striped_entry *entry;

	HASH_FIND(hh, stripe->hash, &index, sizeof(index), entry);
	if (!entry) {
		entry = striped_fill(thread, stripe, index);
		thread->head.failures += !entry;
	} else if (entry->next) {
		DL_DELETE(stripe->oldest, entry);
		DL_APPEND(stripe->oldest, entry);
	}
	return entry;
}

CONTESTANT_INLINE char *striped_pointer(struct striped_thread *thread, struct striped_entry *entry,
					uint64_t gpa)
{
	uint64_t mask = (UINT64_C(1) << thread->cache->bucket_shift) - 1;

	return entry ? entry->base + (gpa & mask) : NULL;
}

CONTESTANT_INLINE uint32_t striped_read(struct striped_thread *thread, uint64_t gpa)
{
	struct striped_stripe *stripe = striped_lock(thread, gpa);
	const volatile uint32_t *pointer = (const volatile uint32_t *)striped_pointer(
		thread, striped_look_up(thread, stripe, gpa), gpa);
	uint32_t value = pointer ? *pointer : 0;

	striped_unlock(stripe);
	return value;
}

CONTESTANT_INLINE void striped_write(struct striped_thread *thread, uint64_t gpa, uint32_t value)
{
	struct striped_stripe *stripe = striped_lock(thread, gpa);
	volatile uint32_t *pointer = (volatile uint32_t *)striped_pointer(
		thread, striped_look_up(thread, stripe, gpa), gpa);

	if (pointer)
		*pointer = value;
	striped_unlock(stripe);
}

CONTESTANT_INLINE void *striped_pin(struct striped_thread *thread, uint64_t gpa)
{
	struct striped_stripe *stripe = striped_lock(thread, gpa);
	struct striped_entry *entry = striped_look_up(thread, stripe, gpa);

	if (entry)
		entry->pins++;
	striped_unlock(stripe);
	return striped_pointer(thread, entry, gpa);
}

/* The caller still knows the address, so that no search by pointer is needed. */
CONTESTANT_INLINE void striped_unpin(struct striped_thread *thread, uint64_t gpa, void *pointer)
{
	uint64_t index = gpa >> thread->cache->bucket_shift;
	struct striped_stripe *stripe = striped_lock(thread, gpa);
	struct striped_entry *entry;

	HASH_FIND(hh, stripe->hash, &index, sizeof(index), entry);
	if (pointer && entry && entry->pins)
		entry->pins--;
	else
		thread->head.failures++;
	striped_unlock(stripe);
}

#define DESIGN striped
#define DESIGN_PINS 1
#define DESIGN_UNSAFE 0
#include "bench/loops.h"

static int striped_open(const struct contestant_config *config, void **instance)
{
	struct striped *cache = aligned_alloc(64, sizeof(*cache));
	int error;

	if (!cache)
		return -ENOMEM;
	*cache = (struct striped){ .backend = config->backend,
				   .bucket_shift = config->bucket_shift,
				   .entries_limit = UINT64_MAX };
	if (config->max_bytes)
		cache->entries_limit = (config->max_bytes >> config->bucket_shift) / STRIPES + 1;
	error = cache->backend->open(NULL, config->domid, &cache->state);
	if (error) {
		free(cache);
		return error;
	}
	for (unsigned int i = 0; i < STRIPES; i++)
		pthread_mutex_init(&cache->stripes[i].mutex, NULL);
	*instance = cache;
	return 0;
}

static void striped_invalidate(void *instance)
{
	struct striped *cache = instance;
	struct striped_entry *entry, *next;

	for (unsigned int i = 0; i < STRIPES; i++) {
		struct striped_stripe *stripe = &cache->stripes[i];

		pthread_mutex_lock(&stripe->mutex);
		DL_FOREACH_SAFE(stripe->oldest, entry, next)
		if (!entry->pins)
			striped_drop(cache, stripe, entry);
		pthread_mutex_unlock(&stripe->mutex);
	}
}

static void striped_close(void *instance)
{
	struct striped *cache = instance;

	striped_invalidate(cache);
	for (unsigned int i = 0; i < STRIPES; i++)
		pthread_mutex_destroy(&cache->stripes[i].mutex);
	cache->backend->close(cache->state);
	free(cache);
}

static int striped_thread_open(void *instance, struct contestant_thread **thread)
{
	struct striped_thread *own = aligned_alloc(64, 64);

	if (!own)
		return -ENOMEM;
	*own = (struct striped_thread){ .cache = instance };
	*thread = &own->head;
	return 0;
}

static void striped_thread_close(struct contestant_thread *thread)
{
	free(thread);
}

static int striped_touch(struct contestant_thread *head, uint64_t gpa, size_t len)
{
	uint64_t failures = head->failures;

	(void)len;
	striped_read((struct striped_thread *)head, gpa);
	return head->failures == failures ? 0 : -EFAULT;
}

static void *striped_hold(struct contestant_thread *head, uint64_t gpa, size_t len)
{
	(void)len;
	return striped_pin((struct striped_thread *)head, gpa);
}

static void striped_release(struct contestant_thread *head, uint64_t gpa, void *pointer)
{
	striped_unpin((struct striped_thread *)head, gpa, pointer);
}

const struct contestant contestant_striped = {
	.name = "striped",
	.text = "64 mutexes, uthash, an LRU list updated by every hit",
	.open = striped_open,
	.close = striped_close,
	.thread_open = striped_thread_open,
	.thread_close = striped_thread_close,
	.hit = striped_hit_loop,
	.mixed = striped_mixed_loop,
	.pin = striped_pin_loop,
	.storm = striped_storm_loop,
	.touch = striped_touch,
	.hold = striped_hold,
	.release = striped_release,
	.invalidate = striped_invalidate,
};
