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
#include "lib/space/cover.h"

/* Of a slot's kernel mappings, gaps included. */
struct shape {
	int more; /* than in an empty slot */
	bool head, tail;
};

static unsigned int cover_count(uint64_t mask)
{
	return (unsigned int)__builtin_popcountll(mask);
}

/* Granules that a part of the slot touches. */
struct run cover_run(const struct mapcache *cache, uint64_t offset, uint64_t bytes)
{
	uint32_t shift = cache->settings.granule_shift;
	unsigned int first = (unsigned int)(offset >> shift);

	return (struct run){ first, (unsigned int)((offset + bytes - 1) >> shift) - first + 1 };
}

static uint64_t cover_lost(const struct mapcache *cache, const struct mapping *mapping)
{
	if (!mapping->lost_pages)
		return 0;
	return run_mask(cover_run(cache, (uint64_t)mapping->lost_first << PAGE_SHIFT,
				  (uint64_t)mapping->lost_pages << PAGE_SHIFT));
}

static struct shape cover_shape(const struct mapcache *cache, const struct mapping *mapping)
{
	uint64_t used = mapping->mapped | cover_lost(cache, mapping), gaps;
	struct shape shape;

	if (!space_fixed(cache))
		return (struct shape){ .more = mapping->mapped != 0 };
	gaps = run_mask((struct run){ 0, cache->settings.granules }) & ~used;
	shape.more = (int)(cover_count(mapping->starts) + cover_count(gaps & ~(gaps << 1))) - 1;
	shape.head = (used & 1) && !mapping->ragged_head;
	shape.tail = (used >> (cache->settings.granules - 1) & 1) && !mapping->ragged_tail;
	/* A gap of less than a granule. */
	shape.more += ((used & 1) && mapping->ragged_head) + mapping->split +
		      ((used >> (cache->settings.granules - 1) & 1) && mapping->ragged_tail);
	return shape;
}

/* Gaps on both sides of an edge are one. Past the first and the last slot there is one. */
static int cover_joins(bool left, bool right)
{
	return !left && !right;
}

static uint64_t cover_delta(struct arena *arena, const struct mapping *mapping, struct shape now)
{
	uint64_t slot = (uint64_t)(mapping - arena->mappings);
	bool left = slot > 0 && mapping[-1].tail;
	bool right = slot + 1 < arena->slots && mapping[1].head;
	int delta = now.more - mapping->more;

	delta -= cover_joins(left, now.head) - cover_joins(left, mapping->head);
	delta -= cover_joins(now.tail, right) - cover_joins(mapping->tail, right);
	return (uint64_t)(int64_t)delta;
}

/* After a change of what is mapped in the slot, which is the caller's; taken: what was taken for
 * the map call that made it. */
void cover_settle(struct mapcache *cache, struct mapping *mapping, uint64_t taken)
{
	struct shape now = cover_shape(cache, mapping);
	struct arena *arena = &cache->space.arena;

	pthread_mutex_lock(&arena->lock);
	arena->vmas += cover_delta(arena, mapping, now);
	arena->vmas_taken -= taken;
	mapping->more = (int8_t)now.more;
	mapping->head = now.head;
	mapping->tail = now.tail;
	pthread_mutex_unlock(&arena->lock);
}

/* The run is one kernel mapping now, which replaces whole ones. */
void cover_add(const struct mapcache *cache, struct mapping *mapping, uint64_t offset,
	       uint64_t bytes)
{
	uint64_t granule = UINT64_C(1) << cache->settings.granule_shift;
	uint64_t bucket = UINT64_C(1) << cache->settings.bucket_shift;
	struct run run = cover_run(cache, offset, bytes);

	/* Two of them in one granule. */
	if (offset & (granule - 1) && mapping->starts >> run.first & 1)
		mapping->split = 1;
	mapping->mapped |= run_mask(run);
	mapping->starts = (mapping->starts & ~run_mask(run)) | UINT64_C(1) << run.first;
	if (run.first == 0)
		mapping->ragged_head = offset != 0;
	if (offset + bytes > bucket - granule)
		mapping->ragged_tail = offset + bytes != bucket;
}

void cover_remove(struct mapping *mapping, struct run run)
{
	mapping->mapped &= ~run_mask(run);
	mapping->starts &= ~run_mask(run);
	if (!mapping->mapped)
		mapping->ragged_head = mapping->ragged_tail = mapping->split = 0;
}

void cover_lose(struct mapcache *cache, struct mapping *mapping, uint64_t offset, uint64_t bytes)
{
	uint32_t first = (uint32_t)(offset >> PAGE_SHIFT);
	uint32_t end = (uint32_t)((offset + bytes) >> PAGE_SHIFT);
	struct arena *arena = &cache->space.arena;

	cover_remove(mapping, cover_run(cache, offset, bytes));
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

struct run cover_first(const struct mapping *mapping, uint64_t mask)
{
	unsigned int first = (unsigned int)__builtin_ctzll(mapping->mapped & mask);
	uint64_t more = first == 63 ? 0 : (mapping->mapped & ~mapping->starts) >> (first + 1);

	return (struct run){ first, 1 + (unsigned int)__builtin_ctzll(~more) };
}

/* ---- the budget ------------------------------------------------------------------------ */

#define COVER_TIGHT 8 /* with this part of it left, more is retired */
#define COVER_LAST 16 /* this part is for the look-ups that must not fail */

/* Arena lock held. */
static bool cover_fits(const struct mapcache *cache, uint64_t share)
{
	const struct arena *arena = &cache->space.arena;
	uint64_t limit = cache->settings.vmas_max;

	if (arena->vmas_limit && arena->vmas_limit < limit)
		limit = arena->vmas_limit;
	return arena->vmas + arena->vmas_taken + COVER_TAKEN <= limit - (share ? limit / share : 0);
}

bool space_take(struct mapcache *cache, bool last)
{
	struct arena *arena = &cache->space.arena;
	bool fits;

	/* With nothing to give up, what is mapped could not be unmapped any more. */
	if (!ballast_take(&cache->space.ballast)) {
		cover_retreat(cache);
		return false;
	}
	pthread_mutex_lock(&arena->lock);
	fits = cover_fits(cache, last ? 0 : COVER_LAST);
	if (fits)
		arena->vmas_taken += COVER_TAKEN;
	pthread_mutex_unlock(&arena->lock);
	return fits;
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
	struct arena *arena = &cache->space.arena;
	bool fits;

	pthread_mutex_lock(&arena->lock);
	fits = cover_fits(cache, COVER_TIGHT);
	pthread_mutex_unlock(&arena->lock);
	return !fits;
}

void cover_retreat(struct mapcache *cache)
{
	struct arena *arena = &cache->space.arena;
	uint64_t least = cache->settings.vmas_max / 4, limit;

	pthread_mutex_lock(&arena->lock);
	limit = arena->vmas - arena->vmas / 8;
	limit = limit > least ? limit : least;
	if (!arena->vmas_limit || limit < arena->vmas_limit)
		arena->vmas_limit = limit;
	pthread_mutex_unlock(&arena->lock);
}
