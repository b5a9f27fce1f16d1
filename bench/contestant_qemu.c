/* SPDX-License-Identifier: MIT */
/* qemu: the algorithm of QEMU's map cache (baseline Q), accessed 4 bytes at a time. */
#include <errno.h>
#include <stdlib.h>

#include "bench/contestant.h"
#include "bench/qemu_cache.h"

struct qemu_thread {
	struct contestant_thread head;
	struct qemu_cache *cache;
};

CONTESTANT_INLINE void *qemu_pointer(struct qemu_thread *thread, uint64_t gpa, size_t len,
				     bool lock)
{
	bool missed = false;
	void *pointer = qemu_cache_map(thread->cache, gpa, len, lock, &missed);

	if (__builtin_expect(missed, 0))
		thread->head.misses++;
	if (__builtin_expect(!pointer, 0))
		thread->head.failures++;
	return pointer;
}

CONTESTANT_INLINE uint32_t qemu_read(struct qemu_thread *thread, uint64_t gpa)
{
	const volatile uint32_t *pointer = qemu_pointer(thread, gpa, 4, false);

	return pointer ? *pointer : 0;
}

CONTESTANT_INLINE void qemu_write(struct qemu_thread *thread, uint64_t gpa, uint32_t value)
{
	volatile uint32_t *pointer = qemu_pointer(thread, gpa, 4, false);

	if (pointer)
		*pointer = value;
}

CONTESTANT_INLINE void *qemu_pin(struct qemu_thread *thread, uint64_t gpa)
{
	return qemu_pointer(thread, gpa, 4, true);
}

CONTESTANT_INLINE void qemu_unpin(struct qemu_thread *thread, uint64_t gpa, void *pointer)
{
	(void)gpa;
	if (!qemu_cache_unlock(thread->cache, pointer))
		thread->head.failures++;
}

/*
 * Otherwise its pointers are used after the mutex was dropped, as QEMU does. In a storm they
 * would be unmapped under the reader's hands, so there the access is made before the unlock.
 */
CONTESTANT_INLINE void qemu_safe_access(struct qemu_thread *thread, uint64_t gpa, uint32_t *read,
					uint32_t written)
{
	volatile uint32_t *pointer;
	bool missed = false;

	pthread_mutex_lock(&thread->cache->mutex);
	pointer = qemu_cache_map_locked(thread->cache, gpa, 4, false, &missed);
	if (pointer && read)
		*read = *pointer;
	else if (pointer)
		*pointer = written;
	pthread_mutex_unlock(&thread->cache->mutex);
	thread->head.misses += missed;
	thread->head.failures += !pointer;
}

CONTESTANT_INLINE uint32_t qemu_safe_read(struct qemu_thread *thread, uint64_t gpa)
{
	uint32_t value = 0;

	qemu_safe_access(thread, gpa, &value, 0);
	return value;
}

CONTESTANT_INLINE void qemu_safe_write(struct qemu_thread *thread, uint64_t gpa, uint32_t value)
{
	qemu_safe_access(thread, gpa, NULL, value);
}

#define DESIGN qemu
#define DESIGN_PINS 1
#define DESIGN_UNSAFE 1
#include "bench/loops.h"

static int qemu_open(const struct contestant_config *config, void **instance)
{
	struct qemu_cache *cache = malloc(sizeof(*cache));
	int error;

	if (!cache)
		return -ENOMEM;
	error = qemu_cache_open(cache, config->backend, config->domid, config->bucket_shift);
	if (error)
		free(cache);
	else
		*instance = cache;
	return error;
}

static void qemu_close(void *instance)
{
	qemu_cache_close(instance);
	free(instance);
}

static int qemu_thread_open(void *instance, struct contestant_thread **thread)
{
	struct qemu_thread *own = aligned_alloc(64, 64);

	if (!own)
		return -ENOMEM;
	*own = (struct qemu_thread){ .cache = instance };
	*thread = &own->head;
	return 0;
}

static void qemu_thread_close(struct contestant_thread *thread)
{
	free(thread);
}

static int qemu_touch(struct contestant_thread *head, uint64_t gpa, size_t len)
{
	return qemu_pointer((struct qemu_thread *)head, gpa, len, false) ? 0 : -EFAULT;
}

static void *qemu_hold(struct contestant_thread *head, uint64_t gpa, size_t len)
{
	return qemu_pointer((struct qemu_thread *)head, gpa, len, true);
}

static void qemu_release(struct contestant_thread *head, uint64_t gpa, void *pointer)
{
	qemu_unpin((struct qemu_thread *)head, gpa, pointer);
}

static void qemu_invalidate(void *instance)
{
	qemu_cache_invalidate(instance);
}

const struct contestant contestant_qemu = {
	.name = "qemu",
	.text = "QEMU's algorithm: one mutex, chains, unmapping all before it answers",
	.open = qemu_open,
	.close = qemu_close,
	.thread_open = qemu_thread_open,
	.thread_close = qemu_thread_close,
	.hit = qemu_hit_loop,
	.mixed = qemu_mixed_loop,
	.pin = qemu_pin_loop,
	.storm = qemu_storm_loop,
	.touch = qemu_touch,
	.hold = qemu_hold,
	.release = qemu_release,
	.invalidate = qemu_invalidate,
};
