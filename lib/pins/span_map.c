/* SPDX-License-Identifier: MIT */
/* Mapping and unmapping a span, bucket by bucket: no call is larger than a bucket's. */
#include <errno.h>
#include <stdlib.h>

#include "lib/base/base.h"
#include "lib/pins/span.h"
#include "lib/protocol/protocol.h"
#include "lib/space/place.h"

struct span_part span_part(const struct mapcache *cache, const struct span *span, uint64_t slot)
{
	uint32_t shift = cache->settings.bucket_shift;
	uint64_t bucket = ((span->gpa >> shift) + slot) << shift;
	uint64_t start = bucket < span->gpa ? span->gpa : bucket;
	uint64_t end = bucket + (UINT64_C(1) << shift);

	if (end > span->gpa + span->len)
		end = span->gpa + span->len;
	return (struct span_part){
		.gpa = start,
		.address = mapping_base(cache, span->first + slot) + (start - bucket),
		.pages = (size_t)((end - start) >> PAGE_SHIFT),
	};
}

/* One map call, for slots of the span from a part's on. */
static int span_map_part(struct mapcache *cache, const struct span *span, uint64_t slot,
			 uint64_t count, uint64_t gpa, size_t pages, int *error)
{
	int prot = span->writable ? PROT_READ | PROT_WRITE : PROT_READ;
	uint64_t offset = gpa & ((UINT64_C(1) << cache->settings.bucket_shift) - 1);

	errno = 0;
	if (!place_map(cache, span->first + slot, count, offset, gpa, pages, prot, error))
		return errno ? -errno : -ENOMEM;
	for (size_t page = 0; page < pages; page++) {
		if (error[page])
			return error[page];
	}
	return 0;
}

static void span_count(struct mapcache_client *client, int failed, size_t pages)
{
	if (!client)
		return;
	client_count(client, COUNTER_MAP_CALLS, 1);
	client_count(client, failed ? COUNTER_MAP_ERRORS : COUNTER_PAGES_MAPPED,
		     failed ? 1 : pages);
}

/* Where the backend chooses only one call gives one piece. */
static int span_map_once(struct mapcache *cache, struct span *span, struct mapcache_client *client)
{
	size_t pages = (size_t)(span->len >> PAGE_SHIFT);
	int *error = calloc(pages, sizeof(*error)), failed = -ENOMEM;

	if (error)
		failed = span_map_part(cache, span, 0, span->slots, span->gpa, pages, error);
	span_count(client, failed, pages);
	free(error);
	return failed;
}

int span_map(struct mapcache *cache, struct span *span, struct mapcache_client *client, int *error)
{
	int failed = 0;

	if (cache->space.places.of)
		return span_map_once(cache, span, client);
	for (uint64_t i = 0; i < span->slots && !failed; i++) {
		struct span_part part = span_part(cache, span, i);

		failed = span_map_part(cache, span, i, 1, part.gpa, part.pages, error);
		span_count(client, failed, part.pages);
	}
	return failed;
}

int span_unmap(struct mapcache *cache, struct span *span)
{
	uint64_t bucket = UINT64_C(1) << cache->settings.bucket_shift;
	int error = 0;

	if (cache->space.places.of)
		return place_release(cache, span->first, span->slots, 0, span->len);
	for (uint64_t i = 0; i < span->slots && !error; i++)
		error = place_release(cache, span->first + i, 1, 0, bucket);
	return error;
}

void span_notify(struct mapcache *cache, struct span *span, enum mapcache_event event)
{
	bool told = span->told;

	span->told = event == MAPCACHE_EVENT_ADDED;
	if (!told && !span->told)
		return;
	for (uint64_t i = 0; cache->embedder.notify && i < span->slots; i++) {
		struct span_part part = span_part(cache, span, i);

		cache->embedder.notify(cache->embedder.notify_data, event, part.gpa, part.address,
				       (uint64_t)part.pages << PAGE_SHIFT);
	}
}

/* Around what is mapped in a slot there may be reserved space, which is a kernel mapping, too. */
void span_account(struct mapcache *cache, const struct span *span)
{
	account_map(cache, span->epoch, span->len, span->len);
	mapcache_add_relaxed(&cache->space.vmas, span->slots + 1);
}

void span_unaccount(struct mapcache *cache, const struct span *span)
{
	account_retire(cache, span->epoch, span->len);
	account_unmap(cache, span->len);
	mapcache_add_relaxed(&cache->space.vmas, -(span->slots + 1));
}
