/* SPDX-License-Identifier: MIT */
/*
 * The translation table, read without a lock by mapcache_ptr_fast(): two words for every bucket
 * of the guest, written under the bucket's stripe lock only, and one for every granule that one
 * call has mapped together with those of other buckets, under the batches'. The publication order
 * here is half of the protocol; tests/model compiles it as it is.
 */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include <mapcache/inline.h>

#include "lib/protocol/epoch.h"

static inline uint64_t table_word(uint64_t epoch, uintptr_t base, bool full, bool writable)
{
	return epoch << MAPCACHE_TAG_SHIFT | (full ? MAPCACHE_ENTRY_FULL : 0) |
	       (writable ? MAPCACHE_ENTRY_WRITABLE : 0) | (uint64_t)base >> 12;
}

/*
 * Show a mapping. valid is cleared before the word changes and set after it, each with
 * release: a reader that finds the same word before and after its load of valid has read
 * bits of this mapping in this epoch (A, B). Within the life of one (base, epoch) bits are
 * only ever added.
 */
static inline void table_publish(struct mapcache_entry *entry, uint64_t word, uint64_t valid)
{
	uint64_t shown = mapcache_load_relaxed(&entry->word);

	if ((shown | MAPCACHE_ENTRY_FULL) != (word | MAPCACHE_ENTRY_FULL)) {
		mapcache_store_relaxed(&entry->valid, 0);
		/* Pairs with the acquire loads of the word: who sees it sees valid cleared
		 * and the page tables filled. */
		mapcache_store_release(&entry->word, word);
		/* Pairs with the acquire load of valid, which is followed by the second
		 * look at the word. */
		mapcache_store_release(&entry->valid, valid);
		return;
	}
	mapcache_store_release(&entry->valid, valid);
	/* Full or not is the same mapping: its last granules came before this word. */
	mapcache_store_release(&entry->word, word);
}

/*
 * Hide a mapping. Relaxed: whoever wants to unmap it lets epoch_advance() (release) and
 * grace_barrier() come between.
 */
static inline void table_unpublish(struct mapcache_entry *entry)
{
	mapcache_store_relaxed(&entry->word, 0);
}

/*
 * Show the table again, of which every entry older than the epoch has been hidden. If another
 * sweep has fallen due meanwhile, it is closed again.
 */
static inline void table_open(struct mapcache_shared *shared, uint64_t limit, uint64_t epoch)
{
	mapcache_store_relaxed(&shared->limit, limit);
	/* Pairs with the fence in epoch_invalidate(): it closes the table after us, or we see its
	 * epoch. */
	mapcache_fence_seq_cst();
	if (epoch_now(shared) >> EPOCH_SWEEP_SHIFT != epoch >> EPOCH_SWEEP_SHIFT)
		mapcache_store_relaxed(&shared->limit, 0);
}

/* ---- granules: one word says all, so that there is no order to keep between two of them ------ */

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
