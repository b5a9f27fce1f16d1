/* SPDX-License-Identifier: MIT */
/*
 * A pin outlives its section. Whoever has found the mapping retired, or its epoch quiet, and
 * then no pin, may unmap it (B).
 */
#include <tests/model/relacy/run.h>

/* Bucket 0 is in slot 0, mapped in epoch 1. */
template <typename MODEL, unsigned THREADS> struct pinning : world<MODEL, THREADS> {
	mapcache_atomic_u32 handed;

	void before()
	{
		world<MODEL, THREADS>::before();
		this->map(0, 1);
		this->publish(0, 0, 1);
		handed.store(0, rl::mo_relaxed, RL_INFO);
	}

	bool pin(unsigned thread, unsigned *version = NULL)
	{
		this->begin(thread);
		int slot = this->look_up(thread, 0);
		if (slot == 0) {
			pin_count_take(&this->pins[thread][0]);
			if (version)
				*version = this->use(0);
		}
		this->end(thread);
		return slot == 0;
	}

	void use_pinned()
	{
		RL_ASSERT(this->use(0) == 1);
	}

	bool pinned()
	{
		return pin_count_sum(this->first, 0, &this->shared_pins[0]) != 0;
	}

	void evict()
	{
		table_unpublish(&this->table[0]);
		uint32_t clock = epoch_advance(&this->shared);
		grace_barrier(this, &this->grace);
		if (this->passed(clock) && !pinned())
			this->unmap(0);
	}
};

struct against_retire : pinning<against_retire, 2> {
	void thread(unsigned index)
	{
		if (index == 1) {
			evict();
		} else if (pin(0)) {
			use_pinned();
			RL_ASSERT(pin_count_release(&pins[0][0]));
		}
	}
};

struct against_refresh : pinning<against_refresh, 2> {
	void thread(unsigned index)
	{
		if (index == 0) {
			/* It may pin what the refresh has made; that stays, too. */
			unsigned version = 0;

			if (pin(0, &version)) {
				RL_ASSERT(use(0) == version);
				RL_ASSERT(pin_count_release(&pins[0][0]));
			}
			return;
		}
		uint64_t epoch = epoch_invalidate(&shared);
		if (grace_quiet(this, &grace, epoch) && !pinned()) {
			map(0, 2);
			publish(0, 0, epoch);
		}
	}
};

/* One thread pins and hands the pointer to another one, which releases it. */
struct foreign : pinning<foreign, 3> {
	void thread(unsigned index)
	{
		if (index == 0) {
			if (pin(0))
				mapcache_store_release(&handed, 1);
		} else if (index == 1) {
			if (mapcache_load_acquire(&handed)) {
				use_pinned();
				pin_count_release_shared(&shared_pins[0]);
			}
		} else {
			evict();
		}
	}

	void after()
	{
		RL_ASSERT(handed.load(rl::mo_relaxed, RL_INFO) || !pinned());
	}
};

/* The same, and the client that pinned goes away: its count moves to the shared one. */
struct folded : pinning<folded, 3> {
	void thread(unsigned index)
	{
		if (index == 0) {
			if (pin(0)) {
				mapcache_store_release(&handed, 1);
				pin_count_fold(&pins[0][0], &shared_pins[0]);
			}
		} else if (index == 1) {
			if (mapcache_load_acquire(&handed)) {
				use_pinned();
				pin_count_release_shared(&shared_pins[0]);
			}
		} else {
			evict();
		}
	}
};

/* Folding alone: at no time does the pin seem to be gone. */
struct folding : pinning<folding, 2> {
	void thread(unsigned index)
	{
		if (index == 1) {
			evict();
		} else if (pin(0)) {
			pin_count_fold(&pins[0][0], &shared_pins[0]);
			use_pinned();
			pin_count_release_shared(&shared_pins[0]);
		}
	}
};

/* Two clients pin; the one that looks adds up both. */
struct two_clients : pinning<two_clients, 3> {
	void thread(unsigned index)
	{
		if (index == 2) {
			evict();
		} else if (pin(index)) {
			use_pinned();
			RL_ASSERT(pin_count_release(&pins[index][0]));
		}
	}

	void after()
	{
		RL_ASSERT(!pinned());
	}
};

int main()
{
	struct results results;

	results.some<against_retire>("nothing that is pinned is unmapped", 100000);
	results.some<against_refresh>("nothing that is pinned is replaced", 100000);
	results.some<folding>("a pin is never out of sight", 100000);
	results.some<foreign>("a pin can be released by anybody", 50000);
	results.some<folded>("a client's pins outlive it", 50000);
	results.some<two_clients>("everybody's pins count", 50000);
	return results.report();
}
