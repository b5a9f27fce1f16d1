/* SPDX-License-Identifier: MIT */
/* Giving guest memory up at once, for memory that somebody waits to have back. */
#include <errno.h>

#include "lib/base/base.h"
#include "lib/base/cancel.h"
#include "lib/pins/pins.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/place.h"
#include "lib/space/space.h"

#define UNMAP_PAUSE_FIRST UINT64_C(5000) /* ns */
#define UNMAP_PAUSE_MAX UINT64_C(1000000)

/*
 * Whether any slot shows, or is about to, a part of the buckets. One that did when the caller
 * began keeps its state and its number until it is unmapped, so it cannot be missed.
 */
static bool unmap_left(struct mapcache *cache, uint64_t first, uint64_t last)
{
	uint64_t slots = arena_beyond(&cache->space.arena);

	for (uint64_t slot = 0; slot < slots; slot++) {
		const struct mapping *mapping = mapping_at(cache, slot);
		uint64_t index = mapping_gpa(cache, mapping) >> cache->settings.bucket_shift;

		if (mapping_state(mapping) != MAPPING_FREE && index >= first && index <= last)
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
	uint64_t pause = UNMAP_PAUSE_FIRST, start = clock_ns();
	int error;

	if (!cache || len == 0)
		return -EINVAL;
	if (space_fixed(cache))
		return -EOPNOTSUPP;
	if (client_in_section(cache))
		return -EDEADLK;
	while (!(error = unmap_try(cache, gpa, len))) {
		if (!unmap_left(cache, gpa >> cache->settings.bucket_shift,
				(gpa + len - 1) >> cache->settings.bucket_shift))
			return 0;
		if (timeout_ms >= 0 && clock_ns() - start >= (uint64_t)timeout_ms * NS_PER_MS)
			return -ETIMEDOUT;
		clock_sleep_ns(pause);
		pause = pause * 2 < UNMAP_PAUSE_MAX ? pause * 2 : UNMAP_PAUSE_MAX;
	}
	return error;
}
