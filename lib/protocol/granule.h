/* SPDX-License-Identifier: MIT */
/*
 * Words of granules that one call has mapped together with those of other buckets (mapcache/inline.h).
 * Each is good by itself: epoch, place and access are one word, so that there is no order to keep
 * between two of them. Written under the batches' lock only; compiled as it is by tests/model.
 */
#ifndef GRANULE_H
#define GRANULE_H

#include "lib/protocol/table.h"

static inline uint64_t granule_word(uint64_t epoch, uintptr_t base)
{
	return table_word(epoch, base, true, true);
}

/* Release: pairs with the acquire load in mapcache_ptr_granule(): who sees the word sees the page
 * tables filled (A). */
static inline void granule_show(mapcache_atomic_u64 *granule, uint64_t word)
{
	mapcache_store_release(granule, word);
}

/*
 * Unless it shows another mapping by now. Relaxed: whoever wants to unmap it lets epoch_advance()
 * (release) and grace_barrier() come between (B), as with table_unpublish().
 */
static inline void granule_hide(mapcache_atomic_u64 *granule, uint64_t word)
{
	if (mapcache_load_relaxed(granule) == word)
		mapcache_store_relaxed(granule, 0);
}

/* Once: there are words for all guest memory below end. */
static inline void granules_show(struct mapcache_shared *shared, mapcache_atomic_u64 *words,
				 uint64_t end)
{
	mapcache_store_relaxed(&shared->granules_end, end);
	/* Release: pairs with the acquire load in mapcache_ptr_granule(): who has the address has
	 * its bound. */
	mapcache_store_release(&shared->granules, (uintptr_t)words);
}

#endif
