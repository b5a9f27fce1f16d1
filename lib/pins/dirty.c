/* SPDX-License-Identifier: MIT */
/*
 * The log of modified pages. While it is on, the table shows nothing as writable, so that every
 * look-up for writing takes the slow path and is noted; a client gathers what its section
 * writes, and reports it in one call after the section's end. What is reported too much costs
 * the reader of the log a page; what is missing costs the guest its data. So when a client's
 * list is full, neighbours are joined with the gap between them.
 */
#include <errno.h>

#include "lib/base/base.h"
#include "lib/fill/fill.h"
#include "lib/index/index.h"
#include "lib/pins/pins.h"
#include "lib/protocol/protocol.h"
#include "lib/protocol/section.h"
#include "lib/space/space.h"
#include "lib/protocol/entry.h"

#define DIRTY_TRIES 3
#define DIRTY_PAUSE_NS UINT64_C(50000)

/* The last guest address that translation is linear for, together with gpa. */
static uint64_t dirty_part(const struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	uint64_t bucket = UINT64_C(1) << cache->settings.bucket_shift;
	uint64_t part = bucket - (gpa & (bucket - 1));

	return part < len ? part : len;
}

static void dirty_send(struct mapcache *cache, const struct mapcache_extent *extents, size_t count)
{
	uint64_t pages = 0;
	int error = -EINTR;

	for (int i = 0; error && i < DIRTY_TRIES; i++) {
		if (i)
			clock_sleep_ns(DIRTY_PAUSE_NS);
		error = cache->embedder.backend->modified(cache->embedder.backend_state, extents,
							  count);
	}
	for (size_t i = 0; i < count; i++)
		pages += extents[i].pages;
	mapcache_add_relaxed(&cache->pins.modified_calls, 1);
	if (!error) {
		mapcache_add_relaxed(&cache->pins.modified_pages, pages);
		return;
	}
	mapcache_add_relaxed(&cache->pins.modified_errors, 1);
	log_message(cache, MAPCACHE_LOG_ERROR,
		    "%llu modified pages from frame 0x%llx could not be reported (error %d)",
		    (unsigned long long)pages, (unsigned long long)extents[0].gfn, -error);
}

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

static void dirty_add(struct dirty *dirty, uint64_t gfn, uint64_t pages)
{
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

/* By guest frames: [gpa, gpa + len) may cross buckets. */
static void dirty_add_range(struct mapcache *cache, struct dirty *dirty, uint64_t gpa, uint64_t len)
{
	while (len) {
		uint64_t part = dirty_part(cache, gpa, len), guest;
		uint64_t start = gpa >> PAGE_SHIFT << PAGE_SHIFT;
		int error = source_translate(cache, start, gpa + part - start, &guest);

		if (error) {
			mapcache_add_relaxed(&cache->pins.modified_errors, 1);
			log_message(cache, MAPCACHE_LOG_ERROR,
				    "a modified page at 0x%llx cannot be translated (error %d)",
				    (unsigned long long)gpa, -error);
		} else {
			dirty_add(dirty, guest >> PAGE_SHIFT,
				  ((gpa + part - start - 1) >> PAGE_SHIFT) + 1);
		}
		gpa += part;
		len -= part;
	}
}

void dirty_report(struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	struct dirty dirty = { .count = 0 };

	dirty_add_range(cache, &dirty, gpa, len);
	if (dirty.count)
		dirty_send(cache, dirty.extent, dirty.count);
}

void dirty_will_write(struct mapcache_client *client, uint64_t gpa, uint64_t len)
{
	dirty_add_range(client->cache, &client->dirty, gpa, len);
	client->fast.nested |= MAPCACHE_NESTED_DIRTY;
	section_special(&client->fast);
}

void dirty_written(struct mapcache_client *client, uint64_t gpa, uint64_t len)
{
	if (mapcache_inside_inline(client))
		dirty_will_write(client, gpa, len);
	else
		dirty_report(client->cache, gpa, len);
}

void *mapcache_ptr_slow(struct mapcache_client *client, uint64_t gpa, size_t len, int prot)
{
	void *pointer = lookup_pointer(client, gpa, len, prot);

	if (pointer && (prot & PROT_WRITE) && entry_logging(client->cache))
		dirty_will_write(client, gpa, len);
	return pointer;
}

void section_report(struct mapcache_client *client)
{
	if (client->dirty.count)
		dirty_send(client->cache, client->dirty.extent, client->dirty.count);
	client->dirty.count = 0;
}

/* From here on no entry says writable: those that do are shown again, without. */
static void dirty_hide(struct mapcache *cache)
{
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

/* Until no section is left that may have found a writable entry. */
static int dirty_wait(struct mapcache *cache)
{
	struct epoch_condition condition = { .clock = epoch_advance(&cache->shared) };

	if (!client_barrier(cache))
		return -EPERM;
	while (!client_sections_passed(cache, condition))
		clock_sleep_ns(DIRTY_PAUSE_NS);
	return 0;
}

int mapcache_dirty_log(struct mapcache *cache, bool enable)
{
	if (!cache)
		return -EINVAL;
	if (!cache->embedder.backend->modified)
		return -EOPNOTSUPP;
	if (client_in_section(cache))
		return -EDEADLK;
	entry_set_logging(cache, enable);
	if (!enable)
		return 0;
	/* Stripe locks order the switch before every later publication; the tick and the barrier
	 * order it before every later section. */
	dirty_hide(cache);
	return dirty_wait(cache);
}
