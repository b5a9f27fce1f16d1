/* SPDX-License-Identifier: MIT */
/*
 * Vectored pins: the ranges of one request. What is mapped is pinned where it is; the rest, scattered
 * as it may be, is mapped into one slot by one call, whose pages are the pins' own. It goes when
 * they do: where buckets are used again before the next INVALIDATE they are mapped as by a look-up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base.h"
#include "lib/base/cancel.h"
#include "lib/pins/pins.h"
#include "lib/pins/span.h"
#include "lib/protocol/epoch.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/place.h"

/* A segment that is not mapped. */
struct missing {
	struct iovec *iov;
	uint64_t gpa;
	bool again; /* it was mapped by a list in this epoch */
};

struct sgl {
	struct mapcache_client *client;
	const void *caller;
	int prot;
	struct iovec *iov;
	int room, count;
	struct missing *missing;
	int missing_count;
};

static bool sgl_seen(const struct listed *listed, uint64_t part)
{
	return listed->seen[part / 64 % 8] >> part % 64 & 1;
}

/* A number for the granule, the same for few others. */
static uint64_t sgl_part(const struct sgl *sgl, uint64_t gpa)
{
	return (gpa >> sgl->client->cache->settings.granule_shift) * UINT64_C(0x9e3779b97f4a7c15) >>
	       55;
}

static void sgl_add(struct sgl *sgl, uint64_t gpa, size_t len)
{
	struct mapcache_client *client = sgl->client;
	struct iovec *iov = &sgl->iov[sgl->count];

	iov->iov_base = pin_try(client, gpa, len, sgl->prot);
	iov->iov_len = len;
	sgl->count++;
	if (!iov->iov_base)
		sgl->missing[sgl->missing_count++] =
			(struct missing){ iov, gpa, sgl_seen(&client->listed, sgl_part(sgl, gpa)) };
}

/* Whether there is room for all of them; 0 or -errno. */
static int sgl_check(const struct sgl *sgl, const struct mapcache_range *ranges, int count)
{
	const struct mapcache *cache = sgl->client->cache;
	uint64_t segments = 0;

	for (int i = 0; i < count; i++) {
		if (!ranges[i].len)
			return -EINVAL;
		if (!settings_reach(&cache->settings, ranges[i].gpa, ranges[i].len))
			return -ERANGE;
		segments += pin_segments(cache, ranges[i].gpa, ranges[i].len);
	}
	return segments > (uint64_t)sgl->room ? pin_too_few(sgl->iov, sgl->room, segments) : 0;
}

static void sgl_add_range(struct sgl *sgl, const struct mapcache_range *range)
{
	uint64_t mask = sgl->client->fast.bucket_mask, gpa = range->gpa, left = range->len;

	while (left) {
		uint64_t part = mask - (gpa & mask) + 1;

		part = part < left ? part : left;
		sgl_add(sgl, gpa, (size_t)part);
		gpa += part;
		left -= part;
	}
}

/* As any pin in a bucket. */
static int sgl_pin(struct sgl *sgl, const struct missing *missing)
{
	missing->iov->iov_base =
		pin_piece(sgl->client, missing->gpa, missing->iov->iov_len, sgl->prot, sgl->caller);
	return missing->iov->iov_base ? 0 : -errno;
}

/* ---- one map call for many ------------------------------------------------------------------ */

static uint64_t sgl_pages(const struct missing *missing)
{
	uint64_t page = UINT64_C(1) << PAGE_SHIFT;

	return ((missing->gpa & (page - 1)) + missing->iov->iov_len + page - 1) >> PAGE_SHIFT;
}

/* Returns how many of them, in their order, fit into a slot; *pages: what they take. */
static int sgl_fit(const struct sgl *sgl, const struct missing *first, int count, uint64_t *pages)
{
	int fit = 0;

	for (*pages = 0; fit < count; fit++) {
		uint64_t more = sgl_pages(&first[fit]);

		if (*pages + more > sgl->client->cache->settings.bucket_pages)
			break;
		*pages += more;
	}
	return fit;
}

static void sgl_list(const struct missing *first, int count, mapcache_atomic_u64 *list)
{
	for (int i = 0; i < count; i++) {
		for (uint64_t page = 0; page < sgl_pages(&first[i]); page++)
			mapcache_store_relaxed(list++, (first[i].gpa >> PAGE_SHIFT) + page);
	}
}

/* A pin for each. Spans lock held, under which they are counted. */
static void sgl_take(struct sgl *sgl, const struct span *span, const struct missing *first,
		     int count)
{
	struct mapcache *cache = sgl->client->cache;
	char *pointer = mapping_base(cache, span->first);

	for (int i = 0; i < count; i++) {
		pin_take(sgl->client, mapping_slot(cache, span->first));
		first[i].iov->iov_base =
			pointer + (first[i].gpa & ((UINT64_C(1) << PAGE_SHIFT) - 1));
		pointer += sgl_pages(&first[i]) << PAGE_SHIFT;
	}
}

/* They are in one slot from now on, and pinned; -errno: nothing has changed. */
static int sgl_gather(struct sgl *sgl, const struct missing *first, int count, uint64_t pages)
{
	struct mapcache *cache = sgl->client->cache;
	mapcache_atomic_u64 *list;
	struct span *span;
	int error;

	span_reclaim(cache, false);
	span = span_new(cache, 0, pages << PAGE_SHIFT, &error);
	if (!span)
		return error;
	list = place_list(cache, span->first);
	if (!list) {
		span_free(cache, span);
		return -EOPNOTSUPP;
	}
	sgl_list(first, count, list);
	span->own = span->listed = true;
	span->writable = sgl->prot & PROT_WRITE;
	span_begin(cache, span);
	error = span_map(cache, span, sgl->client, sgl->client->error);
	if (error) {
		span_fail(cache, span);
		return error;
	}
	span_notify(cache, span, MAPCACHE_EVENT_ADDED);
	pthread_mutex_lock(&cache->pins.spans.lock);
	span->mapping = false;
	sgl_take(sgl, span, first, count);
	pthread_mutex_unlock(&cache->pins.spans.lock);
	reclaim_wake(cache);
	return 0;
}

static int sgl_map(struct sgl *sgl)
{
	struct missing *missing = sgl->missing, *end = missing + sgl->missing_count;
	uint64_t pages = 0;
	int error = 0;

	while (missing < end && !error) {
		int count = 0;

		while (missing + count < end && !missing[count].again)
			count++;
		count = sgl_fit(sgl, missing, count, &pages);
		/* What cannot be mapped so, says why when it is mapped by itself. */
		if (count > 1 && !sgl->client->cache->pins.ledger &&
		    !sgl_gather(sgl, missing, count, pages)) {
			missing += count;
			continue;
		}
		for (count = count ? count : 1; count && !error; count--)
			error = sgl_pin(sgl, missing++);
	}
	return error;
}

/* What was mapped by a list, and is asked for again, is worth a mapping that stays. */
static void sgl_note(struct sgl *sgl)
{
	struct listed *listed = &sgl->client->listed;

	for (int i = 0; i < sgl->missing_count; i++) {
		uint64_t part = sgl_part(sgl, sgl->missing[i].gpa);

		listed->seen[part / 64 % 8] |= UINT64_C(1) << part % 64;
	}
}

static void sgl_undo(struct sgl *sgl)
{
	for (int i = 0; i < sgl->count; i++) {
		if (sgl->iov[i].iov_base)
			mapcache_client_unpin(sgl->client, sgl->iov[i].iov_base, 0);
	}
}

static int sgl_run(struct sgl *sgl, const struct mapcache_range *ranges, int count)
{
	uint64_t epoch = epoch_now(&sgl->client->cache->shared);
	int error = sgl_check(sgl, ranges, count);

	if (error)
		return error;
	if (sgl->client->listed.epoch != epoch)
		sgl->client->listed = (struct listed){ .epoch = epoch };
	for (int i = 0; i < count; i++)
		sgl_add_range(sgl, &ranges[i]);
	if (sgl->missing_count)
		error = sgl_map(sgl);
	if (error) {
		sgl_undo(sgl);
		return error;
	}
	sgl_note(sgl);
	return sgl->count;
}

int mapcache_pin_sgl(struct mapcache_client *client, const struct mapcache_range *ranges, int count,
		     int prot, struct iovec *iov, int iovcnt)
{
	struct sgl sgl = { .client = client,
			   .caller = __builtin_return_address(0),
			   .prot = prot,
			   .iov = iov,
			   .room = iovcnt };
	CANCEL_DEFERRED;
	int result;

	if (!client || !ranges || count <= 0 || !iov || iovcnt < 0 || prot == 0 ||
	    prot & ~(PROT_READ | PROT_WRITE))
		return -EINVAL;
	if (prot & PROT_WRITE &&
	    client->cache->embedder.backend->flags & MAPCACHE_BACKEND_READ_ONLY)
		return -EACCES;
	sgl.missing = calloc((size_t)iovcnt + 1, sizeof(*sgl.missing));
	if (!sgl.missing)
		return -ENOMEM;
	result = sgl_run(&sgl, ranges, count);
	free(sgl.missing);
	return result;
}
