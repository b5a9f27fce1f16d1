/* SPDX-License-Identifier: MIT */
/*
 * limit: the whole guest mapped once, base + gpa with a bounds check. No look-up can be
 * faster; it cannot follow a guest that changes its memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench/contestant.h"

struct limit {
	const struct mapcache_backend *backend;
	void *state;
	char *base;
	uint64_t bytes;
};

struct limit_thread {
	struct contestant_thread head;
	char *base;
	uint64_t bytes;
};

CONTESTANT_INLINE uint32_t limit_read(struct limit_thread *thread, uint64_t gpa)
{
	if (__builtin_expect(gpa > thread->bytes - 4, 0)) {
		thread->head.failures++;
		return 0;
	}
	return *(const volatile uint32_t *)(thread->base + gpa);
}

CONTESTANT_INLINE void limit_write(struct limit_thread *thread, uint64_t gpa, uint32_t value)
{
	if (__builtin_expect(gpa > thread->bytes - 4, 0))
		thread->head.failures++;
	else
		*(volatile uint32_t *)(thread->base + gpa) = value;
}

#define DESIGN limit
#define DESIGN_PINS 0
#define DESIGN_UNSAFE 0
#include "bench/loops.h"

static int limit_open(const struct contestant_config *config, void **instance)
{
	size_t pages = config->guest_bytes >> 12;
	struct limit *limit = calloc(1, sizeof(*limit));
	int *errors = calloc(pages, sizeof(*errors)), result = -ENOMEM;

	if (!limit || !errors)
		goto fail;
	limit->backend = config->backend;
	limit->bytes = config->guest_bytes;
	result = limit->backend->open(NULL, config->domid, &limit->state);
	if (result)
		goto fail;
	limit->base =
		limit->backend->map(limit->state, NULL, 0, pages, PROT_READ | PROT_WRITE, errors);
	if (!limit->base) {
		result = -errno;
		limit->backend->close(limit->state);
		goto fail;
	}
	free(errors);
	*instance = limit;
	return 0;
fail:
	free(errors);
	free(limit);
	return result;
}

static void limit_close(void *instance)
{
	struct limit *limit = instance;

	limit->backend->unmap(limit->state, limit->base, limit->bytes >> 12, 0);
	limit->backend->close(limit->state);
	free(limit);
}

static int limit_thread_open(void *instance, struct contestant_thread **thread)
{
	struct limit *limit = instance;
	struct limit_thread *own = aligned_alloc(64, 64);

	if (!own)
		return -ENOMEM;
	*own = (struct limit_thread){ .base = limit->base, .bytes = limit->bytes };
	*thread = &own->head;
	return 0;
}

static void limit_thread_close(struct contestant_thread *thread)
{
	free(thread);
}

static int limit_touch(struct contestant_thread *head, uint64_t gpa, size_t len)
{
	struct limit_thread *thread = (struct limit_thread *)head;

	return gpa + len <= thread->bytes ? 0 : -ERANGE;
}

/* The mapping never changes, and nobody tells it that it should. */
static void limit_invalidate(void *instance)
{
	(void)instance;
}

const struct contestant contestant_limit = {
	.name = "limit",
	.text = "base + gpa with a bounds check over the whole guest mapped once",
	.keeps_no_pins = true,
	.open = limit_open,
	.close = limit_close,
	.thread_open = limit_thread_open,
	.thread_close = limit_thread_close,
	.hit = limit_hit_loop,
	.mixed = limit_mixed_loop,
	.storm = limit_storm_loop,
	.touch = limit_touch,
	.invalidate = limit_invalidate,
};
