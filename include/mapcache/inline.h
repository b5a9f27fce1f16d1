/* SPDX-License-Identifier: MIT */
/*
 * The hit path, inlined into the caller. Not an interface: the names and layouts here
 * change with the library, which is static, so that header and code always match.
 *
 * docs/design.md tells the whole story; in short:
 *
 *   stamp    one 64-bit word of the cache: [63:44] grace clock, [43:0] epoch.
 *            mapcache_invalidate() adds 1; a grace period for evictions adds 1 << 44.
 *   section  one word of the client: 0 = idle, else the stamp at which it began.
 *   entry    two words per bucket, 16 bytes, never across a cache line:
 *            word  [63:38] low 26 bits of the epoch of the mapping
 *                  [37]    every granule is valid    [36] writable
 *                  [35:0]  host frame number of the bucket's first byte
 *            valid one bit per granule whose every page is mapped in that epoch
 *            All zero: nothing is published.
 */
#ifndef MAPCACHE_INLINE_H
#define MAPCACHE_INLINE_H

#include <stddef.h>
#include <stdint.h>

#include <mapcache/atomic.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAPCACHE_EPOCH_BITS 44
#define MAPCACHE_EPOCH_MASK ((UINT64_C(1) << MAPCACHE_EPOCH_BITS) - 1)
#define MAPCACHE_TAG_SHIFT 38
#define MAPCACHE_ENTRY_FULL (UINT64_C(1) << 37)
#define MAPCACHE_ENTRY_WRITABLE (UINT64_C(1) << 36)
#define MAPCACHE_ENTRY_FRAME (MAPCACHE_ENTRY_WRITABLE - 1)

struct mapcache_entry {
	mapcache_atomic_u64 word;
	mapcache_atomic_u64 valid;
};

/* Shared by all clients; written by invalidations and grace periods only. */
struct mapcache_shared {
	mapcache_atomic_u64 stamp;
	/* Buckets that the table covers. 0 while the table is closed: every look-up then
	 * takes the slow path, which sweeps and opens it again (tag wrap-around). */
	mapcache_atomic_u64 limit;
};

/* The head of every client: what its own thread needs for a hit. */
struct mapcache_client_fast {
	mapcache_atomic_u64 section; /* written by its thread, read by grace periods */
	uint32_t depth;              /* nested sections, MAPCACHE_DEPTH_*; its thread only */
	uint32_t fenced;             /* no membarrier(2): begin needs a full fence */
	const struct mapcache_shared *shared;
	const struct mapcache_entry *table;
	uint64_t bucket_size; /* bytes */
	uint32_t bucket_shift;
	uint32_t granule_shift;
};

/* In depth: this section uses the client's spare slot. */
#define MAPCACHE_DEPTH_SPARE 0x80000000u

struct mapcache_client;

int mapcache_end_slow(struct mapcache_client *client);
void *mapcache_ptr_slow(struct mapcache_client *client, uint64_t gpa, size_t len, int prot);

static inline void mapcache_begin_inline(struct mapcache_client *client)
{
	struct mapcache_client_fast *fast = (struct mapcache_client_fast *)client;

	if (mapcache_likely(fast->depth == 0)) {
		/*
		 * Acquire: pairs with the release in epoch_invalidate() and epoch_advance(). A
		 * section whose stamp is at or past theirs sees all they had unpublished, so
		 * nobody needs to wait for it (B).
		 */
		uint64_t stamp = mapcache_load_acquire(&fast->shared->stamp);

		fast->depth = 1;
		/*
		 * Release: a retirer that reads this stamp, and not the 0 before it, must see
		 * the accesses of the section before this one as done, too (B).
		 */
		mapcache_store_release(&fast->section, stamp);
		/*
		 * The store above must be visible before any entry is read below: pairs with
		 * epoch_barrier() on the side that retires. Forbidden interleaving: this
		 * thread reads an entry, the retirer unpublishes it and sees us idle (B).
		 */
		if (mapcache_unlikely(fast->fenced))
			mapcache_fence_seq_cst();
		else
			mapcache_fence_light();
	} else {
		fast->depth++;
	}
}

static inline int mapcache_end_inline(struct mapcache_client *client)
{
	struct mapcache_client_fast *fast = (struct mapcache_client_fast *)client;

	if (mapcache_likely(fast->depth == 1)) {
		fast->depth = 0;
		/* Release: pairs with the acquire in epoch_passed(). Every access through
		 * this section's pointers comes before the unmap that saw us idle (B). */
		mapcache_store_release(&fast->section, 0);
		return 0;
	}
	return mapcache_end_slow(client);
}

/*
 * The pointer if it can be had without a lock, else NULL. Both loads of the word and the
 * load of valid between them are acquire, and the publisher (table.c) clears valid before
 * it changes the word and sets bits after: equal words around it mean that the bits read
 * belong to that mapping in that epoch (A), and the mapping outlives our section (B).
 */
static inline void *mapcache_ptr_fast(struct mapcache_client *client, uint64_t gpa, size_t len,
				      int prot)
{
	const struct mapcache_client_fast *fast = (const struct mapcache_client_fast *)client;
	uint64_t index = gpa >> fast->bucket_shift;
	uint64_t offset = gpa & (fast->bucket_size - 1);
	const struct mapcache_entry *entry = fast->table + index;
	uint64_t want = MAPCACHE_ENTRY_FULL | (prot & 2 ? MAPCACHE_ENTRY_WRITABLE : 0);
	uint64_t differ, word, first, last, bits;

	/* len - 1 wraps for 0, so that an empty range fails here too. */
	if (mapcache_unlikely(index >= mapcache_load_relaxed(&fast->shared->limit) ||
			      (uint64_t)len - 1 >= fast->bucket_size - offset))
		return NULL;
	/*
	 * Pairs with the release in table_publish(): who sees the word sees the mapping. The
	 * stamp may be read on either side of it: it is at least the one of every invalidation
	 * that had returned when this look-up began (A).
	 */
	word = mapcache_load_acquire(&entry->word);
	want |= mapcache_load_relaxed(&fast->shared->stamp) << MAPCACHE_TAG_SHIFT;
	differ = word ^ want;
	if (!(prot & 2))
		differ &= ~MAPCACHE_ENTRY_WRITABLE;
	if (mapcache_unlikely(differ > MAPCACHE_ENTRY_FRAME)) {
		if (differ >> MAPCACHE_TAG_SHIFT || (differ & MAPCACHE_ENTRY_WRITABLE))
			return NULL;
		first = offset >> fast->granule_shift;
		last = (offset + len - 1) >> fast->granule_shift;
		bits = (~UINT64_C(0) >> (63 - (last - first))) << first;
		if (bits & ~mapcache_load_acquire(&entry->valid))
			return NULL;
		if (mapcache_load_relaxed(&entry->word) != word)
			return NULL;
	}
	return (char *)(uintptr_t)((word & MAPCACHE_ENTRY_FRAME) << 12) + offset;
}

static inline void *mapcache_ptr_inline(struct mapcache_client *client, uint64_t gpa, size_t len,
					int prot)
{
	void *pointer = mapcache_ptr_fast(client, gpa, len, prot);

	return mapcache_likely(pointer != NULL) ? pointer
						: mapcache_ptr_slow(client, gpa, len, prot);
}

#ifdef __cplusplus
}
#endif

#endif
