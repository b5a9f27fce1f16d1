/* SPDX-License-Identifier: MIT */
/* Contiguous pins: finding, pinning and giving up spans. */
#include "lib/pins/span.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/cancel.h"
#include "lib/fill/fill.h"
#include "lib/pins/pins.h"
#include "lib/protocol/pin_count.h"
#include "lib/protocol/pinning.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"

#define SPAN_LOOK 64 /* at most so many, the most recently used ones, are looked through */
#define SPAN_IDLE 16 /* so many that nobody pins are kept for the next pin */
#define SPAN_PINS_MAX (INT64_C(1) << 62)

int pins_init(struct mapcache *cache)
{
	int error = report_init(cache);

	if (error)
		return error;
	error = -pthread_mutex_init(&cache->pins.spans.lock, NULL);
	if (error)
		goto destroy_reports;
	error = -pthread_cond_init(&cache->pins.spans.idle, NULL);
	if (error)
		goto destroy_lock;
	reclaim_others(cache, span_reclaim);
	return 0;
destroy_lock:
	pthread_mutex_destroy(&cache->pins.spans.lock);
destroy_reports:
	report_destroy(cache);
	return error;
}

void pins_destroy(struct mapcache *cache)
{
	while (cache->pins.spans.first) {
		struct span *span = cache->pins.spans.first;

		cache->pins.spans.first = span->next;
		free(span);
	}
	pthread_cond_destroy(&cache->pins.spans.idle);
	pthread_mutex_destroy(&cache->pins.spans.lock);
	report_destroy(cache);
}

void pins_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	struct pins *pins = &cache->pins;

	report_stats(cache, stats);
	pthread_mutex_lock(&pins->spans.lock);
	stats->spans = pins->spans.count;
	stats->pinned_stale_bytes += pins->spans.pinned_bytes;
	pthread_mutex_unlock(&pins->spans.lock);
}

static void span_insert(struct mapcache *cache, struct span *span)
{
	struct spans *spans = &cache->pins.spans;

	span->previous = NULL;
	span->next = spans->first;
	if (span->next)
		span->next->previous = span;
	spans->first = span;
	spans->count++;
}

static void span_remove(struct mapcache *cache, struct span *span)
{
	struct spans *spans = &cache->pins.spans;

	if (span->next)
		span->next->previous = span->previous;
	if (span->previous)
		span->previous->next = span->next;
	else
		spans->first = span->next;
	spans->count--;
}

static int64_t span_sum_locked(struct mapcache *cache, const struct span *span)
{
	int64_t pins = 0;

	for (uint64_t i = 0; i < span->slots; i++)
		pins += client_pins_locked(cache, &span->first[i]);
	return pins;
}

int64_t span_pins(struct mapcache *cache, const struct span *span)
{
	int64_t pins;

	pthread_mutex_lock(&cache->protocol.clients.lock);
	pins = span_sum_locked(cache, span);
	pthread_mutex_unlock(&cache->protocol.clients.lock);
	return pins;
}

bool span_unpin_locked(struct mapcache *cache, struct mapping *mapping)
{
	const struct span *span = mapping->span;

	if (span_sum_locked(cache, span) <= 0)
		return false;
	pin_count_release_shared(&span->first->shared_pins);
	return true;
}

uint64_t span_rest(const struct mapcache *cache, const struct mapping *mapping, const void *pointer)
{
	const struct span *span = mapping->span;
	struct span_part part = span_part(cache, span, 0);
	uint64_t offset = (uint64_t)((const char *)pointer - part.address);

	return offset < span->len ? span->len - offset : 0;
}

bool span_touches(const struct span *span, uint64_t gpa, uint64_t len)
{
	return span->gpa <= gpa + (len - 1) && gpa < span->gpa + span->len;
}

/* Whether a pin that began in this epoch may have it. */
static bool span_serves(const struct span *span, const struct request *request, uint64_t gpa,
			uint64_t len)
{
	return !span->doomed && !span->busy && span->epoch >= request->epoch && gpa >= span->gpa &&
	       len <= span->gpa + span->len - gpa && gpa < span->gpa + span->len &&
	       (span->writable || !request->write);
}

/* Spans lock held. */
static int span_take(struct span *span)
{
	if ((int64_t)mapcache_load_relaxed(&span->first->shared_pins) >= SPAN_PINS_MAX)
		return -EOVERFLOW;
	mapcache_add_relaxed(&span->first->shared_pins, 1);
	return 0;
}

static char *span_pointer(const struct mapcache *cache, const struct span *span, uint64_t gpa)
{
	return span_part(cache, span, 0).address + (gpa - span->gpa);
}

/* A pin on one that is there, or NULL with *error 0 when there is none. */
static char *span_find(struct mapcache *cache, const struct request *request, uint64_t gpa,
		       uint64_t len, int *error)
{
	struct spans *spans = &cache->pins.spans;
	char *pointer = NULL;
	struct span *span;
	unsigned int seen = 0;

	*error = 0;
	pthread_mutex_lock(&spans->lock);
	for (span = spans->first; span && seen < SPAN_LOOK; span = span->next, seen++) {
		if (!span_serves(span, request, gpa, len))
			continue;
		*error = span_take(span);
		if (!*error)
			pointer = span_pointer(cache, span, gpa);
		span_remove(cache, span);
		span_insert(cache, span);
		break;
	}
	pthread_mutex_unlock(&spans->lock);
	return pointer;
}

uint64_t span_discard(struct mapcache *cache, struct span *span)
{
	uint64_t len = span->len;

	span_notify(cache, span, MAPCACHE_EVENT_GOING);
	if (!span_unmap(cache, span)) {
		span_unaccount(cache, span);
		span_free(cache, span);
		return len;
	}
	span->doomed = true;
	pthread_mutex_lock(&cache->pins.spans.lock);
	span_insert(cache, span);
	pthread_mutex_unlock(&cache->pins.spans.lock);
	return 0;
}

/* Nothing was shown to anybody yet. */
static void span_abandon(struct mapcache *cache, struct span *span)
{
	if (!span_unmap(cache, span)) {
		span_free(cache, span);
		return;
	}
	span_account(cache, span);
	span->doomed = true;
	pthread_mutex_lock(&cache->pins.spans.lock);
	span_insert(cache, span);
	pthread_mutex_unlock(&cache->pins.spans.lock);
}

static char *span_make(struct mapcache_client *client, uint64_t gpa, uint64_t len, bool write,
		       int *error)
{
	struct mapcache *cache = client->cache;
	uint64_t ranges = mapcache_load_relaxed(&cache->api.range_invalidates);
	struct span *span;

	reclaim_help(cache);
	span = span_new(cache, gpa, len, error);
	if (!span)
		return NULL;
	span->writable = write;
	*error = span_map(cache, span, client, client->error);
	if (*error) {
		span_abandon(cache, span);
		return NULL;
	}
	span_account(cache, span);
	span_notify(cache, span, MAPCACHE_EVENT_ADDED);
	pthread_mutex_lock(&cache->pins.spans.lock);
	span_take(span);
	/* Under this lock span_invalidate() walks the list, after it has counted: it sees the
	 * span there, or we see that it has been and may not let others find it. */
	span->doomed = ranges != mapcache_load_relaxed(&cache->api.range_invalidates);
	span_insert(cache, span);
	pthread_mutex_unlock(&cache->pins.spans.lock);
	reclaim_wake(cache);
	return span_pointer(cache, span, gpa);
}

static int span_check(const struct mapcache *cache, uint64_t gpa, uint64_t len, int prot,
		      struct request *request)
{
	uint64_t limit = cache->settings.guest_limit;

	if (len == 0 || prot == 0 || (prot & ~(PROT_READ | PROT_WRITE)))
		return -EINVAL;
	if (gpa >= limit || len > limit - gpa)
		return -ERANGE;
	if ((prot & PROT_WRITE) && (cache->embedder.backend->flags & MAPCACHE_BACKEND_READ_ONLY))
		return -EACCES;
	request->write = prot & PROT_WRITE;
	request->epoch = epoch_now(&cache->shared);
	return 0;
}

/* Every epoch that is read meanwhile is one that drain knows of (F). */
static char *span_pin_begun(struct mapcache_client *client, uint64_t gpa, uint64_t len, int prot,
			    int *error)
{
	struct mapcache *cache = client->cache;
	struct request request;
	char *pointer = NULL;

	*error = span_check(cache, gpa, len, prot, &request);
	if (!*error)
		pointer = span_find(cache, &request, gpa, len, error);
	if (!pointer && !*error)
		pointer = span_make(client, gpa, len, request.write, error);
	return pointer;
}

void *span_pin(struct mapcache_client *client, uint64_t gpa, uint64_t len, int prot)
{
	CANCEL_DEFERRED;
	char *pointer;
	int error;

	pinning_begin(&client->pinning, &client->cache->shared);
	pointer = span_pin_begun(client, gpa, len, prot, &error);
	pinning_end(&client->pinning);
	if (!pointer)
		errno = -error;
	return pointer;
}

/* One that nobody pins and that is not worth keeping, off the list; or NULL. Lock held. */
static struct span *span_pick(struct mapcache *cache, bool all)
{
	uint64_t epoch = epoch_now(&cache->shared), idle = 0, pinned = 0;
	struct span *span, *picked = NULL;

	for (span = cache->pins.spans.first; span && !picked; span = span->next) {
		bool stale = span->doomed || span->epoch < epoch;

		if (span->busy)
			continue;
		if (span_pins(cache, span))
			pinned += stale ? span->len : 0;
		else if (all || stale || ++idle > SPAN_IDLE)
			picked = span;
	}
	if (picked)
		span_remove(cache, picked);
	else
		cache->pins.spans.pinned_bytes = pinned;
	return picked;
}

uint64_t span_reclaim(struct mapcache *cache, bool all)
{
	uint64_t released = 0, gone;
	struct span *span;

	do {
		pthread_mutex_lock(&cache->pins.spans.lock);
		span = span_pick(cache, all);
		pthread_mutex_unlock(&cache->pins.spans.lock);
		gone = span ? span_discard(cache, span) : 0;
		released += gone;
	} while (gone);
	return released;
}

void span_invalidate(struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	struct span *span;

	pthread_mutex_lock(&cache->pins.spans.lock);
	for (span = cache->pins.spans.first; span; span = span->next)
		span->doomed = span->doomed || span_touches(span, gpa, len);
	pthread_mutex_unlock(&cache->pins.spans.lock);
}

bool span_pinned(struct mapcache *cache, uint64_t epoch)
{
	struct span *span;
	bool pinned = false;

	pthread_mutex_lock(&cache->pins.spans.lock);
	for (span = cache->pins.spans.first; span && !pinned; span = span->next)
		pinned = span->epoch < epoch && span_pins(cache, span);
	pthread_mutex_unlock(&cache->pins.spans.lock);
	return pinned;
}

void span_each_pinned(struct mapcache *cache,
		      void (*visit)(void *data, const struct span *span, char *address), void *data)
{
	struct span *span;

	pthread_mutex_lock(&cache->pins.spans.lock);
	for (span = cache->pins.spans.first; span; span = span->next) {
		if (span_pins(cache, span))
			visit(data, span, span_part(cache, span, 0).address);
	}
	pthread_mutex_unlock(&cache->pins.spans.lock);
}
