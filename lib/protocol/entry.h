/* SPDX-License-Identifier: MIT */
/* The table of a cache, for those who show mappings in it (under the bucket's stripe lock). */
#ifndef MAPCACHE_ENTRY_H
#define MAPCACHE_ENTRY_H

#include "lib/cache.h"
#include "lib/protocol/table.h"

static inline struct mapcache_entry *entry_of(const struct mapcache *cache, uint64_t index)
{
	return &cache->protocol.table.entries[index];
}

/* The slot that the bucket is in, + 1; or 0, as for a number that is no bucket's. Stripe lock held;
 * it is set once the entry is writable. */
static inline uint32_t entry_holder(const struct mapcache *cache, uint64_t index)
{
	const struct table *table = &cache->protocol.table;

	return index < table->buckets ? table->holders[index] : 0;
}

static inline void entry_set_holder(struct mapcache *cache, uint64_t index, uint32_t holder)
{
	cache->protocol.table.holders[index] = holder;
}

/* Make the bucket's entry writable. -ENOMEM. */
int entry_populate(struct mapcache *cache, uint64_t index);

/* Whether modified pages are logged: then no entry says writable, so that every look-up for
 * writing comes by the slow path. */
static inline bool entry_logging(const struct mapcache *cache)
{
	return mapcache_load_relaxed(&cache->protocol.logging);
}

static inline void entry_set_logging(struct mapcache *cache, bool logging)
{
	/* Release: see mapcache_dirty_log_wait(). */
	mapcache_store_release(&cache->protocol.logging, logging);
}

#endif
