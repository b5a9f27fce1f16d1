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
#include "lib/pins/pins.h"
#include "lib/pins/span.h"
#include "lib/protocol/epoch.h"
#include "lib/reclaim/reclaim.h"

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
	struct missing *missing; /* NULL: each is pinned by itself */
	int missing_count;
};

/* A number for the granule, the same for few others. */
static bool *sgl_seen(struct sgl *sgl, uint64_t gpa)
{
	struct mapcache_client *client = sgl->client;
	uint64_t granule = gpa >> client->fast.granule_shift;

	return &client->listed.seen[granule * UINT64_C(0x9e3779b97f4a7c15) >> 55];
}

/* Whether there is room for all of them; 0 or -errno. */
static int sgl_check(const struct sgl *sgl, const struct mapcache_range *ranges, int count)
{
	const struct mapcache *cache = sgl->client->cache;
	uint32_t shift = cache->settings.bucket_shift;
	uint64_t segments = 0;

	for (int i = 0; i < count; i++) {
		uint64_t gpa = ranges[i].gpa, len = ranges[i].len;
		int error = pin_check(cache, gpa, len, sgl->prot);

		if (error)
			return error;
		segments += ((gpa + len - 1) >> shift) - (gpa >> shift) + 1;
	}
	if (segments <= (uint64_t)sgl->room)
		return 0;
	if (sgl->room)
		sgl->iov[0] = (struct iovec){ .iov_len = segments < SIZE_MAX ? (size_t)segments
									     : SIZE_MAX };
	return -EMSGSIZE;
}

/* As any pin in a bucket: all of it, a hole in the middle is one in the range. */
static int sgl_pin(struct sgl *sgl, struct iovec *iov, uint64_t gpa)
{
	iov->iov_base = pin_piece(sgl->client, gpa, iov->iov_len, sgl->prot, sgl->caller);
	return iov->iov_base ? 0 : -errno;
}

/* A pin of what is mapped and shown; or it is missing. */
static void sgl_try(struct sgl *sgl, struct iovec *iov, uint64_t gpa)
{
	struct mapcache_client *client = sgl->client;

	mapcache_begin_inline(client);
	if (mapcache_ptr_fast(client, gpa, iov->iov_len, sgl->prot, &iov->iov_base))
		pin_take(client, place_slot(client->cache, iov->iov_base));
	else
		sgl->missing[sgl->missing_count++] =
			(struct missing){ iov, gpa, *sgl_seen(sgl, gpa) };
	mapcache_end_inline(client);
}

static int sgl_add_range(struct sgl *sgl, struct mapcache_range left)
{
	int error = 0;

	while (left.len && !error) {
		struct iovec *iov = &sgl->iov[sgl->count++];

		*iov = (struct iovec){ .iov_len = pin_part(sgl->client, left.gpa, left.len) };
		if (sgl->missing)
			sgl_try(sgl, iov, left.gpa);
		else
			error = sgl_pin(sgl, iov, left.gpa);
		left.gpa += iov->iov_len;
		left.len -= iov->iov_len;
	}
	return error;
}

/* ---- one map call for many ------------------------------------------------------------------ */

static uint64_t sgl_pages(const struct missing *missing)
{
	uint64_t page = UINT64_C(1) << PAGE_SHIFT;

	return ((missing->gpa & (page - 1)) + missing->iov->iov_len + page - 1) >> PAGE_SHIFT;
}

/* Returns how many of them, in their order, go into a slot; *pages: what they take. */
static int sgl_fit(const struct sgl *sgl, const struct missing *first, const struct missing *end,
		   uint64_t *pages)
{
	const struct missing *missing = first;

	for (*pages = 0; missing < end && !missing->again; missing++) {
		uint64_t more = sgl_pages(missing);

		if (*pages + more > sgl->client->cache->settings.bucket_pages)
			break;
		*pages += more;
	}
	return (int)(missing - first);
}

static void sgl_list(const struct missing *first, int count, mapcache_atomic_u64 *list)
{
	for (int i = 0; i < count; i++) {
		for (uint64_t page = 0; page < sgl_pages(&first[i]); page++)
			mapcache_store_relaxed(list++, (first[i].gpa >> PAGE_SHIFT) + page);
	}
}

/* They are in one slot from now on, and pinned; -errno: nothing has changed. */
static int sgl_gather(struct sgl *sgl, const struct missing *first, int count, uint64_t pages)
{
	struct mapcache *cache = sgl->client->cache;
	mapcache_atomic_u64 *list;
	struct span *span;
	char *pointer;
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
	error = span_fill(sgl->client, span, 0, sgl->prot & PROT_WRITE, &pointer);
	for (int i = 0; i < count && !error; i++) {
		/* It is pinned for the first. */
		if (i)
			pin_take(sgl->client, mapping_slot(cache, span->first));
		first[i].iov->iov_base =
			pointer + (first[i].gpa & ((UINT64_C(1) << PAGE_SHIFT) - 1));
		pointer += sgl_pages(&first[i]) << PAGE_SHIFT;
	}
	return error;
}

/* What was mapped by a list, and is asked for again, is worth a mapping that stays. */
static int sgl_map(struct sgl *sgl)
{
	struct missing *missing = sgl->missing, *end = missing + sgl->missing_count;
	uint64_t pages = 0;
	int error = 0;

	while (missing < end && !error) {
		int count = sgl_fit(sgl, missing, end, &pages);

		/* What cannot be mapped so, says why when it is mapped by itself. */
		if (count > 1 && !ledger_on(sgl->client->cache) &&
		    !sgl_gather(sgl, missing, count, pages)) {
			missing += count;
			continue;
		}
		for (count = count ? count : 1; count && !error; count--, missing++)
			error = sgl_pin(sgl, missing->iov, missing->gpa);
	}
	for (missing = sgl->missing; missing < end && !error; missing++)
		*sgl_seen(sgl, missing->gpa) = true;
	return error;
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
	for (int i = 0; i < count && !error; i++)
		error = sgl_add_range(sgl, ranges[i]);
	if (!error && sgl->missing_count)
		error = sgl_map(sgl);
	if (error)
		sgl_undo(sgl);
	return error ? error : sgl->count;
}

static struct sgl sgl_begin(struct mapcache_client *client, const void *caller, int prot,
			    struct iovec *iov, int iovcnt)
{
	return (struct sgl){
		.client = client, .caller = caller, .prot = prot, .iov = iov, .room = iovcnt
	};
}

int mapcache_pin_sgl(struct mapcache_client *client, const struct mapcache_range *ranges, int count,
		     int prot, struct iovec *iov, int iovcnt)
{
	struct sgl sgl = sgl_begin(client, __builtin_return_address(0), prot, iov, iovcnt);
	CANCEL_DEFERRED;
	int result;

	if (!client || !ranges || count <= 0 || !iov || iovcnt < 0)
		return -EINVAL;
	sgl.missing = calloc((size_t)iovcnt + 1, sizeof(*sgl.missing));
	if (!sgl.missing)
		return -ENOMEM;
	result = sgl_run(&sgl, ranges, count);
	free(sgl.missing);
	return result;
}

int mapcache_pin_iov(struct mapcache_client *client, uint64_t gpa, size_t len, int prot,
		     struct iovec *iov, int iovcnt)
{
	const struct mapcache_range range = { .gpa = gpa, .len = len };
	struct sgl sgl = sgl_begin(client, __builtin_return_address(0), prot, iov, iovcnt);
	CANCEL_DEFERRED;

	return client && iov && iovcnt >= 0 ? sgl_run(&sgl, &range, 1) : -EINVAL;
}
