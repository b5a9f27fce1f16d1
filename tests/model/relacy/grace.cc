/* SPDX-License-Identifier: MIT */
/*
 * A mapping is hidden and, after a tick of the clock, a barrier and a scan, unmapped or given
 * to another bucket: no section uses it any more (B).
 */
#include <tests/model/relacy/run.h>
#include <tests/model/relacy/world.h>

/* Bucket 0 is current in slot 0 when it begins. */
template <typename MODEL, unsigned THREADS> struct retiring : world<MODEL, THREADS> {
	void before()
	{
		world<MODEL, THREADS>::before();
		this->map(0, 1);
		this->publish(0, 0, 1);
	}

	void read(unsigned thread, unsigned sections)
	{
		for (unsigned i = 0; i < sections; i++) {
			this->begin(thread);
			int slot = this->look_up(thread, 0);
			if (slot >= 0)
				RL_ASSERT(this->use(slot) == 1);
			this->end(thread);
		}
	}

	uint32_t tick()
	{
		uint32_t clock = epoch_advance(&this->shared);

		grace_barrier(this, &this->grace);
		return clock;
	}

	uint32_t retire()
	{
		table_unpublish(&this->table[0]);
		return tick();
	}
};

struct unmapped : retiring<unmapped, 2> {
	void thread(unsigned index)
	{
		if (index == 0)
			this->read(0, 1);
		else if (this->passed(this->retire()))
			this->unmap(0);
	}
};

struct unmapped_twice : retiring<unmapped_twice, 2> {
	void thread(unsigned index)
	{
		if (index == 0)
			this->read(0, 2);
		else if (this->passed(this->retire()))
			this->unmap(0);
	}
};

/* The second section is inside the first one, and ends first. */
struct nested : retiring<nested, 2> {
	void thread(unsigned index)
	{
		if (index == 0) {
			this->begin(0);
			int slot = this->look_up(0, 0);
			this->begin(0);
			this->end(0);
			if (slot >= 0)
				RL_ASSERT(this->use(slot) == 1);
			this->end(0);
			RL_ASSERT(mapcache_end_inline(&this->client[0]) != 0);
		} else if (this->passed(this->retire())) {
			this->unmap(0);
		}
	}
};

/* The bucket moves to slot 1, and slot 0 becomes bucket 1's. */
struct reused : retiring<reused, 2> {
	void thread(unsigned index)
	{
		if (index == 0) {
			this->read(0, 1);
			this->begin(0);
			int slot = this->look_up(0, 1);
			if (slot >= 0)
				RL_ASSERT(this->use(slot) == 2);
			this->end(0);
			return;
		}
		this->map(1, 1);
		this->publish(0, 1, 1);
		if (!this->passed(this->tick()))
			return;
		this->map(0, 2);
		this->publish(1, 0, 1);
	}
};

/* One thread makes the tick and the barrier, another one the scan; a lock orders the two. */
struct handed_on : retiring<handed_on, 3> {
	mapcache_atomic_u32 clock;

	void before()
	{
		retiring::before();
		clock.store(0, rl::mo_relaxed, RL_INFO);
	}

	void thread(unsigned index)
	{
		if (index == 0) {
			this->read(0, 2);
		} else if (index == 1) {
			mapcache_store_release(&clock, this->retire());
		} else {
			uint32_t ticked = mapcache_load_acquire(&clock);

			if (ticked && this->passed(ticked))
				this->unmap(0);
		}
	}
};

/* Invalidations change the same word meanwhile. */
struct invalidated : retiring<invalidated, 3> {
	void thread(unsigned index)
	{
		if (index == 0)
			this->read(0, 2);
		else if (index == 1)
			epoch_invalidate(&this->shared);
		else if (this->passed(this->retire()))
			this->unmap(0);
	}
};

/* The clock comes round with this tick. */
struct lapped : retiring<lapped, 2> {
	void before()
	{
		retiring::before();
		shared.stamp.store((uint64_t(EPOCH_CLOCK_MASK) << MAPCACHE_EPOCH_BITS) + 1,
				   rl::mo_relaxed, RL_INFO);
	}

	void thread(unsigned index)
	{
		if (index == 0)
			this->read(0, 2);
		else if (this->passed(this->retire()))
			this->unmap(0);
	}
};

/* Two readers, one that retires. */
struct two_readers : retiring<two_readers, 3> {
	void thread(unsigned index)
	{
		if (index < 2)
			this->read(index, 2);
		else if (this->passed(this->retire()))
			this->unmap(0);
	}
};

int main()
{
	struct results results;

	results.all<unmapped>("nothing is unmapped in use");
	results.some<unmapped_twice>("nothing of a section before is in use", 50000);
	results.some<nested>("an inner section's end leaves the outer one open", 50000);
	results.some<reused>("a slot changes hands when nobody uses it", 50000);
	results.some<handed_on>("one thread's barrier serves another one's scan", 50000);
	results.some<invalidated>("epochs do not disturb the clock", 50000);
	results.some<lapped>("the clock comes round", 50000);
	results.some<two_readers>("every section is waited for", 50000);
	return results.report();
}
