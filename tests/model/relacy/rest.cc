/* SPDX-License-Identifier: MIT */
/*
 * The reclaim thread lies down while others map and retire: whoever has work for it either is
 * seen by it, or wakes it (E).
 */
#include <tests/model/relacy/run.h>

#include <lib/reclaim/rest.h>

/* Thread 0 looks and lies down; the others have work, and say so. */
template <typename MODEL, unsigned THREADS> struct resting : world<MODEL, THREADS> {
	struct rest rest;
	mapcache_atomic_u64 mapped, retired, pending;
	mapcache_atomic_u32 woken;
	struct rest_work work;
	bool lies;

	void before()
	{
		world<MODEL, THREADS>::before();
		rest.epoch.store(1, rl::mo_relaxed, RL_INFO);
		rest.retired.store(0, rl::mo_relaxed, RL_INFO);
		rest.asleep.store(0, rl::mo_relaxed, RL_INFO);
		mapped.store(0, rl::mo_relaxed, RL_INFO);
		retired.store(0, rl::mo_relaxed, RL_INFO);
		pending.store(0, rl::mo_relaxed, RL_INFO);
		woken.store(0, rl::mo_relaxed, RL_INFO);
		work.shared = &this->shared;
		work.mapped = &mapped;
		work.retired = &retired;
		work.pending = &pending;
		lies = false;
	}

	void lie_down()
	{
		lies = rest_lie_down(&rest, &work);
	}

	/* As reclaim_wake() does. */
	void tell()
	{
		if (rest_needed(&rest, &work))
			mapcache_store_relaxed(&woken, 1);
	}

	void map()
	{
		mapcache_add_relaxed(&mapped, 1);
		tell();
	}

	void retire()
	{
		mapcache_add_relaxed(&retired, 1);
		tell();
	}

	void after()
	{
		RL_ASSERT(!lies || woken.load(rl::mo_relaxed, RL_INFO) ||
			  !rest_wanted(&rest, &work));
	}
};

/* Nothing was mapped: the thread sleeps for as long as that lasts. */
struct nothing_mapped : resting<nothing_mapped, 2> {
	void thread(unsigned index)
	{
		if (index == 0) {
			mapcache_store_relaxed(&rest.epoch, 0);
			lie_down();
		} else {
			map();
		}
	}
};

/* An invalidation, and then a look-up that maps, while the thread looks and lies down. */
struct maps_after_an_invalidation : resting<maps_after_an_invalidation, 2> {
	void thread(unsigned index)
	{
		if (index == 0) {
			rest_look(&rest, &work);
			lie_down();
		} else {
			epoch_invalidate(&shared);
			map();
		}
	}
};

/* The invalidation comes from elsewhere; two map. */
struct two_map : resting<two_map, 3> {
	void thread(unsigned index)
	{
		if (index == 0) {
			rest_look(&rest, &work);
			lie_down();
		} else {
			if (index == 1)
				epoch_invalidate(&shared);
			map();
		}
	}
};

struct retires : resting<retires, 2> {
	void thread(unsigned index)
	{
		if (index == 0) {
			rest_look(&rest, &work);
			lie_down();
		} else {
			retire();
		}
	}
};

int main()
{
	struct results results;

	results.all<nothing_mapped>("a thread that sleeps for ever is told of the first mapping");
	results.all<maps_after_an_invalidation>("who maps after an invalidation tells");
	results.some<two_map>("one of two that map after an invalidation tells", 50000);
	results.all<retires>("who retires tells");
	return results.report();
}
