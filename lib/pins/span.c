/* SPDX-License-Identifier: MIT */
/* Contiguous pins: one on what is kept, or on what is mapped for it. */
#include "lib/pins/span.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/cancel.h"
#include "lib/base/worker.h"
#include "lib/fill/fill.h"
#include "lib/pins/ledger.h"
#include "lib/pins/pins.h"
#include "lib/protocol/epoch.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/place.h"
#include "lib/space/space.h"

int pins_init(struct mapcache *cache)
{
	int error;

	if (cache->settings.flags & MAPCACHE_DEBUG) {
		cache->pins.ledger = ledger_new();
		if (!cache->pins.ledger)
			return -ENOMEM;
	}
	error = report_init(cache);
	if (error)
		goto free_ledger;
	error = waiting_init(&cache->pins.spans.lock, &cache->pins.spans.moved);
	if (error)
		goto destroy_reports;
	reclaim_others(cache, span_reclaim);
	return 0;
destroy_reports:
	report_destroy(cache);
free_ledger:
	ledger_free(cache->pins.ledger);
	return error;
}

/* What could not be unmapped is left. */
void pins_destroy(struct mapcache *cache)
{
	struct spans *spans = &cache->pins.spans;

	while (spans->loose) {
		struct span *span = spans->loose;

		spans->loose = span->next;
		free(span);
	}
	free(spans->index);
	waiting_destroy(&spans->lock, &spans->moved);
	report_destroy(cache);
	ledger_free(cache->pins.ledger);
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

bool pins_held(struct mapcache *cache, uint64_t epoch)
{
	uint64_t slots = space_slots(cache);

	for (uint64_t slot = 0; slot < slots; slot++) {
		struct mapping *mapping = mapping_at(cache, slot);
		uint64_t made = mapcache_load_relaxed(&mapping->epoch);

		if (made && made < epoch && mapping_state(mapping) != MAPPING_SPAN &&
		    client_pins(cache, mapping))
			return true;
	}
	return span_pinned(cache, epoch);
}

/* Spans lock held, under which its pins are counted. */
static char *span_take(struct mapcache_client *client, struct span *span, uint64_t gpa)
{
	char *pointer = span_pointer(client->cache, span, gpa);

	pin_take(client, place_slot(client->cache, pointer));
	span->used = true;
	return pointer;
}

/* A pin on one that is kept, or NULL when there is none. */
static char *span_find(struct mapcache_client *client, uint64_t gpa, uint64_t len, bool write)
{
	struct mapcache *cache = client->cache;
	char *pointer = NULL;
	struct span *span;

	pthread_mutex_lock(&cache->pins.spans.lock);
	span = span_look_up(cache, gpa, len);
	/* The epoch as it is under the lock: a drain that has found no pin of an older one would
	 * not see this (F). */
	if (span && span->epoch == epoch_now(&cache->shared) && (span->writable || !write))
		pointer = span_take(client, span, gpa);
	pthread_mutex_unlock(&cache->pins.spans.lock);
	return pointer;
}

/* Writable if that is possible at all: the next pin of it may want to write. */
static int span_map_any(struct mapcache_client *client, struct span *span, bool write)
{
	struct mapcache *cache = client->cache;
	int error;

	span->writable = !(cache->embedder.backend->flags & MAPCACHE_BACKEND_READ_ONLY);
	error = span_map(cache, span, client, client->error);
	if (!error || write || !span->writable || !lookup_refused(error))
		return error;
	error = span_unmap(cache, span);
	span->writable = false;
	return error ? error : span_map(cache, span, client, client->error);
}

static int span_make(struct mapcache_client *client, uint64_t gpa, uint64_t len, bool write,
		     bool own, char **pointer)
{
	CANCEL_DEFERRED;
	struct mapcache *cache = client->cache;
	struct span *span;
	int error;

	reclaim_help(cache);
	span = span_new(cache, gpa, len, &error);
	if (!span)
		return error;
	span->own = own;
	span_begin(cache, span);
	error = span_map_any(client, span, write);
	if (error) {
		span_fail(cache, span);
		return error;
	}
	span_notify(cache, span, MAPCACHE_EVENT_ADDED);
	pthread_mutex_lock(&cache->pins.spans.lock);
	span->mapping = false;
	*pointer = span_take(client, span, gpa);
	if (!span->own && !span->doomed && span->epoch == epoch_now(&cache->shared))
		span_keep(cache, span);
	pthread_mutex_unlock(&cache->pins.spans.lock);
	reclaim_wake(cache);
	return 0;
}

static int span_check(const struct mapcache *cache, uint64_t gpa, uint64_t len, int prot)
{
	if (len == 0 || prot == 0 || (prot & ~(PROT_READ | PROT_WRITE)))
		return -EINVAL;
	if (!settings_reach(&cache->settings, gpa, len))
		return -ERANGE;
	if ((prot & PROT_WRITE) && (cache->embedder.backend->flags & MAPCACHE_BACKEND_READ_ONLY))
		return -EACCES;
	return 0;
}

void *span_pin(struct mapcache_client *client, uint64_t gpa, uint64_t len, int prot, bool own,
	       const void *caller)
{
	bool write = prot & PROT_WRITE;
	char *pointer = NULL;
	int error = span_check(client->cache, gpa, len, prot);

	if (!error && !own)
		pointer = span_find(client, gpa, len, write);
	if (!error && !pointer)
		error = span_make(client, gpa, len, write, own, &pointer);
	if (error)
		errno = -error;
	else if (mapcache_unlikely(client->cache->pins.ledger != NULL))
		ledger_pin(client, pointer, (size_t)len, caller);
	return pointer;
}
