/* SPDX-License-Identifier: MIT */
/* Contiguous pins: one on what is kept, or on what is mapped for it. */
#include "lib/pins/span.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/base.h"
#include "lib/fill/fill.h"
#include "lib/pins/pins.h"
#include "lib/protocol/epoch.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

/* As many spans across buckets as there can be. */
static size_t pins_index_bytes(const struct mapcache *cache)
{
	return (size_t)(space_slots_max(cache) / 2 * sizeof(struct span_key));
}

int pins_init(struct mapcache *cache)
{
	struct pins *pins = &cache->pins;
	int error = -pthread_mutex_init(&pins->reports.lock, NULL);

	if (error)
		return error;
	error = -pthread_mutex_init(&pins->ledger.lock, NULL);
	if (error)
		goto destroy_reports;
	error = -pthread_mutex_init(&pins->spans.lock, NULL);
	if (error)
		goto destroy_ledger;
	pins->spans.index = account_reserve(pins_index_bytes(cache), PROT_READ | PROT_WRITE);
	if (!pins->spans.index) {
		error = -errno;
		goto destroy_spans;
	}
	reclaim_others(cache, span_reclaim);
	return 0;
destroy_spans:
	pthread_mutex_destroy(&pins->spans.lock);
destroy_ledger:
	ledger_destroy(&pins->ledger);
destroy_reports:
	pthread_mutex_destroy(&pins->reports.lock);
	return error;
}

void pins_abandon(struct mapcache *cache)
{
	munmap(cache->pins.spans.index, pins_index_bytes(cache));
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
	pins_abandon(cache);
	pthread_mutex_destroy(&spans->lock);
	ledger_destroy(&cache->pins.ledger);
	pthread_mutex_destroy(&cache->pins.reports.lock);
}

void pins_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	struct pins *pins = &cache->pins;
	const struct reports *reports = &pins->reports;

	stats->modified_calls = mapcache_load_relaxed(&reports->calls);
	stats->modified_errors = mapcache_load_relaxed(&reports->errors);
	stats->modified_pages = mapcache_load_relaxed(&reports->pages);
	stats->modified_refused = mapcache_load_relaxed(&reports->refused);
	pthread_mutex_lock(&pins->spans.lock);
	stats->spans = pins->spans.count;
	stats->pinned_stale_bytes += pins->spans.pinned_bytes;
	stats->memory_bytes += account_resident(pins->spans.index,
						pins->spans.kept_count * sizeof(struct span_key));
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

/* Writable if that is possible at all: the next pin of it may want to write. A list has none. */
static int span_map_any(struct mapcache_client *client, struct span *span, bool write)
{
	struct mapcache *cache = client->cache;
	bool read_only = cache->embedder.backend->flags & MAPCACHE_BACKEND_READ_ONLY;
	int error;

	span->writable = span->listed ? write : !read_only;
	error = span_map(cache, span, client);
	if (!error || write || !span->writable || !lookup_refused(error))
		return error;
	error = span_unmap(cache, span);
	span->writable = false;
	return error ? error : span_map(cache, span, client);
}

int span_fill(struct mapcache_client *client, struct span *span, uint64_t gpa, bool write,
	      char **pointer)
{
	struct mapcache *cache = client->cache;
	struct spans *spans = &cache->pins.spans;
	int error;

	/* Who drains, or invalidates a range, sees it from now on, or it has the epoch of after
	 * that (A, F). */
	pthread_mutex_lock(&spans->lock);
	span->mapping = true;
	span_name(cache, span, span->gpa);
	span_add(cache, span);
	pthread_mutex_unlock(&spans->lock);
	error = span_map_any(client, span, write);
	if (!error)
		span_notify(cache, span, MAPCACHE_EVENT_ADDED);
	pthread_mutex_lock(&spans->lock);
	span->mapping = false;
	if (!error)
		*pointer = span_take(client, span, gpa);
	if (!error && !span->own && !span->doomed && span->epoch == epoch_now(&cache->shared))
		span_keep(cache, span);
	pthread_mutex_unlock(&spans->lock);
	/* As a loose one that nobody pins. */
	if (error)
		span_reclaim(cache, false);
	reclaim_wake(cache);
	return error;
}

static int span_make(struct mapcache_client *client, uint64_t gpa, uint64_t len, bool write,
		     bool own, char **pointer)
{
	struct span *span;
	CANCEL_DEFERRED;
	int error;

	reclaim_help(client->cache);
	span = span_new(client->cache, gpa, len, &error);
	if (!span)
		return error;
	span->own = own;
	return span_fill(client, span, gpa, write, pointer);
}

void *span_pin(struct mapcache_client *client, uint64_t gpa, uint64_t len, int prot, bool own,
	       const void *caller)
{
	bool write = prot & PROT_WRITE;
	char *pointer = NULL;
	int error = pin_check(client->cache, gpa, len, prot);

	if (!error && !own)
		pointer = span_find(client, gpa, len, write);
	if (!error && !pointer)
		error = span_make(client, gpa, len, write, own, &pointer);
	if (error)
		errno = -error;
	else if (ledger_on(client->cache))
		ledger_pin(client, pointer, (size_t)len, caller);
	return pointer;
}
