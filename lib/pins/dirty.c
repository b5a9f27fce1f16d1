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
#include <stdlib.h>

#include "lib/base/base.h"
#include "lib/base/cancel.h"
#include "lib/fill/fill.h"
#include "lib/index/index.h"
#include "lib/pins/ledger.h"
#include "lib/pins/pins.h"
#include "lib/pins/span.h"
#include "lib/protocol/protocol.h"
#include "lib/protocol/section.h"
#include "lib/protocol/watch.h"
#include "lib/reclaim/reclaim.h"
#include "lib/protocol/entry.h"
#include "lib/space/place.h"
#include "lib/space/space.h"

#define DIRTY_LOG_MS 2000 /* for callers who do not say how long they wait */

/* ---- lists of extents ------------------------------------------------------------------ */

static void dirty_remove(struct dirty *dirty, unsigned int i)
{
	dirty->count--;
	for (; i < dirty->count; i++)
		dirty->extent[i] = dirty->extent[i + 1];
}

static uint64_t dirty_end(const struct mapcache_extent *extent)
{
	return extent->gfn + extent->pages;
}

/* Grow extent i over its successors that it touches now. */
static void dirty_absorb(struct dirty *dirty, unsigned int i)
{
	struct mapcache_extent *extent = &dirty->extent[i];

	while (i + 1 < dirty->count && extent[1].gfn <= dirty_end(extent)) {
		if (dirty_end(&extent[1]) > dirty_end(extent))
			extent->pages = dirty_end(&extent[1]) - extent->gfn;
		dirty_remove(dirty, i + 1);
	}
}

/* Room for one more: join the two with the smallest gap. */
static void dirty_squeeze(struct dirty *dirty)
{
	unsigned int best = 0;
	uint64_t least = UINT64_MAX;

	for (unsigned int i = 0; i + 1 < dirty->count; i++) {
		uint64_t gap = dirty->extent[i + 1].gfn - dirty_end(&dirty->extent[i]);

		if (gap < least) {
			least = gap;
			best = i;
		}
	}
	dirty->extent[best].pages = dirty_end(&dirty->extent[best + 1]) - dirty->extent[best].gfn;
	dirty_remove(dirty, best + 1);
}

static void dirty_add(void *list, uint64_t gfn, uint64_t pages)
{
	struct dirty *dirty = list;
	struct mapcache_extent *extent = dirty->extent;
	unsigned int i = 0;

	if (dirty->count == DIRTY_EXTENTS)
		dirty_squeeze(dirty);
	while (i < dirty->count && dirty_end(&extent[i]) < gfn)
		i++;
	if (i < dirty->count && extent[i].gfn <= gfn) {
		if (gfn + pages > dirty_end(&extent[i]))
			extent[i].pages = gfn + pages - extent[i].gfn;
	} else {
		for (unsigned int j = dirty->count; j > i; j--)
			extent[j] = extent[j - 1];
		extent[i] = (struct mapcache_extent){ gfn, pages };
		dirty->count++;
	}
	dirty_absorb(dirty, i);
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

/* What [pointer, pointer + len) shows, to a list; it is held, and in what dirty_room() says of it. */
static void dirty_frames(struct mapcache *cache, const char *pointer, uint64_t len,
			 void (*add)(void *list, uint64_t gfn, uint64_t pages), void *list)
{
	uint64_t part, in_page;

	for (; len; len -= part, pointer += part) {
		uint64_t gfn = place_frame(cache, pointer, &part);

		part = part < len ? part : len;
		in_page = (uintptr_t)pointer & ((UINT64_C(1) << PAGE_SHIFT) - 1);
		add(list, gfn, ((in_page + part - 1) >> PAGE_SHIFT) + 1);
	}
}

/* ---- what was written ------------------------------------------------------------------ */

void dirty_note(struct mapcache_client *client, const void *pointer, uint64_t len)
{
	/* On its way from now on, before the section ends: drain finds the one or the other (F). */
	if (!client->dirty.count)
		report_begin(client->cache, &client->report,
			     epoch_of(mapcache_load_relaxed(&client->fast.section)));
	dirty_frames(client->cache, pointer, len, dirty_add, &client->dirty);
}

void *mapcache_ptr_slow(struct mapcache_client *client, uint64_t gpa, size_t len, int prot)
{
	void *pointer;

	if (client && client->cache->pins.ledger)
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
	CANCEL_DEFERRED;

	if (!client->dirty.count)
		return;
	report_send(client->cache, client->dirty.extent, client->dirty.count);
	client->dirty.count = 0;
	report_end(client->cache, &client->report);
}

void dirty_flush(struct mapcache_client *client)
{
	if (!mapcache_inside_inline(client)) {
		section_report(client);
		return;
	}
	client->fast.nested |= MAPCACHE_NESTED_DIRTY;
	section_special(&client->fast);
}

int dirty_unpin_iov(struct mapcache *cache, struct mapcache_client *client, const struct iovec *iov,
		    int count, uint64_t written)
{
	bool inside = client && mapcache_inside_inline(client);
	struct dirty dirty = { .count = 0 };
	struct report report;
	CANCEL_DEFERRED;
	int error = 0;

	if (!inside)
		report_begin(cache, &report, epoch_now(&cache->shared));
	for (int i = 0; i < count && written; i++) {
		uint64_t part = dirty_room(cache, iov[i].iov_base);

		part = part < iov[i].iov_len ? part : iov[i].iov_len;
		part = part < written ? part : written;
		if (part && inside)
			dirty_note(client, iov[i].iov_base, part);
		else if (part)
			dirty_frames(cache, iov[i].iov_base, part, dirty_add, &dirty);
		written -= iov[i].iov_len < written ? iov[i].iov_len : written;
	}
	if (inside && client->dirty.count)
		dirty_flush(client);
	if (inside)
		return 0;
	if (dirty.count)
		error = report_send(cache, dirty.extent, dirty.count);
	report_end(cache, &report);
	return error;
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

/* Grows: nothing is told while a lock is held. */
struct gathered {
	struct mapcache *cache;
	struct mapcache_extent *extent;
	size_t count, room;
	int error;
};

static void gather(void *list, uint64_t gfn, uint64_t pages)
{
	struct gathered *all = list;
	struct mapcache_extent *last = all->count ? &all->extent[all->count - 1] : NULL, *grown;

	if (all->error)
		return;
	if (last && last->gfn + last->pages == gfn) {
		last->pages += pages;
		return;
	}
	if (!all->extent || all->count == all->room) {
		all->room = all->room ? 2 * all->room : 64;
		grown = realloc(all->extent, all->room * sizeof(*grown));
		if (!grown) {
			all->error = -ENOMEM;
			all->room = all->count;
			return;
		}
		all->extent = grown;
	}
	all->extent[all->count++] = (struct mapcache_extent){ gfn, pages };
}

static void gather_spans(struct gathered *all)
{
	struct mapcache *cache = all->cache;
	struct spans *spans = &cache->pins.spans;
	const struct span *span;

	pthread_mutex_lock(&spans->lock);
	for (span = span_next(spans, NULL); span; span = span_next(spans, span)) {
		if (span_pins(cache, span) && span->writable)
			dirty_frames(cache, span_pointer(cache, span, span->gpa), span->len, gather,
				     all);
	}
	pthread_mutex_unlock(&spans->lock);
}

static void gather_granules(struct gathered *all, const struct mapping *mapping, uint64_t granules)
{
	uint64_t bytes = UINT64_C(1) << all->cache->settings.granule_shift;
	const char *base = mapping_base(all->cache, mapping);

	for (unsigned int i = 0; i < all->cache->settings.granules; i++) {
		if (granules >> i & 1)
			dirty_frames(all->cache, base + i * bytes, bytes, gather, all);
	}
}

/*
 * A pinned bucket's mapping stays what it is (B) but for what its owner maps beside it: while
 * that goes on nobody else may look, and all of the bucket is taken.
 */
static void gather_slot(struct gathered *all, struct mapping *mapping)
{
	struct mapcache *cache = all->cache;
	struct stripe *stripe = stripe_of(cache, mapcache_load_relaxed(&mapping->index));
	bool live;

	pthread_mutex_lock(&stripe->lock);
	live = mapping_state(mapping) == MAPPING_LIVE;
	if (live && mapping->busy)
		gather_granules(all, mapping, UINT64_MAX);
	else if (live)
		gather_granules(all, mapping, mapping->mapped & ~mapping_denied(mapping));
	pthread_mutex_unlock(&stripe->lock);
	/* It never comes back from there while it is pinned. */
	if (!live)
		gather_granules(all, mapping, retired_writable(cache, mapping));
}

int mapcache_modified_pins(struct mapcache *cache)
{
	struct gathered all = { .cache = cache };
	struct report report;
	CANCEL_DEFERRED;
	uint64_t slots;
	int error;

	if (!cache)
		return -EINVAL;
	if (!cache->embedder.backend->modified)
		return -EOPNOTSUPP;
	if (!entry_logging(cache))
		return 0;
	report_begin(cache, &report, epoch_now(&cache->shared));
	slots = space_slots(cache);
	for (uint64_t slot = 0; slot < slots && !all.error; slot++) {
		struct mapping *mapping = mapping_at(cache, slot);

		if (mapping_state(mapping) != MAPPING_SPAN && client_pins(cache, mapping))
			gather_slot(&all, mapping);
	}
	gather_spans(&all);
	error = all.error;
	if (!error && all.count)
		error = report_send(cache, all.extent, all.count);
	report_end(cache, &report);
	free(all.extent);
	return error;
}

/* ---- on and off ------------------------------------------------------------------------ */

/* From here on no entry says writable: those that do are shown again, without. */
static void dirty_hide(struct mapcache *cache)
{
	batch_drop(cache, 0, UINT64_MAX);
	for (uint32_t i = 0; i < cache->settings.stripes; i++) {
		struct stripe *stripe = stripe_at(cache, i);

		pthread_mutex_lock(&stripe->lock);
		for (struct mapping *mapping = stripe_oldest(stripe); mapping;
		     mapping = stripe_newer(mapping)) {
			/* A busy one's owner will see the switch under this lock. */
			mapping_unpublish(cache, mapping);
		}
		pthread_mutex_unlock(&stripe->lock);
	}
}

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
	newest = report_newest(cache);
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
		/* Stripe locks order the switch before every later publication; the tick and the
		 * barrier order it before every later section. */
		dirty_hide(cache);
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
