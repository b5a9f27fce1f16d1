/* SPDX-License-Identifier: MIT */
/*
 * A stale mapping is replaced in its slot as soon as no section older than the epoch is left
 * (A, B), by threads that are in sections themselves and never wait (J).
 */
#include <tests/model/relacy/run.h>

/* Bucket i is in slot i, mapped in epoch 1. */
template <typename MODEL, unsigned THREADS> struct refreshing : world<MODEL, THREADS> {
	void before()
	{
		world<MODEL, THREADS>::before();
		for (unsigned i = 0; i < 2; i++) {
			this->map(i, 1);
			this->publish(i, i, 1);
		}
	}

	/* A section in which nothing is older than the epoch was before it began. */
	void read(unsigned thread, unsigned bucket)
	{
		uint64_t epoch = epoch_now(&this->shared);

		this->begin(thread);
		int slot = this->look_up(thread, bucket);
		if (slot >= 0)
			RL_ASSERT(this->use(slot) >= epoch);
		this->end(thread);
	}

	/* Inside a section: the slow path of a look-up, whose bucket is this thread's alone. */
	void refresh(unsigned bucket)
	{
		uint64_t epoch = epoch_now(&this->shared);
		uint64_t shown = mapcache_load_relaxed(&this->table[bucket].word);

		if (shown >> MAPCACHE_TAG_SHIFT == epoch || !grace_quiet(this, &this->grace, epoch))
			return;
		this->map(bucket, unsigned(epoch));
		this->publish(bucket, bucket, epoch);
	}
};

/* One reader; the other thread invalidates and refreshes. */
struct in_place : refreshing<in_place, 2> {
	void thread(unsigned index)
	{
		if (index == 0) {
			read(0, 0);
		} else {
			epoch_invalidate(&shared);
			refresh(0);
		}
	}
};

/* The same, one epoch later: the barrier and the scan of the epoch before do not count. */
struct in_place_again : refreshing<in_place_again, 2> {
	void before()
	{
		refreshing::before();
		epoch_invalidate(&shared);
		refresh(0);
	}

	void thread(unsigned index)
	{
		if (index == 0) {
			read(0, 0);
		} else {
			epoch_invalidate(&shared);
			refresh(0);
		}
	}
};

/* As above, but the one that refreshes is in a section from before it. Its own section is in
 * its way, so the slot stays as it is. */
struct own_section : refreshing<own_section, 2> {
	void thread(unsigned index)
	{
		if (index == 0) {
			begin(0);
			int slot = look_up(0, 0);
			refresh(0);
			if (slot >= 0)
				RL_ASSERT(use(slot) == 1);
			end(0);
		} else {
			epoch_invalidate(&shared);
		}
	}
};

/* Reader, refresher, and two invalidations from elsewhere. */
struct apart : refreshing<apart, 3> {
	void thread(unsigned index)
	{
		if (index == 0) {
			read(0, 0);
			read(0, 0);
		} else if (index == 1) {
			begin(1);
			refresh(0);
			end(1);
			begin(1);
			refresh(0);
			end(1);
		} else {
			epoch_invalidate(&shared);
			epoch_invalidate(&shared);
		}
	}
};

/* Each uses one bucket and refreshes the other, in one section: neither waits for the other,
 * and when both are out nobody is in the way. */
struct two_refreshers : refreshing<two_refreshers, 3> {
	void thread(unsigned index)
	{
		if (index == 2) {
			epoch_invalidate(&shared);
			return;
		}
		for (unsigned i = 0; i < 2; i++) {
			begin(index);
			int slot = look_up(index, index);
			unsigned version = slot >= 0 ? use(slot) : 0;
			refresh(1 - index);
			if (slot >= 0)
				RL_ASSERT(use(slot) == version);
			end(index);
		}
	}

	void after()
	{
		RL_ASSERT(grace_quiet(this, &grace, 2));
	}
};

/* Another thread has found an epoch quiet; this one relies on it. */
struct remembered : refreshing<remembered, 3> {
	void thread(unsigned index)
	{
		if (index == 0) {
			read(0, 0);
			read(0, 0);
		} else if (index == 1) {
			uint64_t epoch = epoch_invalidate(&shared);

			grace_quiet(this, &grace, epoch);
		} else {
			begin(2);
			refresh(0);
			end(2);
		}
	}
};

/* A mapping that is overtaken by an invalidation while it is made: whoever made it has the
 * pointer, and it is not replaced under him. */
struct maps_overtaken : refreshing<maps_overtaken, 2> {
	mapcache_atomic_u32 filled;

	void before()
	{
		refreshing::before();
		table_unpublish(&table[0]);
		filled.store(0, rl::mo_relaxed, RL_INFO);
	}

	void thread(unsigned index)
	{
		if (index == 0) {
			begin(0);
			uint64_t epoch = epoch_now(&shared);
			map(0, unsigned(epoch));
			publish(0, 0, epoch);
			mapcache_store_release(&filled, 1); /* unlock */
			RL_ASSERT(use(0) == epoch);
			end(0);
		} else {
			epoch_invalidate(&shared);
			if (mapcache_load_acquire(&filled)) /* lock */
				refresh(0);
		}
	}
};

int main()
{
	struct results results;

	results.some<in_place>("nothing is replaced in use", 100000);
	results.some<in_place_again>("nothing is replaced in use, an epoch later", 100000);
	results.all<own_section>("nobody replaces what he may be using himself");
	results.some<apart>("nothing is replaced in use, two epochs", 50000);
	results.some<two_refreshers>("two that refresh do not wait for each other", 50000);
	results.some<remembered>("one thread's scan serves another one", 50000);
	results.all<maps_overtaken>("a mapping overtaken by an INVALIDATE is its maker's");
	return results.report();
}
