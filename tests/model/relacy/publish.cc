/* SPDX-License-Identifier: MIT */
/* A look-up combines a word and validity bits of one mapping in one epoch, never of two (A). */
#include <tests/model/relacy/run.h>

/* Bucket 0 is in slot 0, its first granule. All other memory is not initialised: reading it is
 * an error. */
template <typename MODEL> struct publishing : world<MODEL, 2> {
	void before()
	{
		world<MODEL, 2>::before();
		this->map_granule(0, 0, 1);
	}

	/* One look-up of each granule, in one section. */
	void read(unsigned thread)
	{
		uint64_t epoch = epoch_now(&this->shared);

		this->begin(thread);
		for (unsigned granule = 0; granule < WORLD_GRANULES; granule++) {
			int slot = this->look_up(thread, 0, granule);
			if (slot >= 0)
				RL_ASSERT(this->use(slot, granule) >= epoch);
		}
		this->end(thread);
	}

	/* One thread looks, the other one does what the model is about. */
	void thread(unsigned index)
	{
		if (index == 0)
			read(0);
		else
			static_cast<MODEL *>(this)->change();
	}
};

/* What is there at first is shown. */
template <typename MODEL> struct shown : publishing<MODEL> {
	void before()
	{
		publishing<MODEL>::before();
		this->publish(0, 0, 1, 1);
	}
};

/* The first one ever, of one granule. */
struct first : publishing<first> {
	void change()
	{
		map_granule(1, 1, 1);
		publish(0, 1, 1, 2);
	}
};

/* A granule is added, and the mapping is whole. */
struct extended : publishing<extended> {
	void before()
	{
		publishing::before();
		map_granule(1, 0, 1);
		publish(0, 1, 1, 1);
	}

	void change()
	{
		map_granule(1, 1, 1);
		publish(0, 1, 1, 3);
	}
};

/* One granule in slot 0, then only the other one in slot 1, in the same epoch. */
struct moved : shown<moved> {
	void change()
	{
		map_granule(1, 1, 1);
		publish(0, 1, 1, 2);
	}
};

/* The same in the next epoch: a granule of slot 1 that is not mapped in it is not shown. */
struct moved_on : shown<moved_on> {
	void change()
	{
		epoch_invalidate(&shared);
		map_granule(1, 1, 2);
		publish(0, 1, 2, 2);
	}
};

/* In place, granule by granule, over two epochs: what is left of the older one in the slot is
 * not shown. */
struct refreshed : shown<refreshed> {
	void change()
	{
		uint64_t epoch = epoch_invalidate(&shared);
		if (!grace_quiet(this, &grace, epoch))
			return;
		map_granule(0, 1, 2);
		publish(0, 0, epoch, 2);
		map_granule(0, 0, 2);
		publish(0, 0, epoch, 3);
	}
};

/* Hidden (probation), then shown again as it was. */
struct hidden : shown<hidden> {
	void thread(unsigned index)
	{
		if (index == 0) {
			read(0);
			read(0);
		} else {
			uint64_t valid = mapcache_load_relaxed(&table[0].valid);

			table_unpublish(&table[0]);
			publish(0, 0, 1, valid);
		}
	}
};

int main()
{
	struct results results;

	results.all<first>("a mapping is shown after it is made");
	results.all<extended>("granules are added to a mapping that is shown");
	results.all<moved>("bits of one slot are not taken for another one's");
	results.some<moved_on>("bits of one epoch are not taken for another one's", 100000);
	results.some<refreshed>("what is left of an older epoch in a slot is not shown", 50000);
	results.some<hidden>("what was hidden is shown as it was", 50000);
	return results.report();
}
