/* SPDX-License-Identifier: MIT */
/*
 * Drain and contiguous pins, which are taken outside of sections: when it says that none older
 * than the epoch is left, none is held, and none comes (F).
 */
#include <tests/model/relacy/run.h>

/* Slot i shows memory of the epoch made[i], while it is pinned. */
template <typename MODEL, unsigned THREADS> struct draining : world<MODEL, THREADS> {
	mapcache_atomic_u64 made[WORLD_SLOTS];
	mapcache_atomic_u64 drained; /* what drain has said last */

	void before()
	{
		world<MODEL, THREADS>::before();
		for (unsigned i = 0; i < WORLD_SLOTS; i++)
			made[i].store(0, rl::mo_relaxed, RL_INFO);
		drained.store(0, rl::mo_relaxed, RL_INFO);
	}

	/* The order of span_pin(); the list's lock makes the pin and its epoch one. */
	void pin(unsigned thread, unsigned slot)
	{
		pinning_begin(&this->client[thread].pinning, &this->shared);
		mapcache_store_relaxed(&made[slot], epoch_now(&this->shared));
		mapcache_add_release(&this->shared_pins[slot], 1);
		pinning_end(&this->client[thread].pinning);
	}

	/* While it is held. */
	void look(unsigned slot)
	{
		RL_ASSERT(mapcache_load_acquire(&drained) <= mapcache_load_relaxed(&made[slot]));
	}

	void unpin(unsigned slot)
	{
		pin_count_release_shared(&this->shared_pins[slot]);
	}

	bool older(unsigned slot, uint64_t epoch)
	{
		return pin_count_sum(NULL, slot, &this->shared_pins[slot]) &&
		       mapcache_load_relaxed(&made[slot]) < epoch;
	}

	void drain()
	{
		uint64_t epoch = epoch_invalidate(&this->shared);

		if (pinning_over(this->first, epoch) && !older(0, epoch) && !older(1, epoch))
			mapcache_store_release(&drained, epoch);
	}
};

struct on_its_way : draining<on_its_way, 2> {
	void thread(unsigned index)
	{
		if (index == 1) {
			drain();
			return;
		}
		pin(0, 0);
		look(0);
		unpin(0);
	}
};

/* What drain sees may be the second one's way already: the first is a pin by then. */
struct one_after_the_other : draining<one_after_the_other, 2> {
	void thread(unsigned index)
	{
		if (index == 1) {
			drain();
			return;
		}
		pin(0, 0);
		pin(0, 1);
		look(0);
		look(1);
		unpin(0);
		unpin(1);
	}
};

struct of_two_clients : draining<of_two_clients, 3> {
	void thread(unsigned index)
	{
		if (index == 2) {
			drain();
			drain();
			return;
		}
		pin(index, index);
		look(index);
		unpin(index);
	}
};

int main()
{
	struct results results;

	results.all<on_its_way>("no pin comes after the drain that it is older than");
	results.some<one_after_the_other>("who is on its way again has pinned before", 50000);
	results.some<of_two_clients>("everybody who is on its way counts", 50000);
	return results.report();
}
