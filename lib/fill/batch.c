/* SPDX-License-Identifier: MIT */
/*
 * After an INVALIDATE, whoever misses first maps what it asks for together with the granules of other
 * buckets that were in use before, by one call of an arbitrary list of frames: a call costs as much as
 * many pages. They go into a slot of their own, which is never changed, is shown by the words of its
 * granules (protocol/table.h), and goes whole: with the next epoch, when there is no room, or when a
 * range of it is invalidated. Its last granule stays empty, so that no range of granules is ever one
 * piece across two slots: a pin holds one.
 *
 * Nothing waits for a batch and nothing needs it: what it does not map is mapped when it is asked
 * for. It asks for no room that would have to be made, and takes no part while modified pages are
 * logged or placeholders are there.
 */

#include <errno.h>

#include "lib/base/base.h"
#include "lib/fill/fill.h"
#include "lib/fill/filling.h"
#include "lib/protocol/table.h"
#include "lib/reclaim/reclaim.h"

#define BATCH_SLOTS_MIN 8
/* Guest memory past it is mapped as ever: with granules of 16 KiB 160 MiB of address space for the
 * rest, which a kernel that overcommits nothing charges. */
#define BATCH_END (UINT64_C(1) << (sizeof(void *) > 4 ? 38 : 32))

static uint64_t batch_end(const struct mapcache *cache)
{
	uint64_t limit = cache->settings.guest_limit;

	return limit < BATCH_END ? limit : BATCH_END;
}

/* Whole pages of words. */
static uint64_t batch_granules(const struct mapcache *cache)
{
	return ((batch_end(cache) >> cache->settings.granule_shift) + 511) & ~UINT64_C(511);
}

/* Of what is hot and of the words, which the numbers follow. */
static uint64_t batch_bytes(uint64_t granules)
{
	return HOT_MAX * sizeof(struct hot) + granules * sizeof(mapcache_atomic_u64);
}

static uint64_t batch_bytes_all(const struct mapcache *cache)
{
	uint64_t granules = batch_granules(cache);

	return batch_bytes(granules) + granules * sizeof(uint16_t);
}

int fill_init(struct mapcache *cache)
{
	const struct settings *settings = &cache->settings;
	const struct embedder *embedder = &cache->embedder;
	struct fills *fills = &cache->fill;
	int error;

	/* Those that can be granted are a page a bucket; those that are translated have no frames. */
	fills->batches.off = !(embedder->backend->flags & MAPCACHE_BACKEND_FIXED) ||
			     embedder->backend->flags & MAPCACHE_BACKEND_READ_ONLY ||
			     !embedder->backend->map_frames || embedder->options.translate ||
			     settings->flags & (MAPCACHE_NO_BATCHES | MAPCACHE_DEBUG) ||
			     settings->granules < BATCH_LEAST || settings->slots < BATCH_SLOTS_MIN;
	reclaim_batches(cache, batch_retire);
	fills->habits = account_reserve(settings->guest_limit >> settings->bucket_shift,
					PROT_READ | PROT_WRITE);
	if (!fills->habits)
		return -errno;
	error = -pthread_mutex_init(&fills->batches.lock, NULL);
	if (error)
		fill_abandon(cache);
	return error;
}

void fill_abandon(struct mapcache *cache)
{
	const struct settings *settings = &cache->settings;
	struct fills *fills = &cache->fill;

	munmap(fills->habits, (size_t)(settings->guest_limit >> settings->bucket_shift));
	if (fills->batches.words)
		munmap(fills->batches.hots.all, (size_t)batch_bytes_all(cache));
}

void fill_destroy(struct mapcache *cache)
{
	pthread_mutex_destroy(&cache->fill.batches.lock);
	fill_abandon(cache);
}

bool batch_start(struct mapcache *cache)
{
	struct batches *batches = &cache->fill.batches;
	struct hots *hots = &batches->hots;

	if (batches->off || batches->words)
		return !batches->off;
	hots->all = account_reserve(batch_bytes_all(cache), PROT_READ | PROT_WRITE);
	batches->off = !hots->all;
	if (batches->off)
		return false;
	batches->words = (mapcache_atomic_u64 *)(hots->all + HOT_MAX);
	hots->granules = batch_granules(cache);
	hots->number = (uint16_t *)(batches->words + hots->granules);
	granules_show(&cache->shared, batches->words, batch_end(cache));
	return true;
}

void fill_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	struct batches *batches = &cache->fill.batches;
	struct hots *hots = &batches->hots;
	uint64_t granules;

	pthread_mutex_lock(&batches->lock);
	granules = batches->used * cache->settings.granules;
	stats->memory_bytes += account_resident(cache->fill.habits, batches->used);
	granules = granules < hots->granules ? granules : hots->granules;
	if (granules)
		stats->memory_bytes +=
			account_resident(hots->all, batch_bytes(granules)) +
			account_resident(hots->number, granules * sizeof(*hots->number));
	pthread_mutex_unlock(&batches->lock);
}

/* ---- what is shown; batches lock held ---------------------------------------------------- */

/* Of a slot's granules, by their place in it: what guest granule it is. */
static uint64_t batch_granule(const struct mapcache *cache, const struct mapping *mapping,
			      unsigned int i)
{
	uint32_t shift = cache->settings.granule_shift;

	return place_gpa(cache, mapping, (uint64_t)i << shift) >> shift;
}

uint64_t batch_word(const struct mapcache *cache, const struct mapping *mapping, unsigned int i)
{
	uintptr_t offset = (uintptr_t)i << cache->settings.granule_shift;

	return granule_word(mapcache_load_relaxed(&mapping->epoch),
			    (uintptr_t)mapping_base(cache, mapping) + offset);
}

static unsigned int batch_size(const struct mapping *mapping)
{
	return (unsigned int)__builtin_popcountll(mapping->mapped);
}

/* Out of every word, and to reclaim. */
static void batch_hide(struct mapcache *cache, struct mapping *mapping)
{
	struct batches *batches = &cache->fill.batches;

	for (unsigned int i = 0; i < batch_size(mapping); i++)
		granule_hide(&batches->words[batch_granule(cache, mapping, i)],
			     batch_word(cache, mapping, i));
	reclaim_count_others(cache, UINT64_MAX);
	retired_push(cache, mapping, mapping->mapped);
}

static bool batch_touches(const struct mapcache *cache, const struct mapping *mapping, uint64_t gpa,
			  uint64_t len)
{
	uint64_t granule = UINT64_C(1) << cache->settings.granule_shift;

	for (unsigned int i = 0; i < batch_size(mapping); i++) {
		uint64_t at = batch_granule(cache, mapping, i) * granule;

		if (at >= gpa ? at - gpa < len : gpa - at < granule)
			return true;
	}
	return false;
}

/* Made before the epoch, or showing any of the range. */
bool batch_hide_all(struct mapcache *cache, uint64_t epoch, uint64_t gpa, uint64_t len)
{
	struct batches *batches = &cache->fill.batches;
	struct mapping **link = &batches->first, *mapping;
	bool found = false;

	while ((mapping = *link)) {
		if (mapcache_load_relaxed(&mapping->epoch) >= epoch &&
		    (!len || !batch_touches(cache, mapping, gpa, len))) {
			link = &mapping->next;
			continue;
		}
		*link = mapping->next;
		batches->count--;
		batch_hide(cache, mapping);
		found = true;
	}
	return found;
}

bool batch_retire(struct mapcache *cache, uint64_t epoch)
{
	struct batches *batches = &cache->fill.batches;
	bool found;

	pthread_mutex_lock(&batches->lock);
	found = batch_hide_all(cache, epoch, 0, 0);
	pthread_mutex_unlock(&batches->lock);
	return found;
}

void batch_drop(struct mapcache *cache, uint64_t gpa, uint64_t len)
{
	struct batches *batches = &cache->fill.batches;

	pthread_mutex_lock(&batches->lock);
	batches->dropped++;
	batch_hide_all(cache, 0, gpa, len);
	pthread_mutex_unlock(&batches->lock);
}
