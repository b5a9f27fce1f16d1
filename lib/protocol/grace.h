/* SPDX-License-Identifier: MIT */
/*
 * What is asked of all clients before something is unmapped, without their locks and lists: grace
 * periods, which are the barrier in both flavours, the scan over all sections and what is
 * remembered of them; and pins. Compiled as it is by tests/model.
 *
 * Include it where struct mapcache_client is complete: it has fast, next, pins and next_pinner.
 */
#ifndef GRACE_H
#define GRACE_H

#include "lib/protocol/epoch.h"

struct mapcache;

/* clients.c: the system call. False: it is refused. */
bool client_membarrier(struct mapcache *cache);

/*
 * The heavy half of the asymmetric fence: after it, every section that began before is seen
 * by a scan, and every later one sees what was unpublished before.
 */
static inline bool grace_barrier(struct mapcache *cache, const struct grace *grace)
{
	if (grace->fenced) {
		/* Pairs with the fence in mapcache_begin_slow(): of the two, whichever comes
		 * second sees the other's store (B). */
		mapcache_fence_seq_cst();
		return true;
	}
	return client_membarrier(cache);
}

static inline bool grace_sections_passed(const struct mapcache_client *client,
					 struct epoch_condition condition)
{
	bool passed = true;

	for (; client && passed; client = client->next) {
		/* Acquire: pairs with the release stores in begin and end. */
		uint64_t section = mapcache_load_acquire(&client->fast.section);

		passed = epoch_section_passed(section, condition);
	}
	return passed;
}

/* Whether no section older than the epoch is left; at most one membarrier an epoch. */
static inline bool grace_quiet(struct mapcache *cache, struct grace *grace, uint64_t epoch)
{
	struct epoch_condition condition = { epoch, 0 };

	/* Acquire: pairs with the release below. Whoever relies on the scan of another thread
	 * sees the accesses of the sections that scan saw end (B). */
	if (mapcache_load_acquire(&grace->quiet_epoch) >= epoch)
		return true;
	/* One membarrier an epoch is enough: a section that begins after it cannot read an
	 * older stamp. The fence flavour orders this thread only, so it is made each time. */
	if (grace->fenced || mapcache_load_acquire(&grace->barrier_epoch) < epoch) {
		if (!grace_barrier(cache, grace))
			return false;
		mapcache_store_release(&grace->barrier_epoch, epoch);
	}
	if (!client_sections_passed(cache, condition))
		return false;
	/* Two threads may store in either order: a smaller value costs one more scan. */
	mapcache_store_release(&grace->quiet_epoch, epoch);
	return true;
}

/*
 * The pins of one slot: each client's own count, which only its thread writes, and a shared one
 * for releases from elsewhere, which may be negative when one thread pins and another releases.
 */

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
