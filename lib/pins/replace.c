/* SPDX-License-Identifier: MIT */
/*
 * Relocation: pinned spans show other guest memory at the same host addresses. Their slots stay
 * ours throughout and are mapped over one by one, so that no other thread's mmap can get in
 * between. All of the new memory is mapped elsewhere first: what is not there is found out
 * before anything has been changed.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/base/cancel.h"
#include "lib/pins/span.h"
#include "lib/protocol/protocol.h"
#include "lib/space/space.h"

struct relocation {
	struct mapcache *cache;
	uint64_t old_gpa, new_gpa, len;
	struct span **spans;
	size_t count;
	int *error; /* room for the pages of a bucket */
};

static bool replace_inside(const struct relocation *relocation, const struct span *span)
{
	return span->gpa >= relocation->old_gpa &&
	       span->gpa + span->len <= relocation->old_gpa + relocation->len;
}

/* Make those to be relocated ours. Spans lock held. */
static int replace_claim(struct relocation *relocation)
{
	struct spans *spans = &relocation->cache->pins.spans;
	struct span *span;

	relocation->spans = calloc((size_t)spans->count + 1, sizeof(*relocation->spans));
	if (!relocation->spans)
		return -ENOMEM;
	for (span = spans->first; span; span = span->next) {
		if (!span_touches(span, relocation->old_gpa, relocation->len) ||
		    !span_pins(relocation->cache, span))
			continue;
		if (!replace_inside(relocation, span))
			return -EBUSY;
		relocation->spans[relocation->count++] = span;
	}
	for (size_t i = 0; i < relocation->count; i++)
		relocation->spans[i]->busy = true;
	return 0;
}

static bool replace_any_busy(struct mapcache *cache)
{
	struct span *span = cache->pins.spans.first;

	while (span && !span->busy)
		span = span->next;
	return span != NULL;
}

static int replace_begin(struct relocation *relocation)
{
	struct spans *spans = &relocation->cache->pins.spans;
	int error;

	pthread_mutex_lock(&spans->lock);
	while (replace_any_busy(relocation->cache))
		pthread_cond_wait(&spans->idle, &spans->lock);
	error = replace_claim(relocation);
	pthread_mutex_unlock(&spans->lock);
	return error;
}

static void replace_end(struct relocation *relocation)
{
	struct spans *spans = &relocation->cache->pins.spans;

	pthread_mutex_lock(&spans->lock);
	for (size_t i = 0; i < relocation->count; i++)
		relocation->spans[i]->busy = false;
	pthread_cond_broadcast(&spans->idle);
	pthread_mutex_unlock(&spans->lock);
}

/* Whether all of what one span is to show can be mapped. */
static int replace_try(struct relocation *relocation, const struct span *span)
{
	struct mapcache *cache = relocation->cache;
	uint64_t gpa = relocation->new_gpa + (span->gpa - relocation->old_gpa);
	struct span *trial;
	int error;

	trial = span_new(cache, gpa, span->len, &error);
	if (!trial)
		return error;
	trial->writable = span->writable;
	error = span_map(cache, trial, NULL, relocation->error);
	span_account(cache, trial);
	span_discard(cache, trial);
	return error;
}

/* The span shows gpa from now on; what it is mapped over is whole kernel mappings. */
static int replace_span(struct relocation *relocation, struct span *span, uint64_t gpa)
{
	struct mapcache *cache = relocation->cache;
	int error;

	span_notify(cache, span, MAPCACHE_EVENT_GOING);
	span_unaccount(cache, span);
	pthread_mutex_lock(&cache->pins.spans.lock);
	span_name(cache, span, gpa, epoch_now(&cache->shared));
	pthread_mutex_unlock(&cache->pins.spans.lock);
	error = span_map(cache, span, NULL, relocation->error);
	span_account(cache, span);
	span_notify(cache, span, MAPCACHE_EVENT_ADDED);
	return error;
}

/* Back to where they were; a failure here leaves memory that cannot be reached. */
static void replace_undo(struct relocation *relocation, size_t count)
{
	while (count-- > 0) {
		struct span *span = relocation->spans[count];
		uint64_t gpa = span->gpa - relocation->new_gpa + relocation->old_gpa;

		if (replace_span(relocation, span, gpa))
			log_message(relocation->cache, MAPCACHE_LOG_ERROR,
				    "mapcache_replace: 0x%llx cannot be mapped again",
				    (unsigned long long)gpa);
	}
}

static int replace_all(struct relocation *relocation)
{
	int error = 0;

	for (size_t i = 0; i < relocation->count && !error; i++)
		error = replace_try(relocation, relocation->spans[i]);
	for (size_t i = 0; i < relocation->count && !error; i++) {
		struct span *span = relocation->spans[i];

		error = replace_span(relocation, span,
				     span->gpa - relocation->old_gpa + relocation->new_gpa);
		if (error)
			replace_undo(relocation, i + 1);
	}
	return error;
}

static int replace_check(struct mapcache *cache, uint64_t old_gpa, uint64_t new_gpa, uint64_t len)
{
	uint64_t page = UINT64_C(1) << PAGE_SHIFT, limit;

	if (!cache || len == 0 || ((old_gpa | new_gpa | len) & (page - 1)) ||
	    ((old_gpa ^ new_gpa) & ((UINT64_C(1) << cache->settings.bucket_shift) - 1)))
		return -EINVAL;
	if (cache->space.places.of)
		return -EOPNOTSUPP;
	limit = cache->settings.guest_limit;
	if (old_gpa >= limit || len > limit - old_gpa || new_gpa >= limit || len > limit - new_gpa)
		return -ERANGE;
	if (client_in_section(cache))
		return -EDEADLK;
	return source_straddles(cache, old_gpa, len) ? -EBUSY : 0;
}

int mapcache_replace(struct mapcache *cache, uint64_t old_gpa, uint64_t new_gpa, uint64_t len)
{
	struct relocation relocation = {
		.cache = cache, .old_gpa = old_gpa, .new_gpa = new_gpa, .len = len
	};
	int error = replace_check(cache, old_gpa, new_gpa, len);
	CANCEL_DEFERRED;

	if (error)
		return error;
	relocation.error = malloc(cache->settings.bucket_pages * sizeof(int));
	if (!relocation.error)
		return -ENOMEM;
	error = replace_begin(&relocation);
	if (!error) {
		error = replace_all(&relocation);
		if (!error) {
			source_forget(cache, old_gpa, len);
			mapcache_invalidate_range(cache, old_gpa, len);
		}
		replace_end(&relocation);
	}
	free(relocation.spans);
	free(relocation.error);
	return error ? error : (int)relocation.count;
}
