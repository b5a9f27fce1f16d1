/* SPDX-License-Identifier: MIT */
/*
 * Words of granules that one call has mapped together: fresh after the answer (A), in memory as long
 * as a section looks (B), and two that are side by side are one range of one epoch.
 */
#include <tests/model/relacy/run.h>

#include <lib/protocol/table.h>

#define WORLD_WORDS (WORLD_BUCKETS * WORLD_GRANULES)

/* Each granule's page is in slot 0 or 1, where it is in its bucket. */
template <typename MODEL, unsigned THREADS> struct batching : world<MODEL, THREADS> {
	mapcache_atomic_u64 words[WORLD_WORDS];
	mapcache_atomic_u32 guest, answered;

	void before()
	{
		world<MODEL, THREADS>::before();
		for (unsigned i = 0; i < WORLD_WORDS; i++)
			words[i].store(0, rl::mo_relaxed, RL_INFO);
		granules_show(&this->shared, words, uint64_t(WORLD_BUCKETS) << WORLD_SHIFT);
		guest.store(1, rl::mo_relaxed, RL_INFO);
		answered.store(1, rl::mo_relaxed, RL_INFO);
	}

	uint64_t word(unsigned slot, unsigned granule, uint64_t epoch)
	{
		return granule_word(epoch, (uintptr_t(slot + 1) << WORLD_SHIFT) |
						   uintptr_t(granule) << (WORLD_SHIFT - 1));
	}

	void show(unsigned slot, unsigned granule, uint64_t epoch)
	{
		granule_show(&words[granule], word(slot, granule, epoch));
	}

	/* Both granules of bucket 0, by one call. */
	void batch(unsigned slot)
	{
		uint64_t epoch = epoch_now(&this->shared);

		this->map(slot, mapcache_load_relaxed(&guest));
		/* As batch_show(): not what has been overtaken. */
		if (epoch_now(&this->shared) != epoch)
			return;
		show(slot, 0, epoch);
		show(slot, 1, epoch);
	}

	void change(unsigned version)
	{
		mapcache_store_relaxed(&guest, version);
		epoch_invalidate(&this->shared);
		/* The request is answered: the guest goes on. */
		mapcache_store_release(&answered, version);
	}

	/* len: 4, or all of the bucket, of which both granules are used. */
	void read(unsigned thread, bool both)
	{
		unsigned version = mapcache_load_acquire(&answered);
		size_t len = both ? size_t(1) << WORLD_SHIFT : 4;
		void *pointer;

		this->begin(thread);
		if (mapcache_ptr_fast(&this->client[thread], 0, len, 1, &pointer)) {
			int slot = int(uintptr_t(pointer) >> WORLD_SHIFT) - 1;

			RL_ASSERT(this->use(slot, 0) >= version);
			if (both)
				RL_ASSERT(this->use(slot, 1) >= version);
		}
		this->end(thread);
	}

	uint32_t hide(unsigned slot, uint64_t epoch)
	{
		uint32_t clock;

		for (unsigned i = 0; i < WORLD_GRANULES; i++)
			granule_hide(&words[i], word(slot, i, epoch));
		clock = epoch_advance(&this->shared);
		grace_barrier(this, &this->grace);
		return clock;
	}
};

struct answered : batching<answered, 2> {
	void thread(unsigned index)
	{
		if (index == 0) {
			batch(0);
			read(0, false);
		} else {
			change(2);
		}
	}
};

struct ranges : batching<ranges, 3> {
	void thread(unsigned index)
	{
		if (index == 0) {
			read(0, true);
		} else if (index == 1) {
			batch(0);
			batch(1);
		} else {
			change(2);
		}
	}
};

/* In slot 0 when it begins. */
template <typename MODEL> struct shown : batching<MODEL, 2> {
	void before()
	{
		batching<MODEL, 2>::before();
		this->map(0, 1);
		this->show(0, 0, 1);
		this->show(0, 1, 1);
	}
};

struct unmapped : shown<unmapped> {
	void thread(unsigned index)
	{
		if (index == 0) {
			read(0, true);
			read(0, false);
		} else if (passed(hide(0, 1))) {
			unmap(0);
		}
	}
};

/* The next epoch's batch is shown before the last one's slot is unmapped. */
struct replaced : shown<replaced> {
	void thread(unsigned index)
	{
		if (index == 0) {
			read(0, false);
			read(0, true);
		} else {
			change(2);
			batch(1);
			if (passed(hide(0, 1)))
				unmap(0);
		}
	}
};

int main()
{
	struct results results;

	results.all<answered>("no granule older than the answer is found");
	results.some<ranges>("a range of granules is of one epoch", 50000);
	results.some<unmapped>("what is hidden is unmapped when nobody looks at it", 50000);
	results.some<replaced>("a batch gives way to the next one", 50000);
	return results.report();
}
