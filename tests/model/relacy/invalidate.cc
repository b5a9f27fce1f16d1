/* SPDX-License-Identifier: MIT */
/*
 * Fresh after the answer (A): memory changes, the epoch moves, and a look-up that starts after
 * that has returned does not see what was mapped before.
 */
#include <tests/model/relacy/run.h>

/* The guest's memory: which version a map call finds. Relaxed, so that only what the shipped
 * code does orders it. */
template <typename MODEL, unsigned THREADS> struct answering : world<MODEL, THREADS> {
	mapcache_atomic_u32 guest, answered;

	void before()
	{
		world<MODEL, THREADS>::before();
		guest.store(1, rl::mo_relaxed, RL_INFO);
		answered.store(1, rl::mo_relaxed, RL_INFO);
	}

	void fill(unsigned slot)
	{
		uint64_t epoch = epoch_now(&this->shared);

		this->map(slot, mapcache_load_relaxed(&guest));
		this->publish(0, slot, epoch);
	}

	void change(unsigned version)
	{
		mapcache_store_relaxed(&guest, version);
		epoch_invalidate(&this->shared);
		/* The request is answered: the guest goes on. */
		mapcache_store_release(&answered, version);
	}

	void read(unsigned thread)
	{
		unsigned version = mapcache_load_acquire(&answered);

		this->begin(thread);
		int slot = this->look_up(thread, 0);
		if (slot >= 0)
			RL_ASSERT(this->use(slot) >= version);
		this->end(thread);
	}
};

/* The reader fills first. */
struct two_threads : answering<two_threads, 2> {
	void thread(unsigned index)
	{
		if (index == 0) {
			fill(0);
			read(0);
		} else {
			change(2);
		}
	}
};

struct filler : answering<filler, 3> {
	void thread(unsigned index)
	{
		if (index == 0) {
			read(0);
			read(0);
		} else if (index == 1) {
			fill(0);
			fill(1);
		} else {
			change(2);
		}
	}
};

/* Two that change memory, each with its own request: the epoch counts both. */
struct two_changes : answering<two_changes, 3> {
	mapcache_atomic_u32 other_guest;

	void before()
	{
		answering::before();
		other_guest.store(1, rl::mo_relaxed, RL_INFO);
	}

	void thread(unsigned index)
	{
		if (index == 0) {
			fill(0);
			read(0);
			/* Whoever sees the second epoch sees both changes. */
			if (epoch_now(&shared) == 3)
				RL_ASSERT(mapcache_load_relaxed(&guest) == 2 &&
					  mapcache_load_relaxed(&other_guest) == 2);
		} else if (index == 1) {
			change(2);
		} else {
			mapcache_store_relaxed(&other_guest, 2);
			epoch_invalidate(&shared);
		}
	}
};

int main()
{
	struct results results;

	results.all<two_threads>("nothing older than the answer is found");
	results.some<filler>("whoever maps meanwhile stamps what it maps with the epoch before", 50000);
	results.some<two_changes>("the epoch counts everybody's changes", 50000);
	return results.report();
}
