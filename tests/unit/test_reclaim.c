/* SPDX-License-Identifier: MIT */
/* Reclaim: how it unmaps, when its thread sleeps, and mapping ahead of use (refresh_bytes). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/peer.h>
#include <tests/support/spy.h>
#include <lib/cache.h>

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

	return mapcache_load_relaxed(&bed->cache->reclaim.thread.asleep);
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

/* ---- ahead of use ---------------------------------------------------------------------------- */

struct refreshed {
	struct bed *bed;
	uint64_t slow;
};

/* That a look-up takes no slow path says that somebody has mapped it before. */
static bool the_next_look_up_hits(void *data)
{
	struct refreshed *refreshed = data;
	uint64_t slow = bed_stats(refreshed->bed).slow_lookups;
	bool current =
		bed_stats(refreshed->bed).stale_bytes < bed_stats(refreshed->bed).mapped_bytes;

	if (!current)
		return false;
	bed_read(refreshed->bed->client, 0);
	refreshed->slow = bed_stats(refreshed->bed).slow_lookups;
	return refreshed->slow == slow;
}

static void what_was_used_last_is_mapped_again_ahead_of_its_use(void **state)
{
	struct bed bed;
	struct refreshed refreshed = { &bed, 0 };

	(void)state;
	bed_start(&bed,
		  &(struct rig_options){ .cache = { .reclaim_ms = 40, .refresh_bytes = 4 << 20 } });
	assert_int_equal(bed_stats(&bed).clients, 2); /* the thread's own is not ours */
	bed_read(bed.client, 0);
	for (unsigned int i = 1; i < 6; i++) {
		bed_exchange(&bed, 0, i);
		mapcache_invalidate(bed.cache);
		assert_true(eventually(the_next_look_up_hits, &refreshed));
		assert_int_equal(bed_read(bed.client, 0), i);
	}
	bed_stop(&bed);
}

/* A bucket that was mapped whole does not fit: nothing is mapped of it. */
static void no_more_than_refresh_bytes_is_mapped_ahead(void **state)
{
	struct bed bed;
	uint64_t calls;

	(void)state;
	bed_start(&bed,
		  &(struct rig_options){ .cache = { .reclaim_ms = 8, .refresh_bytes = 1 << 16 } });
	bed_read(bed.client, 0);
	calls = bed_stats(&bed).map_calls;
	mapcache_invalidate(bed.cache);
	assert_true(eventually(nothing_is_mapped, NULL));
	assert_int_equal(bed_stats(&bed).map_calls, calls);
	bed_stop(&bed);
}

static void holes_and_read_only_memory_are_refreshed_without_harm(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed,
		  &(struct rig_options){ .cache = { .reclaim_ms = 2, .refresh_bytes = 16 << 20 } });
	assert_true(xensim_p2m_set_type(bed.domain, 256, 256, XENSIM_RAM_RO) >= 0);
	for (unsigned int i = 0; i < 100; i++) {
		bed_remove(&bed, 5);
		mapcache_invalidate(bed.cache);
		bed_read(bed.client, 6 * BED_PAGE);
		bed_read(bed.client, BED_BUCKET);
		assert_int_equal(bed_error(bed.client, 5 * BED_PAGE, 8, PROT_READ), EFAULT);
		mapcache_invalidate(bed.cache);
		sched_yield();
		bed_populate(&bed, 5, i);
		mapcache_invalidate(bed.cache);
		assert_int_equal(bed_read(bed.client, 5 * BED_PAGE), i);
	}
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_are_unmapped_together_up_to_a_bound),
		cmocka_unit_test(the_thread_sleeps_while_nothing_is_mapped),
		cmocka_unit_test(the_thread_lets_a_dying_domain_go),
		cmocka_unit_test(reclaim_takes_what_was_evicted_as_well),
		cmocka_unit_test(what_was_used_last_is_mapped_again_ahead_of_its_use),
		cmocka_unit_test(no_more_than_refresh_bytes_is_mapped_ahead),
		cmocka_unit_test(holes_and_read_only_memory_are_refreshed_without_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
