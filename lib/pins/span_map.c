/* SPDX-License-Identifier: MIT */
/* The slots of a span, what they show, and mapping and unmapping it. */
#include <errno.h>
#include <stdlib.h>

#include "lib/base/base.h"
#include "lib/pins/pins.h"
#include "lib/pins/span.h"
#include "lib/protocol/epoch.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

#define SPAN_PART 4 /* one slot in so many is for those that are kept, but nobody pins */

static void span_make_room(struct mapcache *cache, uint64_t count)
{
	uint64_t most = cache->settings.slots / SPAN_PART;

	while (reclaim_count_others(cache, 0) + count > most) {
		if (!span_reclaim(cache, true))
			return;
	}
}

static size_t span_bytes(uint64_t len)
{
	return sizeof(struct span) + (size_t)(len >> PAGE_SHIFT) * sizeof(int);
}

struct span *span_new(struct mapcache *cache, uint64_t gpa, uint64_t len, int *error)
{
	uint64_t page = UINT64_C(1) << PAGE_SHIFT, end = (gpa + len + page - 1) & ~(page - 1);
	uint32_t shift = cache->settings.bucket_shift;
	uint64_t slots = ((end - 1) >> shift) - (gpa >> shift) + 1;
	struct span *span = NULL;

	gpa &= ~(page - 1);
	/* For what can never be had nothing is taken nor given up: a guest may say any length (H). */
	if (slots <= cache->settings.slots)
		span = calloc(1, span_bytes(end - gpa));
	*error = -ENOMEM;
	if (!span)
		return NULL;
	span->gpa = gpa;
	span->len = end - gpa;
	span->offset = span->gpa & ((UINT64_C(1) << shift) - 1);
	span->slots = slots;
	span_make_room(cache, span->slots);
	span->first = slot_get_run(cache, span->slots, error);
	if (!span->first) {
		free(span);
		return NULL;
	}
	clients_lock(cache);
	for (uint64_t i = 0; i < span->slots; i++) {
		span->first[i].span = span;
		mapping_set_state(&span->first[i], MAPPING_SPAN);
	}
	clients_unlock(cache);
	reclaim_count_others(cache, span->slots);
	mapcache_add_relaxed(&cache->accounts.memory_bytes, span_bytes(span->len));
	return span;
}

void span_free(struct mapcache *cache, struct span *span)
{
	clients_lock(cache);
	for (uint64_t i = 0; i < span->slots; i++) {
		struct mapping *mapping = &span->first[i];

		/* Together they are 0; from here on each must be. */
		mapcache_add_relaxed(&mapping->shared_pins,
				     -(uint64_t)client_pins_locked(cache, mapping));
		mapping_set_state(mapping, MAPPING_FREE);
	}
	clients_unlock(cache);
	for (uint64_t i = span->slots; i-- > 0;)
		arena_give(cache, &span->first[i]);
	reclaim_count_others(cache, -span->slots);
	mapcache_add_relaxed(&cache->accounts.memory_bytes, -(uint64_t)span_bytes(span->len));
	free(span);
}

char *span_pointer(const struct mapcache *cache, const struct span *span, uint64_t gpa)
{
	return mapping_base(cache, span->first) + span->offset + (gpa - span->gpa);
}

uint64_t span_rest(const struct mapcache *cache, const struct mapping *mapping, const void *pointer)
{
	const struct span *span = mapping->span;
	uint64_t from = (uint64_t)((const char *)pointer - span_pointer(cache, span, span->gpa));

	return from < span->len ? span->len - from : 0;
}

/* What one map call shows of a span, from an offset in it on. pages 0: that was all. */
struct span_part {
	uint64_t gpa;
	struct mapping *slot;
	uint64_t from;   /* in the span */
	uint64_t offset; /* in the slot */
	size_t pages;
};

static struct span_part span_part(const struct mapcache *cache, const struct span *span,
				  uint64_t from)
{
	uint64_t bucket = UINT64_C(1) << cache->settings.bucket_shift, at = span->offset + from;
	struct span_part part = {
		.gpa = span->gpa + from,
		.slot = span->first + (at >> cache->settings.bucket_shift),
		.from = from,
		.offset = at & (bucket - 1),
	};
	uint64_t bytes = span->len - from, in_slot = bucket - part.offset;
	uint64_t in_bucket = bucket - (part.gpa & (bucket - 1));

	if (span->listed && bytes) {
		part.gpa = place_gpa(cache, part.slot, part.offset);
		part.pages = 1;
		return part;
	}
	bytes = bytes < in_slot ? bytes : in_slot;
	part.pages = (size_t)((bytes < in_bucket ? bytes : in_bucket) >> PAGE_SHIFT);
	return part;
}

void span_name(struct mapcache *cache, struct span *span, uint64_t gpa)
{
	span->gpa = gpa;
	span->epoch = epoch_now(&cache->shared);
	span->doomed = false;
	gpa -= span->offset;
	for (uint64_t i = 0; i < span->slots; i++) {
		mapcache_store_relaxed(&span->first[i].index,
				       span->listed ? MAPPING_LISTED
						    : gpa >> PAGE_SHIFT | MAPPING_FRAME);
		mapcache_store_relaxed(&span->first[i].epoch, span->epoch);
		gpa += UINT64_C(1) << cache->settings.bucket_shift;
	}
	account_map(cache, span->epoch, span->len, span->len);
}

void span_unname(struct mapcache *cache, struct span *span)
{
	account_map(cache, span->epoch, -span->len, span->doomed ? 0 : -span->len);
}

/* One map call, from a part on. */
static int span_map_part(struct mapcache *cache, struct span *span, const struct span_part *part,
			 uint64_t slots)
{
	int prot = span->writable ? PROT_READ | PROT_WRITE : PROT_READ;
	int failed = slot_room(cache, NULL);

	if (failed)
		return failed;
	errno = 0;
	if (!place_map(cache, part->slot, slots, part->offset, part->gpa, part->pages, prot,
		       span->error))
		return errno ? -errno : -ENOMEM;
	for (size_t page = 0; page < part->pages && !failed; page++)
		failed = span->error[page];
	return failed;
}

int span_map(struct mapcache *cache, struct span *span, struct mapcache_client *client)
{
	/* Where the backend chooses only one call gives one piece; a list is one call, too. */
	bool once = !space_fixed(cache) || span->listed;
	struct span_part part = span_part(cache, span, 0);
	int failed = 0;

	while (part.pages && !failed) {
		if (once)
			part.pages = (size_t)(span->len >> PAGE_SHIFT);
		failed = span_map_part(cache, span, &part, once ? span->slots : 1);
		if (client) {
			client_count(client, COUNTER_MAP_CALLS, 1);
			client_count(client, failed ? COUNTER_MAP_ERRORS : COUNTER_PAGES_MAPPED,
				     failed ? 1 : part.pages);
		}
		part = span_part(cache, span, part.from + ((uint64_t)part.pages << PAGE_SHIFT));
	}
	return failed;
}

int span_unmap(struct mapcache *cache, struct span *span)
{
	/* What the backend has mapped by one call it unmaps by one. */
	uint64_t step = space_fixed(cache) ? 1 : span->slots;
	struct run all = { 0, cache->settings.granules };
	int error = 0;

	for (uint64_t i = 0; i < span->slots && !error; i += step)
		error = mapping_release(cache, span->first + i, step, all);
	return error;
}

void span_notify(struct mapcache *cache, struct span *span, enum mapcache_event event)
{
	struct span_part part = span_part(cache, span, 0);
	bool told = span->told;
	uint64_t bytes;

	span->told = event == MAPCACHE_EVENT_ADDED;
	if (!cache->embedder.options.notify || (!told && !span->told))
		return;
	for (; part.pages; part = span_part(cache, span, part.from + bytes)) {
		bytes = (uint64_t)part.pages << PAGE_SHIFT;
		notify(cache, event, part.gpa, span_pointer(cache, span, span->gpa) + part.from,
		       bytes);
	}
}
