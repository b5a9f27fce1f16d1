/* SPDX-License-Identifier: MIT */
/*
 * How much of a bucket to map.
 *
 * What an INVALIDATE costs its guest afterwards is the mapping work on the way to the next
 * pointer, and unmapping all of it again. So what is mapped follows from how the bucket was used,
 * which its table entry still says when the bucket has long been reclaimed:
 *   - what is asked for, with its neighbours that were used in the bucket's last epoch: a run is
 *     one call. Nothing tells which of them are used in this one; so in some epochs only what is
 *     asked for is mapped, and the rest shows itself: in all at first, and the more seldom the
 *     more often in a row neighbours were used again;
 *   - the whole bucket, as soon as the calls of one epoch have cost as much as that would: no
 *     epoch costs more than twice what it could. From then on its last epoch used all of it;
 *   - a bucket of which nothing is known: whole where there was no INVALIDATE for a second. That
 *     is a guess, which pays by lasting; a bucket's first epoch after it shows what it is used for.
 */
#include "lib/base/base.h"
#include "lib/fill/fill.h"
#include "lib/fill/filling.h"
#include "lib/protocol/entry.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

/* Bounds for the number of calls that make a bucket dense, as it is measured. */
#define PLAN_CALLS_MIN 4
#define PLAN_CALLS_MAX 32
/* A bucket's habit: how often in a row neighbours were found in use, at most so often; and
 * whether its last epoch is to show it. */
#define HABIT_LEVEL_MAX 7
#define HABIT_LEVEL 0x07u
#define HABIT_PROBE 0x08u

/*
 * Whether the bucket's next epoch is to show what is used. used: what its last one has. Relaxed:
 * two who do not find the bucket in the index may come at once.
 */
static bool plan_probes(const struct fill *fill, uint64_t used)
{
	uint64_t index = fill->request->index;
	uint8_t *habit = &fill->cache->fill.habits[index],
		before = __atomic_load_n(habit, __ATOMIC_RELAXED);
	unsigned int level = before & HABIT_LEVEL;
	/* Not all buckets in the same epoch. */
	uint64_t hash =
		(epoch_now(&fill->cache->shared) + index * 31) * UINT64_C(0x9e3779b97f4a7c15);
	bool probe;

	if (before & HABIT_PROBE)
		level = !(used & used >> 1) ? 0 : level < HABIT_LEVEL_MAX ? level + 1 : level;
	probe = !level || !(hash >> 32 & ((1u << (level - 1)) - 1));
	__atomic_store_n(habit, (uint8_t)(level | (probe ? HABIT_PROBE : 0)), __ATOMIC_RELAXED);
	return probe;
}

static void plan_probe_not(const struct fill *fill)
{
	uint8_t *habit = &fill->cache->fill.habits[fill->request->index];
	uint8_t before = __atomic_load_n(habit, __ATOMIC_RELAXED);

	if (before & HABIT_PROBE)
		__atomic_store_n(habit, before & HABIT_LEVEL, __ATOMIC_RELAXED);
}

/* The run with what is used on either side of it. */
static struct run plan_grow(struct run run, uint64_t used)
{
	uint64_t above = used >> run.first >> (run.count - 1) >> 1;
	uint64_t below = run.first ? used << (64 - run.first) : 0;
	unsigned int before = ~below ? (unsigned int)__builtin_clzll(~below) : 64;
	unsigned int after = ~above ? (unsigned int)__builtin_ctzll(~above) : 64;

	return (struct run){ run.first - before, before + run.count + after };
}

struct run plan_bucket(const struct fill *fill)
{
	/* In the last epoch in which any was, as far as that is known. */
	uint64_t used = mapcache_load_relaxed(&entry_of(fill->cache, fill->request->index)->valid);

	/* A bucket in one piece needs the fewest kernel mappings. What it is used for is not what it
	 * was mapped for then: that is no probe. */
	if ((!used && fill->calm) || space_tight(fill->cache)) {
		plan_probe_not(fill);
		return fill_all(fill);
	}
	if (fill->calm || !plan_probes(fill, used))
		return plan_grow(fill_asked(fill), used);
	return fill_asked(fill);
}

/* Map calls after which one for the whole bucket would not have cost more: to who maps, and with
 * the unmaps that follow, which may have the same processor. */
static unsigned int plan_calls(const struct fill *fill)
{
	const struct cost *map = &fill->cache->fill.cost, *unmap = release_cost(fill->cache);
	uint64_t little = mapcache_load_relaxed(&map->little);
	uint64_t whole = mapcache_load_relaxed(&map->whole);
	uint64_t little_unmap = mapcache_load_relaxed(&unmap->little);
	uint64_t whole_unmap = mapcache_load_relaxed(&unmap->whole), calls, both;

	if (!little)
		return PLAN_CALLS_MAX;
	calls = whole / little;
	both = (whole + whole_unmap) / (little + little_unmap);
	calls = little_unmap && both > calls ? both : calls;
	if (calls < PLAN_CALLS_MIN)
		return PLAN_CALLS_MIN;
	return calls < PLAN_CALLS_MAX ? (unsigned int)calls : PLAN_CALLS_MAX;
}

bool plan_becomes_whole(const struct fill *fill, const struct mapping *mapping)
{
	return !mapping_denied(mapping) &&
	       (mapping->calls >= plan_calls(fill) || space_tight(fill->cache));
}
