/* SPDX-License-Identifier: MIT */
/*
 * Grace periods without their locks and lists: the barrier in both flavours, the scan over all
 * sections, and what is remembered of them. Compiled as it is by tests/model.
 *
 * Include it where struct mapcache_client is complete: it has fast and next.
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

#endif
