/* SPDX-License-Identifier: MIT */
/* Telling the embedder what shows guest memory. Callers hold no lock. */
#include "lib/space/mapping.h"

void notify_added(struct mapcache *cache, uint64_t gpa, void *address, uint64_t len)
{
	if (cache->notify)
		cache->notify(cache->notify_data, MAPCACHE_EVENT_ADDED, gpa, address, len);
}

void notify_going(struct mapcache *cache, uint64_t gpa, void *address, uint64_t len)
{
	if (cache->notify)
		cache->notify(cache->notify_data, MAPCACHE_EVENT_GOING, gpa, address, len);
}

void notify_going_mask(struct mapcache *cache, struct mapping *mapping, uint64_t mask)
{
	const struct settings *settings = &cache->settings;
	uint64_t gpa = mapcache_load_relaxed(&mapping->index) << settings->bucket_shift;
	unsigned int first = 0;

	if (!cache->notify)
		return;
	while (first < settings->granules && mask >> first) {
		unsigned int end;

		first += (unsigned int)__builtin_ctzll(mask >> first);
		for (end = first; end < settings->granules && (mask >> end & 1); end++)
			;
		notify_going(cache, gpa + ((uint64_t)first << settings->granule_shift),
			     mapping_base(cache, mapping) +
				     ((uint64_t)first << settings->granule_shift),
			     (uint64_t)(end - first) << settings->granule_shift);
		first = end;
	}
}
