/* SPDX-License-Identifier: MIT */
/*
 * The reclaim thread that looks seldom, and those who may have work for it, do not miss each
 * other (E). Without a lock; compiled as it is by tests/model.
 */
#ifndef MAPCACHE_REST_H
#define MAPCACHE_REST_H

#include "lib/protocol/epoch.h"

struct rest {
	mapcache_atomic_u64 epoch;   /* at the last look */
	mapcache_atomic_u64 retired; /* mappings retired by then */
	mapcache_atomic_u32 asleep;  /* to be told of work */
};

/* Where a look finds work. */
struct rest_work {
	const struct mapcache_shared *shared;
	const mapcache_atomic_u64 *mapped, *retired;
	const mapcache_atomic_u64 *pending; /* of these, that wait for sections to end */
};

/* Whether there is some that the last look has not seen. */
static inline bool rest_wanted(const struct rest *rest, const struct rest_work *work)
{
	return (mapcache_load_relaxed(work->mapped) &&
		epoch_now(work->shared) != mapcache_load_relaxed(&rest->epoch)) ||
	       mapcache_load_relaxed(work->retired) != mapcache_load_relaxed(&rest->retired);
}

/* A look begins: before it sweeps, so that what comes later is the next one's. */
static inline void rest_look(struct rest *rest, const struct rest_work *work)
{
	mapcache_store_relaxed(&rest->epoch, epoch_now(work->shared));
	mapcache_store_relaxed(&rest->retired, mapcache_load_relaxed(work->retired));
}

/* False: there is work, do not sleep. */
static inline bool rest_lie_down(struct rest *rest, const struct rest_work *work)
{
	mapcache_store_relaxed(&rest->asleep, 1);
	/* Pairs with the fence in rest_needed(): either we see what was mapped or retired, or who
	 * did it sees us asleep. */
	mapcache_fence_seq_cst();
	return !rest_wanted(rest, work);
}

static inline void rest_get_up(struct rest *rest)
{
	mapcache_store_relaxed(&rest->asleep, 0);
}

/*
 * By who has mapped or retired something: whether to wake the thread. Also when it has seen all
 * there is: the section that it has waited for, ever longer, may be the caller's.
 */
static inline bool rest_needed(const struct rest *rest, const struct rest_work *work)
{
	mapcache_fence_seq_cst(); /* pairs with the fence in rest_lie_down() */
	return mapcache_unlikely(mapcache_load_relaxed(&rest->asleep)) &&
	       (mapcache_load_relaxed(work->pending) || rest_wanted(rest, work));
}

#endif
