/* SPDX-License-Identifier: MIT */
/* Reclaim: how it unmaps, and when its thread looks and sleeps. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/gate.h>
#include <tests/support/peer.h>
#include <tests/support/spy.h>
#include <lib/cache.h>
#include <lib/reclaim/reclaim.h>

#define SHIFT 16
#define BUCKETS 64u

struct releases {
	uint64_t most_pages, pages, kept;
};

static int note_releases(struct spy *spy, const struct spy_call *call)
{
	struct releases *releases = spy->data;

	if (call->map)
		return 0;
	releases->pages += call->pages;
	releases->kept += call->keep != 0;
	if (call->pages > releases->most_pages)
		releases->most_pages = call->pages;
	return 0;
}

/* In few calls, but in none so large that others who want the kernel's lock wait long. */
static void neighbours_are_unmapped_together_up_to_a_bound(void **state)
{
	struct releases releases = { 0, 0, 0 };
	struct spy spy = { .before = note_releases, .data = &releases };
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .ram_pages = BUCKETS * 16,
					       .cache = { .bucket_shift = SHIFT,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD,
							  .backend = &spy_backend,
							  .backend_data = &spy } });
	for (uint64_t bucket = 0; bucket < BUCKETS; bucket++)
		bed_read(bed.client, bucket << SHIFT);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_reclaim(&bed), 0);
	assert_int_equal(releases.pages, BUCKETS * 16);
	assert_in_range(releases.most_pages, 17, 256);
	assert_in_range(spy.unmaps, BUCKETS * 16 / 256, BUCKETS / 4);
	/* The address space stays reserved: no other thread's mmap gets in between. */
	assert_int_equal(releases.kept, spy.unmaps);
	bed_stop(&bed);
}

static bool thread_sleeps(void *data)
{
	struct bed *bed = data;

	return mapcache_load_relaxed(&bed->cache->reclaim.thread.rest.asleep);
}

static bool nothing_is_mapped(void *data)
{
	(void)data;
	return bed_totals().foreign_mappings == 0;
}

/* Nothing mapped, nothing to do: no timer runs. Mapping something gets it up again. */
static void the_thread_sleeps_while_nothing_is_mapped(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache.reclaim_ms = 8 });
	for (unsigned int i = 0; i < 5; i++) {
		assert_true(eventually(thread_sleeps, &bed));
		bed_read(bed.client, 0);
		mapcache_invalidate(bed.cache);
		assert_true(eventually(nothing_is_mapped, NULL));
	}
	bed_stop(&bed);
}

static bool the_domain_is_gone(void *data)
{
	return xensim_domain_state(*(uint32_t *)data, NULL) == 0;
}

static void the_thread_lets_a_dying_domain_go(void **state)
{
	struct bed bed;
	uint64_t pages = 0;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache.reclaim_ms = 8 });
	for (uint64_t gfn = 0; gfn < 1024; gfn += 64)
		bed_read(bed.client, gfn * BED_PAGE);
	assert_int_equal(xensim_domain_destroy(bed.domain), 0);
	bed.rig.domain = NULL;
	assert_int_equal(xensim_domain_state(bed.rig.domid, &pages), 3);
	assert_int_equal(pages, 1024);
	mapcache_invalidate(bed.cache);
	assert_true(eventually(the_domain_is_gone, &bed.rig.domid));
	bed_stop(&bed);
}

static void reclaim_takes_what_was_evicted_as_well(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .bucket_shift = SHIFT,
							  .stripes = 1,
							  .max_bytes = 8 << SHIFT,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	for (uint64_t bucket = 0; bucket < BUCKETS; bucket++)
		bed_read(bed.client, bucket << SHIFT);
	assert_true(bed_stats(&bed).stale_bytes > 0);
	assert_int_equal(bed_reclaim(&bed), 0);
	assert_int_equal(bed_stats(&bed).stale_bytes, 0);
	assert_int_equal(bed_stats(&bed).mapped_bytes, bed_stats(&bed).buckets << SHIFT);
	bed_stop(&bed);
}

/* ---- looks, one after the other -------------------------------------------------------------- */

#define PERIOD_NS UINT64_C(10000000) /* a quarter of the default of reclaim_ms */
#define SECOND_NS UINT64_C(1000000000)

static void what_nobody_uses_is_retired_by_the_second_look(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, 0);
	reclaim_look(bed.cache);
	mapcache_invalidate(bed.cache);
	reclaim_look(bed.cache);
	assert_int_equal(bed_stats(&bed).stale_bytes, BED_BUCKET);
	reclaim_look(bed.cache);
	assert_int_equal(bed_stats(&bed).mapped_bytes, 0);
	bed_stop(&bed);
}

/* Its epoch is over, and swept, before the map call comes back and it can be retired. */
static void what_is_inserted_late_is_not_forgotten(void **state)
{
	struct peer_look look = { .gpa = 0 };
	struct gate gate = GATE;
	struct peer peer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, BED_BUCKET);
	gate_close(&gate, 0, true);
	peer_open(&peer, bed.cache);
	peer_start(&peer, peer_read, &look);
	gate_wait(&gate, 1);
	mapcache_invalidate(bed.cache);
	for (unsigned int i = 0; i < 4; i++)
		reclaim_look(bed.cache);
	gate_open(&gate);
	assert_int_equal(peer_wait(&peer), 0);
	assert_int_equal(bed_stats(&bed).maps_overtaken, 1);
	for (unsigned int i = 0; i < 2; i++)
		reclaim_look(bed.cache);
	assert_int_equal(bed_stats(&bed).mapped_bytes, 0);
	peer_close(&peer);
	bed_stop(&bed);
}

static void looks_that_find_nothing_grow_rare_until_something_is_invalidated(void **state)
{
	uint64_t delay = 0, last;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, 0);
	assert_true(reclaim_wanted(bed.cache));
	assert_int_equal(reclaim_look(bed.cache), PERIOD_NS);
	for (unsigned int i = 0; i < 10; i++) {
		last = delay;
		delay = reclaim_look(bed.cache);
		assert_in_range(delay, last, SECOND_NS);
		assert_false(reclaim_wanted(bed.cache));
	}
	assert_int_equal(delay, SECOND_NS);
	/* Hits are no news, and neither is another bucket. */
	bed_read(bed.client, 0);
	bed_read(bed.client, BED_BUCKET);
	assert_false(reclaim_wanted(bed.cache));
	mapcache_invalidate(bed.cache);
	assert_true(reclaim_wanted(bed.cache));
	assert_int_equal(reclaim_look(bed.cache), PERIOD_NS);
	assert_int_equal(reclaim_look(bed.cache), PERIOD_NS);
	assert_int_equal(bed_stats(&bed).mapped_bytes, 0);
	bed_stop(&bed);
}

/* A pin may stay for ever: looking for its end must not cost more and more processors. */
static void a_stale_pin_is_looked_at_ever_more_rarely_and_goes_after_its_unpin(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	pointer = bed_pin(bed.client, 0);
	mapcache_invalidate(bed.cache);
	for (unsigned int i = 0; i < 12; i++)
		reclaim_look(bed.cache);
	assert_int_equal(reclaim_look(bed.cache), SECOND_NS);
	assert_int_equal(bed_stats(&bed).pinned_stale_bytes, BED_BUCKET);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	assert_int_equal(reclaim_look(bed.cache), PERIOD_NS);
	assert_int_equal(bed_stats(&bed).mapped_bytes, 0);
	bed_stop(&bed);
}

static bool thread_is_awake(void *data)
{
	return !thread_sleeps(data);
}

/* Retired by nobody's mapping: the thread is told as well. */
static void a_thread_that_looks_seldom_is_told_of_work(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache.reclaim_ms = 8 });
	bed_read(bed.client, 0);
	assert_true(eventually(thread_sleeps, &bed));
	mapcache_invalidate(bed.cache);
	bed_read(bed.client, 0);
	assert_true(eventually(thread_is_awake, &bed));
	assert_true(eventually(thread_sleeps, &bed));
	assert_int_equal(mapcache_invalidate_range(bed.cache, 0, 1), 0);
	assert_true(eventually(nothing_is_mapped, NULL));
	bed_stop(&bed);
}

/* It looks ever more seldom while a section holds up all that is retired: its end is told. */
static void who_ends_what_the_thread_waited_for_tells_it(void **state)
{
	struct peer_look look = { .gpa = 0 };
	struct gate gate = GATE;
	struct peer peer;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, BED_BUCKET);
	gate_close(&gate, 0, false);
	peer_open(&peer, bed.cache);
	peer_start(&peer, peer_read, &look);
	gate_wait(&gate, 1);
	mapcache_invalidate(bed.cache);
	for (unsigned int i = 0; i < 12; i++)
		reclaim_look(bed.cache);
	assert_int_equal(reclaim_look(bed.cache), SECOND_NS);
	assert_int_equal(retired_pending(bed.cache), 1);
	/* As the thread would: it has seen all there is. */
	assert_false(reclaim_wanted(bed.cache));
	mapcache_store_relaxed(&bed.cache->reclaim.thread.rest.asleep, 1);
	gate_open(&gate);
	assert_int_equal(peer_wait(&peer), 0);
	assert_false(thread_sleeps(&bed));
	peer_close(&peer);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_are_unmapped_together_up_to_a_bound),
		cmocka_unit_test(the_thread_sleeps_while_nothing_is_mapped),
		cmocka_unit_test(the_thread_lets_a_dying_domain_go),
		cmocka_unit_test(reclaim_takes_what_was_evicted_as_well),
		cmocka_unit_test(what_nobody_uses_is_retired_by_the_second_look),
		cmocka_unit_test(what_is_inserted_late_is_not_forgotten),
		cmocka_unit_test(looks_that_find_nothing_grow_rare_until_something_is_invalidated),
		cmocka_unit_test(
			a_stale_pin_is_looked_at_ever_more_rarely_and_goes_after_its_unpin),
		cmocka_unit_test(a_thread_that_looks_seldom_is_told_of_work),
		cmocka_unit_test(who_ends_what_the_thread_waited_for_tells_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
