/* SPDX-License-Identifier: MIT */
/*
 * The hit path, inlined into the caller. Not an interface: the names and layouts here
 * change with the library, which is static, so that header and code always match.
 *
 * docs/design.md tells the whole story; in short:
 *
 *   stamp    one 64-bit word of the cache: [62:44] grace clock, [43:0] epoch.
 *            mapcache_invalidate() adds 1; a grace period for evictions adds 1 << 44.
 *   section  one word of the client: the stamp at which it began; epoch 0: idle.
 *   entry    two words per bucket, 16 bytes, never across a cache line:
 *            word  [63:38] low 26 bits of the epoch of the mapping
 *                  [37]    every granule is valid    [36] writable
 *                  [35:0]  host frame number of the bucket's first byte
 *            valid one bit per granule whose every page is mapped in that epoch
 *            All zero: nothing is published.
 *   granule  one word per granule, beside the entries: where one call has mapped it with granules
 *            of other buckets. As an entry's word with both flags; zero: nowhere.
 */
#ifndef MAPCACHE_INLINE_H
#define MAPCACHE_INLINE_H

#include <stdbool.h>
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

/*
 * Where the entry of a bucket is, counted in bytes: its first address shifted by that of a
 * bucket over that of an entry, which no instruction has to scale. A model checker's entries
 * have a size of their own: it counts them.
 */
#ifndef MAPCACHE_ENTRY_SHIFT
#define MAPCACHE_ENTRY_SHIFT 4
#define mapcache_entry_at(table, offset)                                                           \
	((const struct mapcache_entry *)((const char *)(table) + (size_t)(offset)))
#endif

/* Shared by all clients; written by invalidations and grace periods only. */
struct mapcache_shared {
	mapcache_atomic_u64 stamp;
	/* Guest bytes that the table covers. 0 while the table is closed: every look-up then
	 * takes the slow path, which sweeps and opens it again (tag wrap-around). */
	mapcache_atomic_u64 limit;
	/* Address of the words of granules, and guest bytes that they cover; 0: there are none. */
	mapcache_atomic_u64 granules, granules_end;
};

/* The head of every client: what its own thread needs for a hit. */
struct mapcache_client_fast {
	mapcache_atomic_u64 section; /* written by its thread, read by grace periods */
	uint32_t nested;             /* sections inside the outermost, and MAPCACHE_NESTED_*;
					its thread only */
	uint32_t entry_shift;        /* log2 of a bucket's bytes over those of an entry */
	uint64_t bucket_mask;        /* bytes of a bucket - 1 */
	const struct mapcache_shared *shared;
	const struct mapcache_entry *table;
	uint32_t granule_shift;
};

/*
 * A section word whose epoch is 0 is that of an idle client. With this bit set, its end takes
 * the slow path, because nested is not 0; and so does begin of a client whose idle word is this
 * bit alone: of one without membarrier(2), which makes its full fence there, and of one whose
 * thread has ended or that has had none yet, whose owner is noted there.
 */
#define MAPCACHE_SECTION_SPECIAL (UINT64_C(1) << 63)
/* In nested: this client has no membarrier(2); this section uses the client's spare slot; it has
 * modified pages to report; the client is nobody's until it begins a section. */
#define MAPCACHE_NESTED_FENCED 0x80000000u
#define MAPCACHE_NESTED_SPARE 0x40000000u
#define MAPCACHE_NESTED_DIRTY 0x20000000u
#define MAPCACHE_NESTED_UNOWNED 0x10000000u
#define MAPCACHE_NESTED_FLAGS                                                                      \
	(MAPCACHE_NESTED_FENCED | MAPCACHE_NESTED_SPARE | MAPCACHE_NESTED_DIRTY |                  \
	 MAPCACHE_NESTED_UNOWNED)

struct mapcache_client;

void mapcache_begin_slow(struct mapcache_client *client);
int mapcache_end_slow(struct mapcache_client *client);
void *mapcache_ptr_slow(struct mapcache_client *client, uint64_t gpa, size_t len, int prot);

/* Whether a section is open. Its own thread. */
static inline bool mapcache_inside_inline(const struct mapcache_client *client)
{
	const struct mapcache_client_fast *fast = (const struct mapcache_client_fast *)client;

	return mapcache_load_relaxed(&fast->section) & MAPCACHE_EPOCH_MASK;
}

static inline void mapcache_begin_inline(struct mapcache_client *client)
{
	struct mapcache_client_fast *fast = (struct mapcache_client_fast *)client;

	if (mapcache_unlikely(mapcache_load_own(&fast->section) != 0)) {
		mapcache_begin_slow(client);
		return;
	}
	/*
	 * Acquire: pairs with the release in epoch_invalidate() and epoch_advance(). A section
	 * whose stamp is at or past theirs sees all they had unpublished, so nobody needs to
	 * wait for it. Release: a retirer that reads this stamp, and not the 0 before it, must
	 * see the accesses of the section before this one as done, too (B).
	 */
	mapcache_hot_store_release(&fast->section, mapcache_hot_load_acquire(&fast->shared->stamp));
}

static inline int mapcache_end_inline(struct mapcache_client *client)
{
	struct mapcache_client_fast *fast = (struct mapcache_client_fast *)client;

	/* Idle is 0, special is negative. */
	if (mapcache_unlikely((int64_t)mapcache_load_own(&fast->section) <= 0))
		return mapcache_end_slow(client);
	/* Release: pairs with the acquire in grace_sections_passed(). Every access through
	 * this section's pointers comes before the unmap that saw us idle (B). */
	mapcache_store_release(&fast->section, 0);
	return 0;
}

/*
 * The same where the bucket's entry does not show it. Granules side by side in memory whose words
 * all carry this epoch are one range, whoever mapped them. Each load of a word is acquire: pairs
 * with the release in granule_show(), so that who sees the word sees the mapping (A).
 */
static inline bool mapcache_ptr_granule(const struct mapcache_client *client, uint64_t gpa,
					size_t len, int prot, void **pointer)
{
	const struct mapcache_client_fast *fast = (const struct mapcache_client_fast *)client;
	const struct mapcache_shared *shared = fast->shared;
	uint32_t shift = fast->granule_shift;
	uint64_t first = gpa >> shift, more = ((gpa + len - 1) >> shift) - first, word, differ;
	/* Acquire: pairs with the release in granules_show(). */
	const mapcache_atomic_u64 *granule =
		(const mapcache_atomic_u64 *)(uintptr_t)mapcache_load_acquire(&shared->granules);
	char *base;

	/* The bucket's bounds: neither past them nor while the table is closed. */
	if (!granule || gpa >= mapcache_load_relaxed(&shared->granules_end) ||
	    gpa >= mapcache_load_relaxed(&shared->limit) ||
	    (uint64_t)len - 1 > fast->bucket_mask - (gpa & fast->bucket_mask))
		return false;
	/* As for the bucket's entry: the section's store before the word and the stamp (B). */
	mapcache_order_after(&fast->section, granule, shared);
	granule += (size_t)first;
	word = mapcache_load_acquire(granule);
	differ = word ^ mapcache_load_relaxed(&shared->stamp) << MAPCACHE_TAG_SHIFT;
	if (prot & 2 ? differ >> 36 != 3 : differ >> 37 != 1)
		return false;
	for (uint64_t i = 1; i <= more; i++) {
		if (mapcache_load_acquire(&granule[i]) != word + (i << (shift - 12)))
			return false;
	}
	base = (char *)(uintptr_t)((word & MAPCACHE_ENTRY_FRAME) << 12);
	if (!base)
		__builtin_unreachable();
	*pointer = base + (gpa & ((UINT64_C(1) << shift) - 1));
	return true;
}

/*
 * The pointer, if it can be had without a lock. Both loads of the word and the
 * load of valid between them are acquire, and the publisher (lib/protocol/table.h) clears valid before
 * it changes the word and sets bits after: equal words around it mean that the bits read
 * belong to that mapping in that epoch (A), and the mapping outlives our section (B).
 * Here: where its bucket is mapped. Always: left to itself, gcc makes a hit dearer by half, by a call.
 */
static inline __attribute__((always_inline)) bool
mapcache_ptr_bucket(const struct mapcache_client *client, uint64_t gpa, size_t len, int prot,
		    void **pointer)
{
	const struct mapcache_client_fast *fast = (const struct mapcache_client_fast *)client;
	const struct mapcache_shared *shared = fast->shared;
	const struct mapcache_entry *table = fast->table, *entry;
	uint64_t mask = fast->bucket_mask, offset = gpa & mask, word, differ;
	char *base;

	/* len - 1 wraps for 0, so that an empty range fails here too. */
	if (mapcache_unlikely(gpa >= mapcache_load_relaxed(&shared->limit) ||
			      (uint64_t)len - 1 > mask - offset))
		return false;
	/*
	 * The section's store must be visible before the entry and the stamp are read: pairs
	 * with grace_barrier() on the side that retires. Forbidden interleavings: this thread
	 * reads an entry, the retirer unpublishes it and sees us idle; this thread reads the
	 * stamp, an invalidation follows, a refresh in place sees us idle (B).
	 */
	mapcache_order_after(&fast->section, table, shared);
	entry = mapcache_entry_at(table, (gpa - offset) >> fast->entry_shift);
	/*
	 * Pairs with the release in table_publish(): who sees the word sees the mapping. The
	 * stamp may be read on either side of it: it is at least the one of every invalidation
	 * that had returned when this look-up began (A).
	 */
	word = mapcache_hot_load_acquire(&entry->word);
	differ = word ^ mapcache_load_relaxed(&shared->stamp) << MAPCACHE_TAG_SHIFT;
	/* What differs is the epoch, which must be 0, and the flags, which must be 1. */
	if (mapcache_unlikely(prot & 2 ? differ >> 36 != 3 : differ >> 37 != 1)) {
		uint64_t first = offset >> fast->granule_shift;
		uint64_t more = ((offset + len - 1) >> fast->granule_shift) - first;

		/* Once in 2^26 epochs the tag is 0, as that of an entry without a mapping. */
		if (differ >> MAPCACHE_TAG_SHIFT ||
		    !(word & (prot & 2 ? MAPCACHE_ENTRY_WRITABLE : MAPCACHE_ENTRY_FRAME)) ||
		    ~(mapcache_load_acquire(&entry->valid) >> first) << (63 - more) ||
		    mapcache_load_relaxed(&entry->word) != word)
			return false;
	}
	base = (char *)(uintptr_t)((word & MAPCACHE_ENTRY_FRAME) << 12);
	/* What is mapped is never at 0: spares the caller's compiler a test for NULL. */
	if (!base)
		__builtin_unreachable();
	*pointer = base + offset;
	return true;
}

/* The same, or where its granules are. */
static inline __attribute__((always_inline)) bool
mapcache_ptr_fast(const struct mapcache_client *client, uint64_t gpa, size_t len, int prot,
		  void **pointer)
{
	return mapcache_likely(mapcache_ptr_bucket(client, gpa, len, prot, pointer)) ||
	       mapcache_ptr_granule(client, gpa, len, prot, pointer);
}

static inline void *mapcache_ptr_inline(struct mapcache_client *client, uint64_t gpa, size_t len,
					int prot)
{
	void *pointer;

	if (mapcache_likely(mapcache_ptr_fast(client, gpa, len, prot, &pointer)))
		return pointer;
	return mapcache_ptr_slow(client, gpa, len, prot);
}

#ifdef __cplusplus
}
#endif

#endif
