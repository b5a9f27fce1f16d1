/* SPDX-License-Identifier: MIT */
/* Mapping and unmapping a span, bucket by bucket: no call is larger than a bucket's. */
#include <errno.h>

#include "span.h"

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

static int span_map_part(struct mapcache *cache, const struct span *span,
			 const struct span_part *part, int *error)
{
	int prot = span->writable ? PROT_READ | PROT_WRITE : PROT_READ;

	errno = 0;
	if (!source_map(cache, part->address, part->gpa, part->pages, prot, error))
		return errno ? -errno : -ENOMEM;
	for (size_t page = 0; page < part->pages; page++) {
		if (error[page])
			return error[page];
	}
	return 0;
}

int span_map(struct mapcache *cache, struct span *span, struct mapcache_client *client, int *error)
{
	int failed = 0;

	for (uint64_t i = 0; i < span->slots && !failed; i++) {
		struct span_part part = span_part(cache, span, i);

		failed = span_map_part(cache, span, &part, error);
		if (client) {
			client_count(client, COUNTER_MAP_CALLS, 1);
			client_count(client, failed ? COUNTER_MAP_ERRORS : COUNTER_PAGES_MAPPED,
				     failed ? 1 : part.pages);
		}
	}
	return failed;
}

int span_unmap(struct mapcache *cache, struct span *span)
{
	uint64_t bucket = UINT64_C(1) << cache->settings.bucket_shift;
	int error = 0;

	for (uint64_t i = 0; i < span->slots && !error; i++)
		error = release_range(cache, mapping_base(cache, span->first + i), bucket);
	return error;
}

void span_notify(struct mapcache *cache, struct span *span, enum mapcache_event event)
{
	bool told = span->told;

	span->told = event == MAPCACHE_EVENT_ADDED;
	if (!told && !span->told)
		return;
	for (uint64_t i = 0; cache->notify && i < span->slots; i++) {
		struct span_part part = span_part(cache, span, i);

		cache->notify(cache->notify_data, event, part.gpa, part.address,
			      (uint64_t)part.pages << PAGE_SHIFT);
	}
}

/* Around what is mapped in a slot there may be reserved space, which is a kernel mapping, too. */
void span_account(struct mapcache *cache, const struct span *span)
{
	account_map(cache, span->epoch, span->len, span->len);
	mapcache_add_relaxed(&cache->vmas, span->slots + 1);
}

void span_unaccount(struct mapcache *cache, const struct span *span)
{
	account_retire(cache, span->epoch, span->len);
	account_unmap(cache, span->len);
	mapcache_add_relaxed(&cache->vmas, -(span->slots + 1));
}
