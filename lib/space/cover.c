/* SPDX-License-Identifier: MIT */
/*
 * What is mapped in each slot, as kernel mappings, and how many of those there are in all.
 *
 * The reservation is one kernel mapping; what is mapped in it and the space that is left between
 * are more. A slot knows its own; it counts as a gap less where the gap at its edge and the one
 * at its neighbour's are one. So the count is what the kernel has, and a map call, which takes
 * two more at most (itself, and the rest of the gap it lies in), is preceded by taking two: the
 * budget holds however many threads map at once (H).
 */
#include "lib/space/own.h"

#include "lib/base/base.h"

uint64_t cover_mask(const struct mapcache *cache, uint64_t offset, uint64_t bytes)
{
	uint32_t shift = cache->settings.granule_shift;
	unsigned int first = (unsigned int)(offset >> shift);
	unsigned int last = (unsigned int)((offset + bytes - 1) >> shift);

	return run_mask((struct run){ first, last - first + 1 });
}

uint64_t cover_lost(const struct mapcache *cache, const struct mapping *mapping)
{
	return mapping->lost_pages ? cover_mask(cache, (uint64_t)mapping->lost_first << PAGE_SHIFT,
						(uint64_t)mapping->lost_pages << PAGE_SHIFT)
				   : 0;
}

/* Of a slot's kernel mappings, gaps included. */
struct shape {
	int more; /* than in an empty slot */
	bool head, tail;
};

static struct shape cover_shape(const struct mapcache *cache, const struct mapping *mapping)
{
	uint64_t used = mapping->mapped | cover_lost(cache, mapping), gaps;
	bool head = used & 1, tail = used >> (cache->settings.granules - 1) & 1;

	if (!space_fixed(cache))
		return (struct shape){ .more = mapping->mapped != 0 };
	gaps = run_mask((struct run){ 0, cache->settings.granules }) & ~used;
	return (struct shape){
		.more = __builtin_popcountll(mapping->starts) +
			__builtin_popcountll(gaps & ~(gaps << 1)) - 1 +
			/* Gaps of less than a granule. */
			(head && mapping->ragged_head) + mapping->split +
			(tail && mapping->ragged_tail),
		.head = head && !mapping->ragged_head,
		.tail = tail && !mapping->ragged_tail,
	};
}

/* Gaps on both sides of an edge are one. Past the first and the last slot there is one. */
static int cover_joins(const struct arena *arena, const struct mapping *mapping, bool head,
		       bool tail)
{
	uint64_t slot = (uint64_t)(mapping - arena->mappings);
	bool left = slot > 0 && mapping[-1].tail;
	bool right = slot + 1 < arena->slots && mapping[1].head;

	return (!left && !head) + (!tail && !right);
}

void cover_settle(struct mapcache *cache, struct mapping *mapping, uint64_t taken)
{
	struct shape now = cover_shape(cache, mapping);
	struct arena *arena = &cache->space.arena;
	int more;

	pthread_mutex_lock(&arena->lock);
	more = now.more - mapping->more - cover_joins(arena, mapping, now.head, now.tail) +
	       cover_joins(arena, mapping, mapping->head, mapping->tail);
	arena->vmas += (uint64_t)(int64_t)more;
	arena->vmas_taken -= taken;
	mapping->more = (int8_t)now.more;
	mapping->head = now.head;
	mapping->tail = now.tail;
	pthread_mutex_unlock(&arena->lock);
}

/* The totals follow; what a span shows its own room counts, by the page. */
static void cover_count(struct mapcache *cache, const struct mapping *mapping, uint64_t bytes,
			uint64_t current)
{
	if (mapping_state(mapping) != MAPPING_SPAN)
		account_map(cache, mapcache_load_relaxed(&mapping->epoch), bytes, current);
}

/* The run is one kernel mapping now, which replaces whole ones. */
void cover_add(struct mapcache *cache, struct mapping *mapping, uint64_t offset, uint64_t bytes,
	       uint64_t current)
{
	uint64_t granule = UINT64_C(1) << cache->settings.granule_shift;
	uint64_t bucket = UINT64_C(1) << cache->settings.bucket_shift;
	uint64_t granules = cover_mask(cache, offset, bytes), first = granules & -granules;

	cover_count(cache, mapping, granules_bytes(cache, granules & ~mapping->mapped), current);
	/* Two of them in one granule. */
	if (offset & (granule - 1) && mapping->starts & first)
		mapping->split = 1;
	mapping->mapped |= granules;
	mapping->starts = (mapping->starts & ~granules) | first;
	if (first == 1)
		mapping->ragged_head = offset != 0;
	if (offset + bytes > bucket - granule)
		mapping->ragged_tail = offset + bytes != bucket;
}

void cover_remove(struct mapcache *cache, struct mapping *mapping, uint64_t granules)
{
	cover_count(cache, mapping, -granules_bytes(cache, granules & mapping->mapped), 0);
	mapping->mapped &= ~granules;
	mapping->starts &= ~granules;
	if (!mapping->mapped)
		mapping->ragged_head = mapping->ragged_tail = mapping->split = 0;
}

void cover_lose(struct mapcache *cache, struct mapping *mapping, uint64_t offset, uint64_t bytes)
{
	uint32_t first = (uint32_t)(offset >> PAGE_SHIFT);
	uint32_t end = (uint32_t)((offset + bytes) >> PAGE_SHIFT);
	struct arena *arena = &cache->space.arena;

	cover_remove(cache, mapping, cover_mask(cache, offset, bytes));
	if (mapping->lost_pages) {
		uint32_t before = mapping->lost_first + mapping->lost_pages;

		first = first < mapping->lost_first ? first : mapping->lost_first;
		end = end > before ? end : before;
	}
	mapping->lost_first = first;
	mapping->lost_pages = end - first;
	pthread_mutex_lock(&arena->lock);
	arena->lost++;
	arena->lost_bytes += bytes;
	pthread_mutex_unlock(&arena->lock);
}

/* ---- kernel mappings to be given up ------------------------------------------------------ */

#define BALLAST_BYTES 4096

/* Shared: the kernel merges private ones with their neighbours. */
static void *ballast_map(void)
{
	void *page = mmap(NULL, BALLAST_BYTES, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

bool ballast_room(void)
{
	void *page = ballast_map();

	return page && munmap(page, BALLAST_BYTES) == 0;
}

static bool ballast_page(struct space *space, int i)
{
	void *missing = NULL, *page = ballast_map();

	if (page && !__atomic_compare_exchange_n(&space->ballast[i], &missing, page, false,
						 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		munmap(page, BALLAST_BYTES);
	return page != NULL;
}

bool ballast_take(struct space *space)
{
	for (int i = 0; i < BALLAST_PAGES; i++) {
		if (!__atomic_load_n(&space->ballast[i], __ATOMIC_RELAXED) &&
		    !ballast_page(space, i))
			return false;
	}
	return true;
}

bool ballast_drop(struct space *space, unsigned int pages)
{
	unsigned int dropped = 0;

	for (int i = 0; i < BALLAST_PAGES && dropped < pages; i++) {
		void *page = __atomic_exchange_n(&space->ballast[i], NULL, __ATOMIC_RELAXED);

		dropped += page && munmap(page, BALLAST_BYTES) == 0;
	}
	return dropped > 0;
}

/* ---- the budget ------------------------------------------------------------------------ */

#define COVER_TIGHT 8 /* with this part of it left, more is retired */
#define COVER_LAST 16 /* this part is for the look-ups that must not fail */

/* Whether one more map call fits, and leaves a share; so many are taken for it then. */
static bool cover_fits(struct mapcache *cache, uint64_t share, uint64_t take)
{
	struct arena *arena = &cache->space.arena;
	uint64_t left;
	bool fits;

	pthread_mutex_lock(&arena->lock);
	left = share ? arena->vmas_limit / share : 0;
	fits = arena->vmas + arena->vmas_taken + COVER_TAKEN <= arena->vmas_limit - left;
	if (fits)
		arena->vmas_taken += take;
	pthread_mutex_unlock(&arena->lock);
	return fits;
}

bool space_take(struct mapcache *cache, bool last)
{
	/* With nothing to give up, what is mapped could not be unmapped any more. */
	if (!ballast_take(&cache->space)) {
		cover_retreat(cache);
		return false;
	}
	return cover_fits(cache, last ? 0 : COVER_LAST, COVER_TAKEN);
}

void space_untake(struct mapcache *cache)
{
	struct arena *arena = &cache->space.arena;

	pthread_mutex_lock(&arena->lock);
	arena->vmas_taken -= COVER_TAKEN;
	pthread_mutex_unlock(&arena->lock);
}

bool space_tight(struct mapcache *cache)
{
	return !cover_fits(cache, COVER_TIGHT, 0);
}

void cover_retreat(struct mapcache *cache)
{
	struct arena *arena = &cache->space.arena;
	uint64_t least = cache->settings.vmas_max / 4, limit;

	pthread_mutex_lock(&arena->lock);
	limit = arena->vmas - arena->vmas / 8;
	limit = limit > least ? limit : least;
	if (limit < arena->vmas_limit)
		arena->vmas_limit = limit;
	pthread_mutex_unlock(&arena->lock);
}
