/* SPDX-License-Identifier: MIT */
/*
 * Slots whose place the backend chooses. The index is a table of chains by the address's high
 * bits: what a slot shows is at most a bucket long, so it ends in its own window of addresses or
 * in the next.
 */
#include "lib/space/own.h"

#include <errno.h>

#include "lib/base/base.h"

/* What a slot shows when the backend chose where. Origin: of the bucket's first byte, which a
 * contiguous pin may not show. */
struct place {
	mapcache_atomic_u64 origin;
	char *address; /* arena lock; NULL: nothing is mapped */
	size_t pages;
	uint32_t next; /* slot + 1 in the same chain; 0: the last */
};

#define PLACE_HEADS_MIN 64
#define PLACE_HEADS_MAX (UINT64_C(1) << 20)

/* Places, and the heads behind them. */
static size_t place_bytes(const struct mapcache *cache)
{
	return (size_t)(cache->space.arena.slots * sizeof(struct place) +
			(cache->space.places.mask + 1) * sizeof(uint32_t));
}

static size_t place_frames_bytes(const struct mapcache *cache)
{
	return (size_t)(cache->space.arena.slots * cache->settings.bucket_pages * sizeof(uint64_t));
}

/* Where they are noted only once somebody wants a list, so that who never does is not charged for
 * it where the kernel overcommits nothing. Two at a time: one of theirs goes. */
static bool place_init_frames(struct mapcache *cache)
{
	mapcache_atomic_u64 *missing = NULL;
	mapcache_atomic_u64 *frames =
		account_reserve(place_frames_bytes(cache), PROT_READ | PROT_WRITE);

	if (!frames)
		return false;
	/* Acquire and release: who names the table in a slot's index has seen it. */
	if (!__atomic_compare_exchange_n(&cache->space.frames, &missing, frames, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		munmap(frames, place_frames_bytes(cache));
	return true;
}

static mapcache_atomic_u64 *place_frames(const struct mapcache *cache,
					 const struct mapping *mapping, uint64_t offset)
{
	uint64_t slot = mapping_slot(cache, mapping);

	return __atomic_load_n(&cache->space.frames, __ATOMIC_ACQUIRE) +
	       slot * cache->settings.bucket_pages + (offset >> PAGE_SHIFT);
}

mapcache_atomic_u64 *place_list(struct mapcache *cache, const struct mapping *mapping)
{
	/* Translated addresses are not frames, and only these are noted. */
	if (!cache->embedder.backend->map_frames || !space_fixed(cache) ||
	    cache->embedder.options.translate || source_stands(cache, 0, UINT64_MAX, true))
		return NULL;
	if (!__atomic_load_n(&cache->space.frames, __ATOMIC_ACQUIRE) && !place_init_frames(cache))
		return NULL;
	return place_frames(cache, mapping, 0);
}

uint64_t place_gpa(const struct mapcache *cache, const struct mapping *mapping, uint64_t offset)
{
	uint64_t page = UINT64_C(1) << PAGE_SHIFT;

	if (mapcache_likely(!(mapcache_load_relaxed(&mapping->index) & MAPPING_LISTED)))
		return mapping_gpa(cache, mapping) + offset;
	return (mapcache_load_relaxed(place_frames(cache, mapping, offset)) << PAGE_SHIFT) +
	       (offset & (page - 1));
}

int place_init(struct mapcache *cache)
{
	struct places *places = &cache->space.places;
	uint64_t heads = PLACE_HEADS_MIN;

	if (cache->embedder.options.translate && !place_init_frames(cache))
		return -errno;
	if (cache->embedder.backend->flags & MAPCACHE_BACKEND_FIXED)
		return 0;
	while (heads < cache->space.arena.slots && heads < PLACE_HEADS_MAX)
		heads *= 2;
	places->mask = heads - 1;
	places->of = account_reserve(place_bytes(cache), PROT_READ | PROT_WRITE);
	if (!places->of)
		return -errno;
	places->heads = (uint32_t *)(places->of + cache->space.arena.slots);
	return 0;
}

void place_unreserve(struct mapcache *cache)
{
	if (cache->space.frames)
		munmap(cache->space.frames, place_frames_bytes(cache));
	if (cache->space.places.of)
		munmap(cache->space.places.of, place_bytes(cache));
}

char *mapping_base(const struct mapcache *cache, const struct mapping *mapping)
{
	uint64_t slot = mapping_slot(cache, mapping);
	const struct place *places = cache->space.places.of;

	if (places)
		return (char *)(uintptr_t)mapcache_load_relaxed(&places[slot].origin);
	return cache->space.arena.base + (slot << cache->space.arena.shift);
}

/* Of the window of addresses. */
static uint32_t *place_head(const struct mapcache *cache, uintptr_t address)
{
	const struct places *places = &cache->space.places;

	return &places->heads[address >> cache->settings.bucket_shift & places->mask];
}

/* Arena lock held, as for the next three. */
static void place_insert(struct mapcache *cache, uint64_t slot)
{
	struct place *place = &cache->space.places.of[slot];
	uint32_t *head = place_head(cache, (uintptr_t)place->address);

	place->next = *head;
	*head = (uint32_t)slot + 1;
}

static void place_remove(struct mapcache *cache, uint64_t slot)
{
	struct place *place = &cache->space.places.of[slot];
	uint32_t *link = place_head(cache, (uintptr_t)place->address);

	while (*link != (uint32_t)slot + 1)
		link = &cache->space.places.of[*link - 1].next;
	*link = place->next;
}

static uint64_t place_search(const struct mapcache *cache, uintptr_t window, uintptr_t address)
{
	uint32_t link = *place_head(cache, window);

	while (link) {
		const struct place *place = &cache->space.places.of[link - 1];

		if (address - (uintptr_t)place->address < place->pages << PAGE_SHIFT)
			return link - 1;
		link = place->next;
	}
	return PLACE_NONE;
}

uint64_t place_find(struct mapcache *cache, const void *pointer)
{
	uintptr_t address = (uintptr_t)pointer;
	uint64_t slot;

	if (!cache->space.places.of)
		return PLACE_NONE;
	pthread_mutex_lock(&cache->space.arena.lock);
	slot = place_search(cache, address, address);
	if (slot == PLACE_NONE)
		slot = place_search(cache, address - ((uintptr_t)1 << cache->settings.bucket_shift),
				    address);
	pthread_mutex_unlock(&cache->space.arena.lock);
	return slot;
}

/* One map call's memory belongs to these neighbours, a bucket each. */
static void place_note(struct mapcache *cache, uint64_t slot, uint64_t count, char *address,
		       uint64_t offset, size_t pages)
{
	uint64_t bucket = UINT64_C(1) << cache->settings.bucket_shift, left = pages;

	pthread_mutex_lock(&cache->space.arena.lock);
	for (uint64_t end = slot + count; slot < end; slot++) {
		struct place *place = &cache->space.places.of[slot];
		uint64_t part = (bucket - offset) >> PAGE_SHIFT;

		place->address = address;
		place->pages = (size_t)(part < left ? part : left);
		mapcache_store_relaxed(&place->origin, (uintptr_t)address - offset);
		place_insert(cache, slot);
		address += place->pages << PAGE_SHIFT;
		left -= place->pages;
		offset = 0;
	}
	pthread_mutex_unlock(&cache->space.arena.lock);
}

uint64_t place_frame(struct mapcache *cache, const void *pointer, uint64_t *linear)
{
	const struct mapping *mapping = mapping_at(cache, place_slot(cache, pointer));
	uint64_t offset = (uint64_t)((const char *)pointer - mapping_base(cache, mapping));
	bool listed = mapcache_load_relaxed(&mapping->index) & MAPPING_LISTED;
	uint64_t page = UINT64_C(1) << PAGE_SHIFT;

	if (cache->embedder.options.translate || listed) {
		*linear = page - (offset & (page - 1));
		return mapcache_load_relaxed(place_frames(cache, mapping, offset));
	}
	*linear = UINT64_MAX;
	return place_gpa(cache, mapping, offset) >> PAGE_SHIFT;
}

/* A map call has failed: what is there now. */
static void place_failed(struct mapcache *cache, struct mapping *mapping, uint64_t offset,
			 uint64_t bytes, enum reserve_found found)
{
	uint64_t granules = cover_mask(cache, offset, bytes);
	char *address = mapping_base(cache, mapping) + offset;

	if (found == RESERVE_LOST) {
		cover_lose(cache, mapping, offset, bytes);
		log_message(cache, MAPCACHE_LOG_ERROR,
			    "a map call failed and another thread has its address now: %llu KiB "
			    "at %p are lost",
			    (unsigned long long)bytes >> 10, (void *)address);
	} else if (found == RESERVE_OURS || !space_unmap(cache, address, bytes, 1)) {
		cover_remove(cache, mapping, granules);
	} else if (!(mapping->mapped & granules)) {
		cover_add(cache, mapping, offset, bytes, 0);
	}
}

char *place_map(struct mapcache *cache, struct mapping *mapping, uint64_t count, uint64_t offset,
		uint64_t gpa, size_t pages, int prot, int *error)
{
	struct source source = { .gpa = gpa, .pages = pages, .prot = prot, .error = error };
	uint64_t bytes = (uint64_t)pages << PAGE_SHIFT;
	bool fixed = space_fixed(cache);
	uint64_t granules = cover_mask(cache, offset, bytes);
	char *address;
	int saved;

	/* A part is somebody else's: a pin whose relocation failed stays where it is. */
	if (cover_lost(cache, mapping) & granules) {
		space_untake(cache);
		errno = ENOMEM;
		return NULL;
	}
	if (cache->embedder.options.translate)
		source.frames = place_frames(cache, mapping, offset);
	if (fixed)
		source.address = mapping_base(cache, mapping) + offset;
	if (fixed && mapping->mapped & granules)
		source.found = RESERVE_LEFT;
	if (mapcache_load_relaxed(&mapping->index) & MAPPING_LISTED)
		source.list = place_frames(cache, mapping, 0);
	address = source_map(cache, &source);
	saved = errno;
	if (address && !fixed) {
		place_note(cache, mapping_slot(cache, mapping), count, address, offset, pages);
		/* One kernel mapping, however many slots. */
		cover_add(cache, mapping, 0, UINT64_C(1) << cache->settings.bucket_shift, bytes);
	} else if (address) {
		cover_add(cache, mapping, offset, bytes, bytes);
	} else if (fixed) {
		if (saved == ENOMEM && !ballast_room())
			cover_retreat(cache);
		place_failed(cache, mapping, offset, bytes, source.found);
	}
	cover_settle(cache, mapping, COVER_TAKEN);
	errno = saved;
	return address;
}

/*
 * Out of the index before the address is given back: whoever gets it next enters it there. On
 * failure back into it. Nobody looks for it meanwhile: it is nobody's.
 */
static int place_unmap(struct mapcache *cache, uint64_t slot, uint64_t count)
{
	struct place *places = cache->space.places.of + slot;
	size_t pages = 0;
	int error;

	if (!places->address)
		return 0;
	pthread_mutex_lock(&cache->space.arena.lock);
	for (uint64_t i = 0; i < count; i++) {
		pages += places[i].pages;
		place_remove(cache, slot + i);
	}
	pthread_mutex_unlock(&cache->space.arena.lock);
	error = space_unmap(cache, places->address, (uint64_t)pages << PAGE_SHIFT, 0);
	pthread_mutex_lock(&cache->space.arena.lock);
	for (uint64_t i = 0; i < count; i++) {
		if (error)
			place_insert(cache, slot + i);
		else
			places[i].address = NULL;
	}
	pthread_mutex_unlock(&cache->space.arena.lock);
	return error;
}

/* At the kernel's limit nothing can be mapped over anything, but whole mappings can be unmapped;
 * then there is room to get the range back, unless somebody is faster. */
static int place_unmap_first(struct mapcache *cache, struct mapping *mapping, uint64_t offset,
			     uint64_t bytes)
{
	char *address = mapping_base(cache, mapping) + offset;
	int error = space_unmap(cache, address, bytes, 0);

	if (!error)
		place_failed(cache, mapping, offset, bytes,
			     reserve_find(&cache->space.arena.reserve, address, bytes, false));
	return error;
}

/* Kernel mapping by kernel mapping. */
static int place_release_each(struct mapcache *cache, struct mapping *mapping, uint64_t mask)
{
	uint32_t shift = cache->settings.granule_shift;
	int error = 0;

	while (!error && mapping->mapped & mask) {
		unsigned int first = (unsigned int)__builtin_ctzll(mapping->mapped & mask);
		struct run run = mapping_grow(mapping, (struct run){ first, 1 });
		uint64_t offset = (uint64_t)first << shift;
		uint64_t bytes = (uint64_t)run.count << shift;

		error = space_unmap(cache, mapping_base(cache, mapping) + offset, bytes, 1);
		if (!error)
			cover_remove(cache, mapping, run_mask(run));
		else if (error == -ENOMEM)
			error = place_unmap_first(cache, mapping, offset, bytes);
	}
	cover_settle(cache, mapping, 0);
	return error;
}

/* In one call, if all of it is ours. */
static int place_release(struct mapcache *cache, struct mapping *mapping, uint64_t count,
			 struct run run)
{
	uint32_t shift = cache->settings.granule_shift;
	char *address = mapping_base(cache, mapping) + ((uint64_t)run.first << shift);

	for (uint64_t i = 0; i < count; i++) {
		if (mapping[i].lost_pages)
			return -ENOMEM;
	}
	return space_fixed(cache) ? space_unmap(cache, address, count * run.count << shift, 1)
				  : place_unmap(cache, mapping_slot(cache, mapping), count);
}

int mapping_release(struct mapcache *cache, struct mapping *mapping, uint64_t count, struct run run)
{
	int error = place_release(cache, mapping, count, run);

	for (uint64_t i = 0; i < count && !error; i++) {
		cover_remove(cache, &mapping[i], run_mask(run));
		cover_settle(cache, &mapping[i], 0);
	}
	if (error != -ENOMEM || !space_fixed(cache))
		return error;
	error = 0;
	for (uint64_t i = 0; i < count && !error; i++)
		error = place_release_each(cache, &mapping[i], run_mask(run));
	return error;
}
