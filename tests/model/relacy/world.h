/* SPDX-License-Identifier: MIT */
/*
 * What every model has: a cache of two buckets and two slots, its clients, and memory in which
 * the checker sees every race. All that moves the protocol is shipped code, included here.
 *
 * A slot's memory is two plain variables, one a granule. Mapping over a slot or unmapping it is
 * a write to them; using a pointer is a read. A read that is not ordered with a write is a
 * pointer that was used when its mapping was gone.
 */
#ifndef TESTS_MODEL_RELACY_WORLD_H
#define TESTS_MODEL_RELACY_WORLD_H

#include <tests/model/relacy/atomic.h>

#include <mapcache/inline.h>

/* As lib/cache.h has it, without what has nothing to do with sections and pins. */
struct mapcache_client {
	struct mapcache_client_fast fast;
	mapcache_atomic_u32 *pins;
	struct mapcache_client *next, *next_pinner;
};

#include <lib/protocol/epoch.h>
#include <lib/protocol/grace.h>
extern "C" {
#include <lib/protocol/section.c>
}
#include <lib/protocol/table.h>

#define WORLD_BUCKETS 2
#define WORLD_SLOTS 2
#define WORLD_GRANULES 2
#define WORLD_SHIFT 20
#define WORLD_UNMAPPED 99u /* what memory holds that nobody may read any more */

struct mapcache {
	struct mapcache_shared shared;
	struct mapcache_entry table[WORLD_BUCKETS];
	struct grace grace;
	struct mapcache_client *first;

	/* Every other thread of the process passes a full fence. */
	virtual void fence_others() = 0;
	virtual ~mapcache()
	{
	}
};

/* See README.md for why this is what membarrier(2) gives. */
inline bool client_membarrier(struct mapcache *cache)
{
	mapcache_fence_seq_cst();
	cache->fence_others();
	mapcache_fence_seq_cst();
	return true;
}

/* Without the lock that the shipped one takes: fewer orders than it has, not more. */
inline bool client_sections_passed(struct mapcache *cache, struct epoch_condition condition)
{
	return grace_sections_passed(cache->first, condition);
}

/* Clients here have one thread each, from the beginning. */
extern "C" inline void section_adopt(struct mapcache_client *)
{
	RL_ASSERT(false);
}

/* No section here uses a spare slot, which is its own client's alone. */
extern "C" inline void client_give_spare(struct mapcache_client *)
{
	RL_ASSERT(false);
}

/* Nor is anything logged as modified, but in the model that says how. */
static void (*world_report)(struct mapcache_client *);

extern "C" inline void section_report(struct mapcache_client *client)
{
	RL_ASSERT(world_report);
	world_report(client);
}

/* Which flavour of the asymmetric fence is explored. */
static bool world_fenced;

template <typename MODEL, unsigned THREADS>
struct world : rl::test_suite<MODEL, THREADS>, mapcache {
	struct mapcache_client client[THREADS];
	mapcache_atomic_u32 pins[THREADS][WORLD_SLOTS];
	mapcache_atomic_u64 shared_pins[WORLD_SLOTS];
	rl::var<unsigned> page[WORLD_SLOTS][WORLD_GRANULES];

	void before()
	{
		first = NULL;
		shared.stamp.store(1, rl::mo_relaxed, RL_INFO);
		shared.limit.store(uint64_t(WORLD_BUCKETS) << WORLD_SHIFT, rl::mo_relaxed, RL_INFO);
		shared.granules.store(0, rl::mo_relaxed, RL_INFO);
		shared.granules_end.store(0, rl::mo_relaxed, RL_INFO);
		grace.fenced = world_fenced;
		grace.barrier_epoch.store(0, rl::mo_relaxed, RL_INFO);
		grace.quiet_epoch.store(0, rl::mo_relaxed, RL_INFO);
		for (unsigned i = 0; i < WORLD_BUCKETS; i++) {
			table[i].word.store(0, rl::mo_relaxed, RL_INFO);
			table[i].valid.store(0, rl::mo_relaxed, RL_INFO);
		}
		for (unsigned i = 0; i < WORLD_SLOTS; i++)
			shared_pins[i].store(0, rl::mo_relaxed, RL_INFO);
		for (unsigned i = 0; i < THREADS; i++)
			open(&client[i], pins[i]);
	}

	void open(struct mapcache_client *client, mapcache_atomic_u32 *own)
	{
		struct mapcache_client_fast *fast = &client->fast;

		fast->section.store(world_fenced ? MAPCACHE_SECTION_SPECIAL : 0, rl::mo_relaxed,
				    RL_INFO);
		fast->nested = world_fenced ? MAPCACHE_NESTED_FENCED : 0;
		fast->entry_shift = WORLD_SHIFT;
		fast->bucket_mask = (uint64_t(1) << WORLD_SHIFT) - 1;
		fast->granule_shift = WORLD_SHIFT - 1;
		fast->shared = &shared;
		fast->table = table;
		client->pins = own;
		for (unsigned i = 0; i < WORLD_SLOTS; i++)
			own[i].store(0, rl::mo_relaxed, RL_INFO);
		client->next = client->next_pinner = first;
		first = client;
	}

	void fence_others()
	{
		typedef rl::aligned<rl::thread_info<THREADS>> thread;
		thread *self = static_cast<thread *>(rl::ctx().threadx_);
		thread *threads = self - self->index_;
		unsigned start = THREADS > 2 ? rl::rand(THREADS) : 0;

		/* One after the other, others' steps in between: not all at the same time. */
		for (unsigned i = 0; i < THREADS; i++) {
			unsigned other = (start + i) % THREADS;

			if (&threads[other] == self)
				continue;
			rl::ctx().sched();
			threads[other].atomic_thread_fence_seq_cst(rl::ctx().seq_cst_fence_order_);
		}
	}

	/* What mapping a slot does: from now on its memory shows this version. */
	void map(unsigned slot, unsigned version)
	{
		for (unsigned i = 0; i < WORLD_GRANULES; i++)
			map_granule(slot, i, version);
	}

	void map_granule(unsigned slot, unsigned granule, unsigned version)
	{
		page[slot][granule](RL_INFO).store(version);
	}

	void unmap(unsigned slot)
	{
		map(slot, WORLD_UNMAPPED);
	}

	/* The whole bucket, or the granules of the mask. */
	void publish(unsigned bucket, unsigned slot, uint64_t epoch, uint64_t valid = 3)
	{
		table_publish(&table[bucket],
			      table_word(epoch, uintptr_t(slot + 1) << WORLD_SHIFT, valid == 3,
					 true),
			      valid);
	}

	/* A hit: which slot the pointer shows. -1: a miss. */
	int look_up(unsigned thread, unsigned bucket, unsigned granule = 0)
	{
		uint64_t half = uint64_t(granule) << (WORLD_SHIFT - 1);
		uint64_t gpa = uint64_t(bucket) << WORLD_SHIFT | half;
		void *pointer;
		uint64_t slot;

		if (!mapcache_ptr_fast(&client[thread], gpa, 4, 1, &pointer))
			return -1;
		slot = (uint64_t(uintptr_t(pointer)) >> WORLD_SHIFT) - 1;
		RL_ASSERT(slot < WORLD_SLOTS);
		return int(slot);
	}

	/* What is read through that pointer. */
	unsigned use(int slot, unsigned granule = 0)
	{
		return page[slot][granule](RL_INFO).load();
	}

	void begin(unsigned thread)
	{
		mapcache_begin_inline(&client[thread]);
	}

	void end(unsigned thread)
	{
		RL_ASSERT(mapcache_end_inline(&client[thread]) == 0);
	}

	bool passed(uint32_t clock)
	{
		struct epoch_condition condition = { 0, clock };

		return client_sections_passed(this, condition);
	}
};

#endif
