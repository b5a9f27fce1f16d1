/* SPDX-License-Identifier: MIT */
/*
 * What a refresh in place leaves beside what it maps is unmapped without a grace period: no section
 * and no pin that could know it is left, and none that begins later is shown it (B, E).
 */
#include <tests/model/relacy/run.h>

/* Bucket 0 is in slot 0, both granules mapped in epoch 1, each by itself. */
template <typename MODEL, unsigned THREADS> struct trimming : world<MODEL, THREADS> {
	rl::mutex stripe;
	rl::var<unsigned> busy, epoch, current; /* of the mapping: under the stripe's lock */

	void before()
	{
		world<MODEL, THREADS>::before();
		this->map(0, 1);
		this->publish(0, 0, 1);
		busy(RL_INFO).store(0);
		epoch(RL_INFO).store(1);
		current(RL_INFO).store(3);
	}

	/* Granule by granule; what is shown is of the epoch it is shown in. */
	void read(unsigned thread, unsigned granule)
	{
		this->begin(thread);
		int slot = this->look_up(thread, 0, granule);
		if (slot >= 0) {
			unsigned version = this->use(slot, granule);

			RL_ASSERT(version != WORLD_UNMAPPED);
			RL_ASSERT(this->use(slot, granule) == version);
		}
		this->end(thread);
	}

	/* A pin that is used after its section. */
	void pin(unsigned thread, unsigned granule)
	{
		this->begin(thread);
		int slot = this->look_up(thread, 0, granule);
		if (slot >= 0)
			pin_count_take(&this->pins[thread][0]);
		this->end(thread);
		if (slot < 0)
			return;
		RL_ASSERT(this->use(slot, granule) != WORLD_UNMAPPED);
		RL_ASSERT(pin_count_release(&this->pins[thread][0]));
	}

	/* Busy with it, if somebody else is not. */
	bool take()
	{
		bool taken;

		stripe.lock(RL_INFO);
		taken = !busy(RL_INFO).load();
		if (taken)
			busy(RL_INFO).store(1);
		stripe.unlock(RL_INFO);
		return taken;
	}

	/* The slow path of a look-up for one granule: in place, or beside what is current. */
	void fill(unsigned granule)
	{
		unsigned now = unsigned(epoch_now(&this->shared)), valid = 0;

		if (!take())
			return;
		if (epoch(RL_INFO).load() == now)
			valid = current(RL_INFO).load();
		if ((valid >> granule & 1) ||
		    (!valid && (!grace_quiet(this, &this->grace, now) ||
				pin_count_sum(this->first, 0, &this->shared_pins[0])))) {
			settle();
			return;
		}
		this->map_granule(0, granule, now);
		stripe.lock(RL_INFO);
		epoch(RL_INFO).store(now);
		current(RL_INFO).store(valid | 1u << granule);
		this->publish(0, 0, now, valid | 1u << granule);
		busy(RL_INFO).store(0);
		stripe.unlock(RL_INFO);
	}

	/* The order of trim_stripe(): what is mapped and not current. */
	void trim()
	{
		unsigned stale;

		if (!take())
			return;
		stale = epoch(RL_INFO).load() == 2 ? 3 & ~current(RL_INFO).load() : 0;
		for (unsigned granule = 0; granule < WORLD_GRANULES; granule++)
			if (stale >> granule & 1)
				this->map_granule(0, granule, WORLD_UNMAPPED);
		settle();
	}

	void settle()
	{
		stripe.lock(RL_INFO);
		busy(RL_INFO).store(0);
		stripe.unlock(RL_INFO);
	}
};

struct against_a_section : trimming<against_a_section, 2> {
	void thread(unsigned index)
	{
		if (index == 0) {
			read(0, 1);
			read(0, 1);
			return;
		}
		epoch_invalidate(&shared);
		begin(1);
		fill(0);
		end(1);
		trim();
	}
};

struct against_a_pin : trimming<against_a_pin, 2> {
	void thread(unsigned index)
	{
		if (index == 0) {
			pin(0, 1);
			return;
		}
		epoch_invalidate(&shared);
		begin(1);
		fill(0);
		end(1);
		trim();
	}
};

/* Somebody maps again what is just being unmapped. */
struct against_a_fill : trimming<against_a_fill, 3> {
	void before()
	{
		trimming::before();
		epoch_invalidate(&shared);
	}

	void thread(unsigned index)
	{
		if (index == 0) {
			begin(0);
			fill(1);
			end(0);
			read(0, 1);
		} else if (index == 1) {
			begin(1);
			fill(0);
			end(1);
			read(1, 1);
		} else {
			trim();
		}
	}
};

int main()
{
	struct results results;

	results.some<against_a_section>("what is left beside is in no section", 100000);
	results.some<against_a_pin>("nor pinned", 100000);
	results.some<against_a_fill>("nor unmapped when it is mapped again", 50000);
	return results.report();
}
