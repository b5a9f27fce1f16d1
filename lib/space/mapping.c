/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base.h"
#include "lib/protocol/entry.h"
#include "lib/protocol/grace.h"
#include "lib/space/own.h"

void client_fold(struct mapcache_client *client, uint64_t slot)
{
	pin_count_fold(&client->pins[slot], &mapping_at(client->cache, slot)->shared_pins);
}

static struct mapcache_entry *mapping_entry(const struct mapcache *cache,
					    const struct mapping *mapping)
{
	return entry_of(cache, mapcache_load_relaxed(&mapping->index));
}

uint64_t mapping_valid(const struct mapcache *cache, const struct mapping *mapping)
{
	return mapcache_load_relaxed(&mapping_entry(cache, mapping)->valid);
}

uint64_t mapping_current(const struct mapcache *cache, const struct mapping *mapping)
{
	return mapping_valid(cache, mapping) | (mapping->detail ? mapping->detail->partial : 0);
}

uint64_t mapping_denied(const struct mapping *mapping)
{
	if (mapping->read_only)
		return UINT64_MAX;
	return mapping->detail ? mapping->detail->denied : 0;
}

bool mapping_serves(const struct mapcache *cache, const struct mapping *mapping,
		    const struct request *request)
{
	const struct mapping_detail *detail = mapping->detail;
	uint64_t rest;

	if (mapcache_load_relaxed(&mapping->epoch) < request->epoch ||
	    (request->write && (request->granules & mapping_denied(mapping))))
		return false;
	rest = request->granules & ~mapping_valid(cache, mapping);
	if (!rest)
		return true;
	if (!detail || (rest & ~detail->partial))
		return false;
	for (unsigned int page = request->first_page; page <= request->last_page; page++) {
		if (rest >> (page / cache->settings.granule_pages) & 1 &&
		    !(detail->pages[page / 64] >> (page % 64) & 1))
			return false;
	}
	return true;
}

static size_t mapping_detail_bytes(const struct mapcache *cache)
{
	unsigned int words = (cache->settings.bucket_pages + 63) / 64;

	return sizeof(struct mapping_detail) + words * sizeof(uint64_t);
}

static struct mapping_detail *mapping_need_detail(struct mapcache *cache, struct mapping *mapping)
{
	size_t size = mapping_detail_bytes(cache);

	if (!mapping->detail) {
		mapping->detail = calloc(1, size);
		if (mapping->detail)
			mapcache_add_relaxed(&cache->accounts.memory_bytes, size);
	}
	return mapping->detail;
}

int mapping_deny(struct mapcache *cache, struct mapping *mapping, uint64_t granules)
{
	if (!(granules & ~mapping_denied(mapping)))
		return 0;
	if (!mapping_need_detail(cache, mapping))
		return -ENOMEM;
	mapping->detail->denied |= granules;
	return 0;
}

void mapping_drop_detail(struct mapcache *cache, struct mapping *mapping)
{
	if (!mapping->detail)
		return;
	mapcache_add_relaxed(&cache->accounts.memory_bytes, -(uint64_t)mapping_detail_bytes(cache));
	free(mapping->detail);
	mapping->detail = NULL;
}

struct run run_first(uint64_t granules)
{
	unsigned int first = (unsigned int)__builtin_ctzll(granules);
	uint64_t rest = ~(granules >> first);

	return (struct run){ first, rest ? (unsigned int)__builtin_ctzll(rest) : 64 };
}

uint64_t run_mask(struct run run)
{
	return ((UINT64_C(2) << ((run.count - 1) & 63)) - 1) << run.first;
}

int mapping_note(struct mapcache *cache, struct mapping *mapping, struct run run, const int *error,
		 uint64_t *valid)
{
	unsigned int granule = cache->settings.granule_pages, first = run.first * granule;
	struct mapping_detail *detail = mapping->detail;
	uint64_t partial = 0;

	for (unsigned int i = 0; i < run.count * granule; i++) {
		if (error[i])
			partial |= UINT64_C(1) << (first + i) / granule;
	}
	if (partial)
		detail = mapping_need_detail(cache, mapping);
	if (partial && !detail)
		return -ENOMEM;
	if (detail)
		detail->partial = (detail->partial & ~run_mask(run)) | partial;
	for (unsigned int i = 0; partial && i < run.count * granule; i++) {
		uint64_t bit = UINT64_C(1) << ((first + i) % 64);

		if (error[i])
			detail->pages[(first + i) / 64] &= ~bit;
		else
			detail->pages[(first + i) / 64] |= bit;
	}
	*valid |= run_mask(run) & ~partial;
	return 0;
}

char *mapping_map(struct mapcache *cache, struct mapping *mapping, struct run run, int prot,
		  int *error)
{
	const struct settings *settings = &cache->settings;
	uint64_t offset = (uint64_t)run.first << settings->granule_shift;
	uint64_t gpa = mapcache_load_relaxed(&mapping->index) << settings->bucket_shift;
	char *address;

	address = place_map(cache, mapping, 1, offset, gpa + offset,
			    (size_t)run.count * settings->granule_pages, prot, error);
	if (!address) {
		if (mapping->lost_pages || mapping->mapped & run_mask(run))
			mapping_doom(mapping);
		return NULL;
	}
	if (mapping->detail)
		mapping->detail->old &= ~run_mask(run);
	return address;
}

void mapping_restart(struct mapcache *cache, struct mapping *mapping, uint64_t epoch)
{
	struct mapping_detail *detail = mapping->detail;
	uint64_t old = detail ? detail->old : 0;

	/* Only of what stays in its bucket is any. */
	if (old) {
		memset(detail, 0, mapping_detail_bytes(cache));
		detail->old = old;
	} else {
		mapping_drop_detail(cache, mapping);
	}
	mapcache_store_relaxed(&mapping->epoch, epoch);
	mapping->calls = 0;
	mapping->read_only = 0;
}

uint64_t mapping_stale(const struct mapcache *cache, const struct mapping *mapping)
{
	return mapping->mapped & ~mapping_current(cache, mapping);
}

int mapping_mark(struct mapcache *cache, struct mapping *mapping, uint64_t old)
{
	struct mapping_detail *detail = mapping_need_detail(cache, mapping);

	if (!detail)
		return -ENOMEM;
	detail->old = old;
	return 0;
}

/* Relaxed: who sets it holds the stripe lock or owns the mapping, and the owner looks once
 * more under the lock before it shows anything. */
void mapping_doom(struct mapping *mapping)
{
	__atomic_store_n(&mapping->doomed, 1, __ATOMIC_RELAXED);
}

bool mapping_doomed(const struct mapping *mapping)
{
	return __atomic_load_n(&mapping->doomed, __ATOMIC_RELAXED);
}

void mapping_publish(struct mapcache *cache, struct mapping *mapping, uint64_t valid)
{
	uint64_t all = run_mask((struct run){ 0, cache->settings.granules });
	uint64_t word = table_word(mapcache_load_relaxed(&mapping->epoch),
				   (uintptr_t)mapping_base(cache, mapping), valid == all,
				   !mapping_denied(mapping) && !entry_logging(cache));

	/* A map call may have taken so long that the tag would come round before the next sweep
	 * of the table (A). */
	if ((epoch_now(&cache->shared) - mapcache_load_relaxed(&mapping->epoch)) >>
	    EPOCH_SWEEP_SHIFT)
		word = 0;
	table_publish(mapping_entry(cache, mapping), word, valid);
}

struct run mapping_grow(const struct mapping *mapping, struct run run)
{
	unsigned int first = run.first, end = run.first + run.count;
	uint64_t begins = mapping->starts & (UINT64_MAX >> (63 - first)), inner;

	if (mapping->mapped >> first & 1 && begins)
		first = 63 - (unsigned int)__builtin_clzll(begins);
	/* Granules of the last kernel mapping that are past the end. */
	inner = end < 64 ? (mapping->mapped & ~mapping->starts) >> end : 0;
	if (mapping->mapped >> (end - 1) & 1 && inner & 1)
		end += ~inner ? (unsigned int)__builtin_ctzll(~inner) : 64;
	return (struct run){ first, end - first };
}

bool mapping_published(const struct mapcache *cache, const struct mapping *mapping)
{
	uint64_t word = mapcache_load_relaxed(&mapping_entry(cache, mapping)->word);

	return word && (word & MAPCACHE_ENTRY_FRAME) ==
			       (uintptr_t)mapping_base(cache, mapping) >> PAGE_SHIFT;
}

void mapping_unpublish(struct mapcache *cache, struct mapping *mapping)
{
	table_unpublish(mapping_entry(cache, mapping));
}

void notify_mask(struct mapcache *cache, struct mapping *mapping, uint64_t mask,
		 enum mapcache_event event)
{
	uint32_t shift = cache->settings.granule_shift;
	uint64_t granule = UINT64_C(1) << shift;

	while (cache->embedder.options.notify && mask) {
		unsigned int first = (unsigned int)__builtin_ctzll(mask), end = first;
		uint64_t from = first * granule, len = 0;
		uint64_t gpa = place_gpa(cache, mapping, from);

		/* Of a slot that is MAPPING_LISTED neighbours need not follow one another. */
		do {
			mask &= ~(UINT64_C(1) << end++);
			len += granule;
		} while (end < 64 && mask >> end & 1 &&
			 place_gpa(cache, mapping, end * granule) == gpa + len);
		notify(cache, event, gpa, mapping_base(cache, mapping) + from, len);
	}
}
