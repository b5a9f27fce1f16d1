/* SPDX-License-Identifier: MIT */
/* Giving guest memory up at once, for memory that somebody waits to have back. */
#include <errno.h>

#include "lib/base/base.h"
#include "lib/pins/pins.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

/* Buckets, both included. */
struct unmap_range {
	uint64_t first, last;
};

static bool unmap_touches(struct unmap_range a, struct unmap_range b)
{
	return a.first <= b.last && b.first <= a.last;
}

/* Pages that need not follow one another; past the end of the list what was on an earlier one. */
static bool unmap_in_list(struct mapcache *cache, const struct mapping *mapping,
			  struct unmap_range range)
{
	for (uint64_t page = 0; page < cache->settings.bucket_pages; page++) {
		uint64_t bucket = place_gpa(cache, mapping, page << PAGE_SHIFT) >>
				  cache->settings.bucket_shift;

		if (bucket >= range.first && bucket <= range.last)
			return true;
	}
	return false;
}

/*
 * Whether any slot shows a part of the buckets. One that did when the caller began keeps its state
 * and its number until it is unmapped, so it cannot be missed.
 */
static bool unmap_left(struct mapcache *cache, struct unmap_range range)
{
	uint64_t bucket = UINT64_C(1) << cache->settings.bucket_shift;
	uint64_t slots = space_slots(cache);

	for (uint64_t slot = 0; slot < slots; slot++) {
		const struct mapping *mapping = mapping_at(cache, slot);
		bool listed = mapcache_load_relaxed(&mapping->index) & MAPPING_LISTED;
		uint64_t gpa = mapping_gpa(cache, mapping);
		/* Or is about to; of a span the end of one bucket and the beginning of the next. */
		struct unmap_range shown = { gpa >> cache->settings.bucket_shift,
					     (gpa + bucket - 1) >> cache->settings.bucket_shift };

		if (mapping_state(mapping) == MAPPING_FREE)
			continue;
		if (listed ? unmap_in_list(cache, mapping, range) : unmap_touches(shown, range))
			return true;
	}
	return false;
}

static int unmap_try(struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	int error = mapcache_invalidate_range(cache, gpa, len);
	CANCEL_DEFERRED;

	if (error)
		return error;
	span_reclaim(cache, false);
	retired_check_pins(cache);
	retired_advance(cache);
	release(cache, UINT64_MAX, false);
	return 0;
}

int mapcache_unmap(struct mapcache *cache, uint64_t gpa, uint64_t len, int timeout_ms)
{
	struct clock_wait wait = { 0 };
	struct unmap_range range;
	int error;

	if (!cache || len == 0)
		return -EINVAL;
	if (client_in_section(cache))
		return -EDEADLK;
	range = (struct unmap_range){ gpa >> cache->settings.bucket_shift,
				      (gpa + len - 1) >> cache->settings.bucket_shift };
	while (!(error = unmap_try(cache, gpa, len))) {
		if (!unmap_left(cache, range))
			return 0;
		if (!clock_wait(&wait, timeout_ms))
			return -ETIMEDOUT;
	}
	return error;
}
