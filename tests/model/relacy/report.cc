/* SPDX-License-Identifier: MIT */
/*
 * Drain and reports of modified pages: a section's is on its way before the section can be seen
 * to be over, and until it has been told; so after a drain it has been (F).
 */
#include <tests/model/relacy/run.h>

static struct mapcache *world_reporter;

/* One thread's reports; told to the epoch in which what they report was written. */
template <typename MODEL, unsigned THREADS> struct reporting : world<MODEL, THREADS> {
	rl::mutex lock;
	rl::var<uint64_t> on_its_way; /* since which epoch; 0: none. Under the lock */
	mapcache_atomic_u64 wrote, told;

	void before()
	{
		world<MODEL, THREADS>::before();
		on_its_way(RL_INFO).store(0);
		wrote.store(0, rl::mo_relaxed, RL_INFO);
		told.store(0, rl::mo_relaxed, RL_INFO);
		world_reporter = this;
		world_report = send;
	}

	/* The order of dirty_note() and dirty_flush(); the end is the shipped one. */
	void write_in_a_section(bool nested)
	{
		struct mapcache_client_fast *fast = &this->client[0].fast;

		this->begin(0);
		uint64_t epoch = epoch_of(mapcache_load_relaxed(&fast->section));
		begin_report(epoch);
		fast->nested |= MAPCACHE_NESTED_DIRTY;
		section_special(fast);
		/* Written is what a look-up finds, which is after begin and its fence: with fences the
		 * stamp of a section that begins after the drain may be older than what it finds. */
		mapcache_store_relaxed(&wrote, epoch_now(&this->shared));
		if (nested) {
			this->begin(0);
			this->end(0);
		}
		this->end(0);
	}

	void begin_report(uint64_t epoch)
	{
		lock.lock(RL_INFO);
		on_its_way(RL_INFO).store(epoch);
		lock.unlock(RL_INFO);
	}

	/* The order of section_report(). */
	static void send(struct mapcache_client *)
	{
		reporting *self = static_cast<reporting *>(world_reporter);

		mapcache_store_relaxed(&self->told, mapcache_load_relaxed(&self->wrote));
		self->begin_report(0);
	}

	bool over(uint64_t epoch)
	{
		lock.lock(RL_INFO);
		uint64_t since = on_its_way(RL_INFO).load();
		lock.unlock(RL_INFO);
		return !since || since >= epoch;
	}

	void drain()
	{
		uint64_t epoch = epoch_invalidate(&this->shared);

		if (!grace_quiet(this, &this->grace, epoch) || !over(epoch))
			return;
		uint64_t written = mapcache_load_relaxed(&wrote);
		if (written && written < epoch)
			RL_ASSERT(mapcache_load_relaxed(&told) >= written);
	}
};

struct a_section : reporting<a_section, 2> {
	void thread(unsigned index)
	{
		if (index == 1)
			drain();
		else
			write_in_a_section(false);
	}
};

struct two_sections : reporting<two_sections, 2> {
	void thread(unsigned index)
	{
		if (index == 1) {
			drain();
			drain();
			return;
		}
		write_in_a_section(true);
		write_in_a_section(false);
	}
};

struct two_that_drain : reporting<two_that_drain, 3> {
	void thread(unsigned index)
	{
		if (index)
			drain();
		else
			write_in_a_section(false);
	}
};

int main()
{
	struct results results;

	results.some<a_section>("what a section wrote is told before a drain is over", 100000);
	results.some<two_sections>("so is what the one before it wrote", 50000);
	results.some<two_that_drain>("and one may rely on another's scan", 50000);
	return results.report();
}
