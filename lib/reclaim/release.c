/* SPDX-License-Identifier: MIT */
/*
 * Unmapping. Every call holds the kernel's mmap_lock and interrupts every CPU that runs us, so
 * neighbours go together, but never so many pages that others who want the lock wait long.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

#define RELEASE_BATCH 64  /* slots looked at together */
#define RELEASE_PAGES 256 /* in one call */

static int release_order(const void *left, const void *right)
{
	uintptr_t a = (uintptr_t) * (struct mapping *const *)left;
	uintptr_t b = (uintptr_t) * (struct mapping *const *)right;

	return a < b ? -1 : a > b;
}

static unsigned int release_collect(struct mapcache *cache, struct mapping **batch)
{
	unsigned int count = 0;

	while (count < RELEASE_BATCH && (batch[count] = retired_take_ready(cache)))
		count++;
	qsort(batch, count, sizeof(*batch), release_order);
	return count;
}

/* How many of the batch, from the first, are neighbours that fit into one call. Slots are not
 * side by side where the backend chooses. */
static unsigned int release_neighbours(struct mapcache *cache, struct mapping **batch,
				       unsigned int count)
{
	uint64_t pages = mapping_bytes(cache, batch[0]) >> PAGE_SHIFT;
	unsigned int n = 1;

	while (space_fixed(cache) && n < count && batch[n] == batch[n - 1] + 1) {
		pages += mapping_bytes(cache, batch[n]) >> PAGE_SHIFT;
		if (pages > RELEASE_PAGES)
			break;
		n++;
	}
	return n;
}

/* 0 and the bytes unmapped are added to *released, or -errno and they are all ready again. */
static int release_run(struct mapcache *cache, struct mapping **batch, unsigned int count,
		       uint64_t *released)
{
	struct run all = { 0, cache->settings.granules };
	uint64_t bytes = 0, begin;
	int error = 0;

	for (unsigned int i = 0; i < count; i++) {
		bytes += mapping_bytes(cache, batch[i]);
		notify_mask(cache, batch[i], batch[i]->mapped, MAPCACHE_EVENT_REMOVING);
	}
	begin = clock_ns();
	if (bytes)
		error = mapping_release(cache, batch[0], count, all);
	if (bytes && !error && count == 1)
		cost_note(cache, &cache->reclaim.unmap, bytes >> cache->settings.granule_shift,
			  clock_ns() - begin);
	for (unsigned int i = 0; i < count; i++) {
		if (error) {
			retired_add_ready(cache, batch[i]);
			continue;
		}
		arena_give(cache, batch[i]);
	}
	if (!error)
		*released += bytes;
	return error;
}

const struct cost *release_cost(const struct mapcache *cache)
{
	return &cache->reclaim.unmap;
}

uint64_t release(struct mapcache *cache, uint64_t budget, bool paced)
{
	struct mapping *batch[RELEASE_BATCH];
	uint64_t released = 0;
	unsigned int count, done, n;
	struct pace pace;
	int error = 0;

	while (released < budget && !error) {
		count = release_collect(cache, batch);
		if (!count)
			break;
		if (paced)
			pace_begin(&pace);
		for (done = 0; done < count && released < budget && !error; done += n) {
			n = release_neighbours(cache, batch + done, count - done);
			error = release_run(cache, batch + done, n, &released);
			if (paced)
				pace_pause(&pace);
		}
		for (; done < count; done++)
			retired_add_ready(cache, batch[done]);
	}
	return released;
}
