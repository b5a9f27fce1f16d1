/* SPDX-License-Identifier: MIT */
/*
 * The epoch, the grace clock and the test whether a section can still be using something:
 * the invalidation protocol without any lock. Compiled as it is by tests/model.
 *
 * One word, the stamp, counts both: [43:0] epoch, [62:44] grace clock (mapcache/inline.h).
 * Sections store the stamp they began at, so that one word answers both questions:
 *   - did it begin in this epoch? Then it can hold nothing older (refresh in place);
 *   - did it begin after what was unpublished before a clock tick? Then it cannot hold it.
 */
#ifndef EPOCH_H
#define EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#include <mapcache/inline.h>

#define EPOCH_CLOCK_ONE (UINT64_C(1) << MAPCACHE_EPOCH_BITS)
#define EPOCH_CLOCK_BITS (63 - MAPCACHE_EPOCH_BITS)
#define EPOCH_CLOCK_MASK ((UINT32_C(1) << EPOCH_CLOCK_BITS) - 1)

/*
 * Entries carry 26 bits of the epoch. After every 2^24 invalidations the table is closed
 * until stale entries have been swept from it, so no entry ever gets older than 2^25 and no
 * old tag can be taken for a new one (A).
 */
#define EPOCH_SWEEP_SHIFT 24

static inline uint64_t epoch_of(uint64_t stamp)
{
	return stamp & MAPCACHE_EPOCH_MASK;
}

/*
 * Acquire: pairs with the release in epoch_invalidate(). Whoever maps after it has read epoch
 * E maps after everything that happened before the increment to E, the removal in Xen
 * included; so what it maps may be stamped E (A).
 */
static inline uint64_t epoch_now(const struct mapcache_shared *shared)
{
	return epoch_of(mapcache_load_acquire(&shared->stamp));
}

/*
 * The whole answer to INVALIDATE (D). Release: pairs with the acquire loads of the stamp in
 * begin and epoch_now(). Look-ups read the stamp relaxed: one that happens after our return
 * cannot read an older value (coherence), which is all that A asks.
 */
static inline uint64_t epoch_invalidate(struct mapcache_shared *shared)
{
	uint64_t epoch = epoch_of(mapcache_add_release(&shared->stamp, 1) + 1);

	if (mapcache_unlikely((epoch & ((UINT64_C(1) << EPOCH_SWEEP_SHIFT) - 1)) == 0)) {
		mapcache_fence_seq_cst(); /* pairs with the fence in table_open() */
		mapcache_store_relaxed(&shared->limit, 0);
	}
	return epoch;
}

/*
 * One tick of the grace clock. Release: a section that reads this stamp sees everything
 * unpublished before (B). Returns the new clock. At most one tick is waited for at a time
 * (lib/reclaim/retired.c), so the 19 bits cannot be lapped by a section that never ends.
 */
static inline uint32_t epoch_advance(struct mapcache_shared *shared)
{
	uint64_t stamp = mapcache_add_release(&shared->stamp, EPOCH_CLOCK_ONE) + EPOCH_CLOCK_ONE;

	/* The clock has come round. A section that has seen the bit ends by the slow path. */
	if (mapcache_unlikely(stamp & MAPCACHE_SECTION_SPECIAL))
		mapcache_add_release(&shared->stamp, MAPCACHE_SECTION_SPECIAL);
	return (uint32_t)(stamp >> MAPCACHE_EPOCH_BITS) & EPOCH_CLOCK_MASK;
}

static inline bool epoch_section_idle(uint64_t section)
{
	return epoch_of(section) == 0;
}

/* Which answer a scan over all sections wants. */
struct epoch_condition {
	uint64_t epoch; /* 0: the clock decides */
	uint32_t clock;
};

/*
 * Whether the section that this word describes cannot hold anything made before the epoch /
 * unpublished before the tick. The word was loaded with acquire, after grace_barrier():
 * pairs with the release stores in begin and end (B).
 */
static inline bool epoch_section_passed(uint64_t section, struct epoch_condition condition)
{
	uint32_t clock = (uint32_t)(section >> MAPCACHE_EPOCH_BITS);
	uint32_t age = (clock - condition.clock) & EPOCH_CLOCK_MASK;

	if (epoch_section_idle(section))
		return true;
	return condition.epoch ? epoch_of(section) >= condition.epoch
			       : age < (UINT32_C(1) << (EPOCH_CLOCK_BITS - 1));
}

/* How sections are waited for, and what is known of them (grace.h). */
struct grace {
	bool fenced; /* no membarrier(2) */
	/* Highest epoch for which a barrier was made / no older section was left. */
	mapcache_atomic_u64 barrier_epoch;
	mapcache_atomic_u64 quiet_epoch;
};

struct mapcache;
/* clients.c: the scan of grace.h, over a list that stands still. */
bool client_sections_passed(struct mapcache *cache, struct epoch_condition condition);

#endif
