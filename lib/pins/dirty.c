/* SPDX-License-Identifier: MIT */
/*
 * The log of modified pages. While it is on, the table shows nothing as writable, so that every
 * look-up for writing takes the slow path and is noted; a client gathers what its section
 * writes, and reports it in one call after the section's end. What is reported too much costs
 * the reader of the log a page; what is missing costs the guest its data. So when a client's
 * list is full, neighbours are joined with the gap between them; and what is pinned while the
 * log ends is reported as far as it could have been written.
 *
 * Reported is the frame that the memory shows, which is noted when it is mapped: the embedder's
 * addresses may mean others by now.
 */
#include <errno.h>
#include <string.h>

#include "lib/base/base.h"
#include "lib/fill/fill.h"
#include "lib/index/index.h"
#include "lib/pins/pins.h"
#include "lib/pins/span.h"
#include "lib/protocol/protocol.h"
#include "lib/protocol/section.h"
#include "lib/reclaim/reclaim.h"
#include "lib/protocol/entry.h"
#include "lib/space/space.h"

#define DIRTY_LOG_MS 2000 /* for callers who do not say how long they wait */

/* ---- lists of extents ------------------------------------------------------------------ */

static uint64_t dirty_end(const struct mapcache_extent *extent)
{
	return extent->gfn + extent->pages;
}

/* Join the two neighbours with the smallest gap, where there is none or room is needed. */
static bool dirty_join(struct dirty *dirty)
{
	struct mapcache_extent *extent = dirty->extent;
	uint64_t least = UINT64_MAX;
	unsigned int best = 0;

	for (unsigned int i = 0; i + 1 < dirty->count; i++) {
		uint64_t end = dirty_end(&extent[i]), next = extent[i + 1].gfn;
		uint64_t gap = next > end ? next - end : 0;

		if (gap < least) {
			least = gap;
			best = i;
		}
	}
	if (dirty->count < 2 || (least && dirty->count <= DIRTY_EXTENTS))
		return false;
	extent += best;
	if (dirty_end(&extent[1]) > dirty_end(extent))
		extent->pages = dirty_end(&extent[1]) - extent->gfn;
	dirty->count--;
	memmove(&extent[1], &extent[2], (dirty->count - best - 1) * sizeof(*extent));
	return true;
}

static void dirty_add(struct dirty *dirty, uint64_t gfn, uint64_t pages)
{
	struct mapcache_extent *extent = dirty->extent;
	unsigned int i = dirty->count++;

	for (; i > 0 && extent[i - 1].gfn > gfn; i--)
		extent[i] = extent[i - 1];
	extent[i] = (struct mapcache_extent){ gfn, pages };
	while (dirty_join(dirty))
		;
}

/* What there is to be reported is; -errno of that. */
static int dirty_tell(struct mapcache *cache, struct dirty *dirty)
{
	CANCEL_DEFERRED;
	int error;

	if (!dirty->count)
		return 0;
	error = report_send(cache, dirty->extent, dirty->count);
	dirty->count = 0;
	report_end(cache, &dirty->report);
	return error;
}

/* ---- which frames an address shows ------------------------------------------------------ */

/* Bytes from the pointer on that one pin can hold; 0: it points into nothing of ours. */
static uint64_t dirty_room(struct mapcache *cache, const void *pointer)
{
	uint64_t slot = place_slot(cache, pointer);
	uint64_t bucket = UINT64_C(1) << cache->settings.bucket_shift;
	const struct mapping *mapping;

	if (slot == PLACE_NONE)
		return 0;
	mapping = mapping_at(cache, slot);
	if (mapcache_load_relaxed(&mapping->epoch) == 0)
		return 0;
	if (mapping_state(mapping) == MAPPING_SPAN)
		return span_rest(cache, mapping, pointer);
	return bucket - (uint64_t)((const char *)pointer - mapping_base(cache, mapping));
}

/*
 * What [pointer, pointer + len), which is in what dirty_room() says of it, shows is to be reported,
 * and on its way from now on: before the section ends, or the pin goes, so that drain finds the
 * one or the other (F). error: no section is open, so that what does not fit is told; NULL: it is
 * joined.
 */
static void dirty_frames(struct mapcache *cache, struct dirty *dirty, uint64_t epoch,
			 const char *pointer, uint64_t len, int *error)
{
	uint64_t part, in_page;

	for (; len; len -= part, pointer += part) {
		uint64_t gfn = place_frame(cache, pointer, &part);
		int failed;

		part = part < len ? part : len;
		in_page = (uintptr_t)pointer & ((UINT64_C(1) << PAGE_SHIFT) - 1);
		if (error && dirty->count == DIRTY_EXTENTS) {
			failed = dirty_tell(cache, dirty);
			*error = *error ? *error : failed;
		}
		if (!dirty->count)
			report_begin(cache, &dirty->report, epoch);
		dirty_add(dirty, gfn, ((in_page + part - 1) >> PAGE_SHIFT) + 1);
	}
}

/* ---- what was written ------------------------------------------------------------------ */

void dirty_note(struct mapcache_client *client, const void *pointer, uint64_t len)
{
	dirty_frames(client->cache, &client->dirty,
		     epoch_of(mapcache_load_relaxed(&client->fast.section)), pointer, len, NULL);
}

void *mapcache_ptr_slow(struct mapcache_client *client, uint64_t gpa, size_t len, int prot)
{
	void *pointer;

	if (client && ledger_on(client->cache))
		ledger_look_up(client, gpa, prot, __builtin_return_address(0));
	pointer = lookup_pointer(client, gpa, len, prot);
	if (client && pointer && (prot & PROT_WRITE) && entry_logging(client->cache)) {
		dirty_note(client, pointer, len);
		dirty_flush(client);
	}
	return pointer;
}

void section_report(struct mapcache_client *client)
{
	(void)dirty_tell(client->cache, &client->dirty);
}

int dirty_flush(struct mapcache_client *client)
{
	if (!mapcache_inside_inline(client))
		return dirty_tell(client->cache, &client->dirty);
	if (client->dirty.count) {
		client->fast.nested |= MAPCACHE_NESTED_DIRTY;
		section_special(&client->fast);
	}
	return 0;
}

int dirty_unpin_iov(struct mapcache *cache, struct mapcache_client *client, const struct iovec *iov,
		    int count, uint64_t written)
{
	struct dirty own = { .count = 0 }, *dirty = client ? &client->dirty : &own;
	uint64_t epoch = client ? epoch_of(mapcache_load_relaxed(&client->fast.section)) : 0;

	if (!epoch)
		epoch = epoch_now(&cache->shared);
	for (int i = 0; i < count && written; i++) {
		uint64_t part = dirty_room(cache, iov[i].iov_base);

		part = part < iov[i].iov_len ? part : iov[i].iov_len;
		part = part < written ? part : written;
		dirty_frames(cache, dirty, epoch, iov[i].iov_base, part, NULL);
		written -= iov[i].iov_len < written ? iov[i].iov_len : written;
	}
	return client ? dirty_flush(client) : dirty_tell(cache, dirty);
}

int dirty_unpin(struct mapcache *cache, struct mapcache_client *client, void *pointer,
		size_t written)
{
	const struct iovec all = { .iov_base = pointer, .iov_len = written };

	return dirty_unpin_iov(cache, client, &all, 1, written);
}

int mapcache_modified(struct mapcache_client *client, const void *ptr, size_t len)
{
	uint64_t room;

	if (!client || !ptr)
		return -EINVAL;
	room = dirty_room(client->cache, ptr);
	if (!room)
		return -EINVAL;
	if (len > room)
		return -E2BIG;
	if (!len || !entry_logging(client->cache))
		return 0;
	return dirty_unpin(client->cache, client, (void *)(uintptr_t)ptr, len);
}

/* ---- what is pinned -------------------------------------------------------------------- */

/* What the span whose first slot it is shows for writing to its pinners. */
static uint64_t pinned_span(struct mapcache *cache, const struct mapping *mapping,
			    const char **pointer)
{
	const struct span *span;
	uint64_t len = 0;

	/* The one for what its pinner has found, the other keeps it from being freed. */
	pthread_mutex_lock(&cache->pins.spans.lock);
	clients_lock(cache);
	span = mapping_state(mapping) == MAPPING_SPAN ? mapping->span : NULL;
	if (span && span->first == mapping && span_pins_locked(cache, span) && span->writable) {
		*pointer = span_pointer(cache, span, span->gpa);
		len = span->len;
	}
	clients_unlock(cache);
	pthread_mutex_unlock(&cache->pins.spans.lock);
	return len;
}

/*
 * The granules that a pinned bucket's mapping shows for writing. It stays what it is (B) but for
 * what its owner maps beside it: while that goes on nobody else may look, and all of it is taken.
 */
static uint64_t pinned_granules(struct mapcache *cache, struct mapping *mapping)
{
	struct stripe *stripe = stripe_of(cache, mapcache_load_relaxed(&mapping->index));
	uint64_t granules = UINT64_MAX;
	bool live;

	pthread_mutex_lock(&stripe->lock);
	live = mapping_state(mapping) == MAPPING_LIVE;
	if (live && !mapping->busy)
		granules = mapping->mapped & ~mapping_denied(mapping);
	pthread_mutex_unlock(&stripe->lock);
	/* It never comes back from there while it is pinned. */
	return live ? granules : retired_writable(cache, mapping);
}

/* What is given up meanwhile, and shows other frames then, was reported by who gave it up. */
static void pinned_add(struct mapcache *cache, struct mapping *mapping, struct dirty *dirty,
		       int *error)
{
	uint64_t bytes = UINT64_C(1) << cache->settings.granule_shift, granules = 0, len = 0;
	uint64_t epoch = epoch_now(&cache->shared);
	const char *pointer = mapping_base(cache, mapping);

	if (mapping_state(mapping) == MAPPING_SPAN)
		len = pinned_span(cache, mapping, &pointer);
	else if (client_pins(cache, mapping))
		granules = pinned_granules(cache, mapping);
	dirty_frames(cache, dirty, epoch, pointer, len, error);
	for (unsigned int i = 0; i < cache->settings.granules; i++) {
		if (granules >> i & 1)
			dirty_frames(cache, dirty, epoch, pointer + i * bytes, bytes, error);
	}
}

int mapcache_modified_pins(struct mapcache *cache)
{
	struct dirty dirty = { .count = 0 };
	CANCEL_DEFERRED;
	int error = 0, failed;
	uint64_t slots;

	if (!cache)
		return -EINVAL;
	if (!cache->embedder.backend->modified)
		return -EOPNOTSUPP;
	if (!entry_logging(cache))
		return 0;
	slots = space_slots(cache);
	for (uint64_t slot = 0; slot < slots; slot++)
		pinned_add(cache, mapping_at(cache, slot), &dirty, &error);
	failed = dirty_tell(cache, &dirty);
	return error ? error : failed;
}

/* ---- on and off ------------------------------------------------------------------------ */

/* Until no section is left that began before the switch, and no report of one is on its way. */
static int dirty_wait(struct mapcache *cache, int timeout_ms)
{
	struct epoch_condition condition = { .clock = epoch_advance(&cache->shared) };
	struct clock_wait wait = { 0 };
	uint64_t newest;

	if (!client_barrier(cache))
		return -EPERM;
	while (!client_sections_passed(cache, condition)) {
		watch_sections(cache);
		if (!clock_wait(&wait, timeout_ms))
			return -ETIMEDOUT;
	}
	/* Of those that have ended each has begun its report before. */
	newest = mapcache_load_relaxed(&cache->pins.reports.newest);
	while (!report_over(cache, UINT64_MAX, newest)) {
		if (!clock_wait(&wait, timeout_ms))
			return -ETIMEDOUT;
	}
	return 0;
}

int mapcache_dirty_log_wait(struct mapcache *cache, bool enable, int timeout_ms)
{
	int error = 0, waited;

	if (!cache)
		return -EINVAL;
	if (!cache->embedder.backend->modified)
		return -EOPNOTSUPP;
	if (client_in_section(cache))
		return -EDEADLK;
	if (enable) {
		entry_set_logging(cache, true);
		/* Entries that say writable are shown again, without, also by who is busy. Stripe
		 * locks order the switch before every later publication; the tick and the barrier
		 * order it before every later section. */
		batch_drop(cache, 0, UINT64_MAX);
		lookup_hide(cache, UINT64_MAX);
	} else {
		/* While it is on: who gives up a pin meanwhile reports it, or we do. */
		error = mapcache_modified_pins(cache);
		/* Release: pairs with the release of a pin by who has seen the log to be off, so
		 * that the pin was counted above. */
		entry_set_logging(cache, false);
	}
	waited = dirty_wait(cache, timeout_ms);
	return error ? error : waited;
}

int mapcache_dirty_log(struct mapcache *cache, bool enable)
{
	return mapcache_dirty_log_wait(cache, enable, DIRTY_LOG_MS);
}
