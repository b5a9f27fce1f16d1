/* SPDX-License-Identifier: MIT */
/*
 * Counting the pins of one slot without a lock: each client's own count, which only its thread
 * writes, and a shared one for releases from elsewhere, which may be negative when one thread
 * pins and another releases. Compiled as it is by tests/model.
 *
 * Include it where struct mapcache_client is complete: it has pins and next_pinner.
 */
#ifndef PIN_COUNT_H
#define PIN_COUNT_H

#include <mapcache/inline.h>

/* Inside a section: its end (release) comes before any look at this count by a thread that
 * has found the mapping retired and the section over (B). */
static inline void pin_count_take(mapcache_atomic_u32 *own)
{
	mapcache_store_relaxed(own, mapcache_load_relaxed(own) + 1);
}

/* False: it holds none. */
static inline bool pin_count_release(mapcache_atomic_u32 *own)
{
	uint32_t count = mapcache_load_relaxed(own);

	if (mapcache_unlikely(count == 0))
		return false;
	/* Release: pairs with the acquire in pin_count_sum(). The caller's accesses through
	 * the pointer come before the unmap (B). */
	mapcache_store_release(own, count - 1);
	return true;
}

/* By anybody. Release: as above. */
static inline void pin_count_release_shared(mapcache_atomic_u64 *shared)
{
	mapcache_add_release(shared, UINT64_MAX);
}

/*
 * Move a client's pins to the shared count. Added there before they vanish here:
 * pin_count_sum() reads in the other order and so never sees too few (B).
 */
static inline void pin_count_fold(mapcache_atomic_u32 *own, mapcache_atomic_u64 *shared)
{
	mapcache_add_release(shared, mapcache_load_relaxed(own));
	mapcache_store_release(own, 0);
}

/*
 * Every pinner's own count of the slot, then the shared one. Read in this order, for a mapping
 * that can no longer be pinned anew, the sum is never less than the true count at the end:
 * pins only go away, or from a client's count to the shared one. So 0 means 0 (B).
 */
static inline int64_t pin_count_sum(const struct mapcache_client *client, uint64_t slot,
				    const mapcache_atomic_u64 *shared)
{
	int64_t pins = 0;

	for (; client; client = client->next_pinner)
		pins += mapcache_load_acquire(&client->pins[slot]);
	return pins + (int64_t)mapcache_load_acquire(shared);
}

#endif
