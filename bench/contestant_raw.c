/* SPDX-License-Identifier: MIT */
/*
 * raw: no cache. Every access maps what it needs and unmaps it again, as a device model does
 * that maps for each request. The cost that everything else is compared with.
 *
 * With a byte budget, touch unmaps what it mapped as many touches ago as fit into the budget:
 * unmapping what has gone cold costs a fifth more than what was mapped just now, and that is
 * no cache's fault.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench/contestant.h"

struct raw {
	const struct mapcache_backend *backend;
	void *state;
	size_t bucket_pages;
	size_t kept; /* mappings that touch leaves behind */
};

struct raw_kept {
	char *base;
	size_t pages;
};

struct raw_thread {
	struct contestant_thread head;
	struct raw *cache;
	int *errors; /* a bucket's worth */
	struct raw_kept *ring;
	size_t next;
};

CONTESTANT_INLINE char *raw_map(struct raw_thread *thread, uint64_t gpa, size_t pages)
{
	struct raw *cache = thread->cache;
	char *base;

	thread->head.misses++;
	if (pages > cache->bucket_pages)
		return NULL;
	base = cache->backend->map(cache->state, NULL, gpa >> 12, pages, PROT_READ | PROT_WRITE,
				   thread->errors);
	if (!base)
		thread->head.failures++;
	return base;
}

CONTESTANT_INLINE void raw_unmap(struct raw_thread *thread, char *base, size_t pages)
{
	thread->cache->backend->unmap(thread->cache->state, base, pages, 0);
}

CONTESTANT_INLINE uint32_t raw_read(struct raw_thread *thread, uint64_t gpa)
{
	char *base = raw_map(thread, gpa, 1);
	uint32_t value;

	if (!base)
		return 0;
	value = *(const volatile uint32_t *)(base + (gpa & 4095));
	raw_unmap(thread, base, 1);
	return value;
}

CONTESTANT_INLINE void raw_write(struct raw_thread *thread, uint64_t gpa, uint32_t value)
{
	char *base = raw_map(thread, gpa, 1);

	if (!base)
		return;
	*(volatile uint32_t *)(base + (gpa & 4095)) = value;
	raw_unmap(thread, base, 1);
}

#define DESIGN raw
#define DESIGN_PINS 0
#define DESIGN_UNSAFE 0
#include "bench/loops.h"

static int raw_open(const struct contestant_config *config, void **instance)
{
	struct raw *cache = calloc(1, sizeof(*cache));
	int error;

	if (!cache)
		return -ENOMEM;
	cache->backend = config->backend;
	cache->bucket_pages = (size_t)1 << (config->bucket_shift - 12);
	cache->kept = config->max_bytes >> config->bucket_shift;
	error = cache->backend->open(NULL, config->domid, &cache->state);
	if (error)
		free(cache);
	else
		*instance = cache;
	return error;
}

static void raw_close(void *instance)
{
	struct raw *cache = instance;

	cache->backend->close(cache->state);
	free(cache);
}

static int raw_thread_open(void *instance, struct contestant_thread **thread)
{
	struct raw *cache = instance;
	struct raw_thread *own = aligned_alloc(64, 64);
	int *errors = calloc(cache->bucket_pages, sizeof(*errors));
	struct raw_kept *ring = calloc(cache->kept + 1, sizeof(*ring));

	if (!own || !errors || !ring) {
		free(own);
		free(errors);
		free(ring);
		return -ENOMEM;
	}
	*own = (struct raw_thread){ .cache = cache, .errors = errors, .ring = ring };
	*thread = &own->head;
	return 0;
}

static void raw_unmap_kept(struct raw_thread *thread, struct raw_kept *kept)
{
	if (kept->base)
		raw_unmap(thread, kept->base, kept->pages);
	kept->base = NULL;
}

static void raw_thread_close(struct contestant_thread *head)
{
	struct raw_thread *thread = (struct raw_thread *)head;

	for (size_t i = 0; i <= thread->cache->kept; i++)
		raw_unmap_kept(thread, &thread->ring[i]);
	free(thread->ring);
	free(thread->errors);
	free(thread);
}

static int raw_touch(struct contestant_thread *head, uint64_t gpa, size_t len)
{
	struct raw_thread *thread = (struct raw_thread *)head;
	size_t pages = ((gpa & 4095) + len + 4095) >> 12;
	struct raw_kept *kept = &thread->ring[thread->next];

	kept->base = raw_map(thread, gpa, pages);
	kept->pages = pages;
	if (!kept->base)
		return -errno;
	thread->next = thread->next == thread->cache->kept ? 0 : thread->next + 1;
	/* The oldest one; without a budget, the one just made. */
	raw_unmap_kept(thread, &thread->ring[thread->next]);
	return 0;
}

/* Nothing is kept. */
static void raw_invalidate(void *instance)
{
	(void)instance;
}

const struct contestant contestant_raw = {
	.name = "raw",
	.text = "no cache: map and unmap around every access",
	.keeps_no_pins = true,
	.open = raw_open,
	.close = raw_close,
	.thread_open = raw_thread_open,
	.thread_close = raw_thread_close,
	.hit = raw_hit_loop,
	.mixed = raw_mixed_loop,
	.storm = raw_storm_loop,
	.touch = raw_touch,
	.invalidate = raw_invalidate,
};
