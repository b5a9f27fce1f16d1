/* SPDX-License-Identifier: MIT */
/*
 * Tags in the table wrap. Once in every 2^24 invalidations the table is closed, swept and
 * opened again, so that no entry of an older round is ever taken for a current one (A).
 */
#include <tests/model/relacy/run.h>

#define ROUND (uint64_t(1) << EPOCH_SWEEP_SHIFT)
#define TAGS (uint64_t(1) << (64 - MAPCACHE_TAG_SHIFT))

template <typename MODEL, unsigned THREADS> struct sweeping : world<MODEL, THREADS> {
	/* As lookup_open_table() does; one at a time, and entries change under the lock. */
	void open_table()
	{
		if (mapcache_load_relaxed(&this->shared.limit))
			return;
		uint64_t swept = epoch_now(&this->shared);
		for (unsigned i = 0; i < WORLD_BUCKETS; i++)
			table_unpublish(&this->table[i]);
		table_open(&this->shared, uint64_t(WORLD_BUCKETS) << WORLD_SHIFT, swept);
	}

	void set_epoch(uint64_t epoch)
	{
		this->shared.stamp.store(epoch, rl::mo_relaxed, RL_INFO);
	}

	uint64_t epoch()
	{
		return epoch_now(&this->shared);
	}

	bool closed()
	{
		return mapcache_load_relaxed(&this->shared.limit) == 0;
	}
};

/* Bucket 0 was mapped long ago, in an epoch whose tag comes round with the next invalidation. */
struct wraps : sweeping<wraps, 2> {
	void before()
	{
		sweeping::before();
		map(0, 1);
		publish(0, 0, 3 * ROUND);
		set_epoch(3 * ROUND + TAGS - 1);
	}

	void thread(unsigned index)
	{
		if (index == 1) {
			epoch_invalidate(&shared);
			open_table();
			begin(1);
			RL_ASSERT(look_up(1, 0) < 0);
			end(1);
		} else {
			begin(0);
			look_up(0, 0);
			end(0);
		}
	}
};

/* Bucket 0 is hidden, and the epoch's tag becomes 0 as the word is. */
struct hidden : sweeping<hidden, 2> {
	void before()
	{
		sweeping::before();
		map(0, 1);
		publish(0, 0, TAGS - 1, 1);
		set_epoch(TAGS - 1);
	}

	void thread(unsigned index)
	{
		if (index == 1) {
			table_unpublish(&table[0]);
			epoch_invalidate(&shared);
			open_table();
			return;
		}
		for (unsigned i = 0; i < 2; i++) {
			begin(0);
			int slot = look_up(0, 0);
			RL_ASSERT(slot <= 0);
			end(0);
		}
	}

	void after()
	{
		begin(0);
		RL_ASSERT(look_up(0, 0) < 0);
		end(0);
	}
};

/* While one thread opens the table, the next sweep falls due: it is not lost. */
struct due_again : sweeping<due_again, 2> {
	void before()
	{
		sweeping::before();
		set_epoch(2 * ROUND - 1);
		shared.limit.store(0, rl::mo_relaxed, RL_INFO);
	}

	void thread(unsigned index)
	{
		if (index == 0)
			open_table();
		else
			epoch_invalidate(&shared);
	}

	void after()
	{
		RL_ASSERT(epoch() == 2 * ROUND);
		/* Closed, or swept in the new round: nothing is shown that was not before. */
		RL_ASSERT(closed() || swept_since());
	}

	mapcache_atomic_u64 last_swept;

	bool swept_since()
	{
		return last_swept.load(rl::mo_relaxed, RL_INFO) >= 2 * ROUND;
	}

	due_again()
	{
		last_swept.store(0, rl::mo_relaxed, RL_INFO);
	}

	void open_table()
	{
		uint64_t swept = epoch_now(&shared);

		mapcache_store_relaxed(&last_swept, swept);
		table_open(&shared, uint64_t(WORLD_BUCKETS) << WORLD_SHIFT, swept);
	}
};

int main()
{
	struct results results;

	results.some<wraps>("a tag that comes round is not met again", 50000);
	results.some<hidden>("what is hidden stays so in the epoch whose tag is 0", 50000);
	results.all<due_again>("a sweep that falls due during another one is not lost");
	return results.report();
}
