/* SPDX-License-Identifier: MIT */
/* Reclaim: how it unmaps, and when its thread looks and sleeps. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_are_unmapped_together_up_to_a_bound),
		cmocka_unit_test(the_thread_sleeps_while_nothing_is_mapped),
		cmocka_unit_test(the_thread_lets_a_dying_domain_go),
		cmocka_unit_test(reclaim_takes_what_was_evicted_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
