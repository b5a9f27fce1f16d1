/* SPDX-License-Identifier: MIT */
/* ours: libmapcache as an embedder uses it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench/ours.h"

/* An embedder has its client in a local variable, and so in a register. */
struct ours_context {
	struct mapcache_client *client;
	struct ours_thread *thread;
};

CONTESTANT_INLINE struct ours_context ours_enter(struct ours_thread *thread)
{
	return (struct ours_context){ .client = thread->client, .thread = thread };
}

/*
 * What mapcache_ptr() does after a failed fast path, and counts it: the fast path itself is
 * the library's, instruction for instruction.
 */
static __attribute__((noinline, cold)) void *ours_slow(struct ours_thread *thread, uint64_t gpa,
						       int prot)
{
	void *pointer = mapcache_ptr_slow(thread->client, gpa, 4, prot);

	thread->head.misses++;
	if (!pointer)
		thread->head.failures++;
	return pointer;
}

CONTESTANT_INLINE void *ours_pointer(struct ours_context own, uint64_t gpa, int prot)
{
	void *pointer;

	if (mapcache_likely(mapcache_ptr_fast(own.client, gpa, 4, prot, &pointer)))
		return pointer;
	return ours_slow(own.thread, gpa, prot);
}

CONTESTANT_INLINE uint32_t ours_read(struct ours_context own, uint64_t gpa)
{
	const volatile uint32_t *pointer;
	uint32_t value = 0;

	mapcache_begin(own.client);
	pointer = ours_pointer(own, gpa, PROT_READ);
	if (mapcache_likely(pointer != NULL))
		value = *pointer;
	mapcache_end(own.client);
	return value;
}

CONTESTANT_INLINE void ours_write(struct ours_context own, uint64_t gpa, uint32_t value)
{
	volatile uint32_t *pointer;

	mapcache_begin(own.client);
	pointer = ours_pointer(own, gpa, PROT_READ | PROT_WRITE);
	if (mapcache_likely(pointer != NULL))
		*pointer = value;
	mapcache_end(own.client);
}

CONTESTANT_INLINE void *ours_pin(struct ours_context own, uint64_t gpa)
{
	size_t len = 4;

	return mapcache_pin(own.client, gpa, &len, PROT_READ | PROT_WRITE, 0);
}

CONTESTANT_INLINE void ours_unpin(struct ours_context own, uint64_t gpa, void *pointer)
{
	(void)gpa;
	if (mapcache_unlikely(mapcache_client_unpin(own.client, pointer, 0) != 0))
		own.thread->head.failures++;
}

#define DESIGN ours
#define DESIGN_PINS 1
#define DESIGN_UNSAFE 0
#define DESIGN_CONTEXT struct ours_context
#define DESIGN_ENTER(thread) ours_enter(thread)
#include "bench/loops.h"

static void ours_log(void *data, enum mapcache_log_level level, const char *message)
{
	(void)data;
	if (level <= MAPCACHE_LOG_WARNING)
		fprintf(stderr, "libmapcache: %s\n", message);
}

int ours_open(const struct contestant_config *config, void **instance)
{
	struct mapcache_options options = {
		.size = sizeof(options),
		.domid = config->domid,
		.flags = (config->no_reclaim_thread ? MAPCACHE_NO_RECLAIM_THREAD : 0) |
			 (config->no_batches ? MAPCACHE_NO_BATCHES : 0),
		.bucket_shift = config->bucket_shift,
		.granule_shift = config->granule_shift,
		.reclaim_ms = config->reclaim_ms,
		.max_bytes = config->max_bytes,
		.backend = config->backend,
		.log = ours_log,
	};

	return mapcache_open(&options, (struct mapcache **)instance);
}

void ours_close(void *instance)
{
	int error = mapcache_close(instance);

	if (error)
		fprintf(stderr, "mapcache-bench: mapcache_close: error %d\n", -error);
}

int ours_thread_open(void *instance, struct contestant_thread **thread)
{
	struct ours_thread *own = aligned_alloc(64, 64);
	int error;

	if (!own)
		return -ENOMEM;
	*own = (struct ours_thread){ 0 };
	error = mapcache_client_open(instance, &own->client);
	if (error) {
		free(own);
		return error;
	}
	*thread = &own->head;
	return 0;
}

void ours_thread_close(struct contestant_thread *head)
{
	struct ours_thread *thread = (struct ours_thread *)head;

	mapcache_client_close(thread->client);
	free(thread);
}

int ours_touch(struct contestant_thread *head, uint64_t gpa, size_t len)
{
	struct ours_thread *thread = (struct ours_thread *)head;
	int error;

	mapcache_begin(thread->client);
	error = mapcache_ptr(thread->client, gpa, len, PROT_READ | PROT_WRITE) ? 0 : -errno;
	mapcache_end(thread->client);
	return error;
}

void *ours_hold(struct contestant_thread *head, uint64_t gpa, size_t len)
{
	struct ours_thread *thread = (struct ours_thread *)head;

	return mapcache_pin(thread->client, gpa, &len, PROT_READ | PROT_WRITE, 0);
}

void ours_release(struct contestant_thread *head, uint64_t gpa, void *pointer)
{
	ours_unpin(ours_enter((struct ours_thread *)head), gpa, pointer);
}

static void ours_invalidate(void *instance)
{
	mapcache_invalidate(instance);
}

struct mapcache *ours_cache(void *instance)
{
	return instance;
}

const struct contestant contestant_ours = {
	.name = "ours",
	.text = "libmapcache",
	.open = ours_open,
	.close = ours_close,
	.thread_open = ours_thread_open,
	.thread_close = ours_thread_close,
	.hit = ours_hit_loop,
	.mixed = ours_mixed_loop,
	.pin = ours_pin_loop,
	.storm = ours_storm_loop,
	.touch = ours_touch,
	.hold = ours_hold,
	.release = ours_release,
	.invalidate = ours_invalidate,
	.cache = ours_cache,
};
