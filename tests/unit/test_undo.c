/* SPDX-License-Identifier: MIT */
/* A backend that fails after it has mapped: what it has left there is released at once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>

#define GFN 5u
#define GPA (GFN * BED_PAGE)

static bool failing;

static void *map_and_fail(void *state, void *address, uint64_t gfn, size_t pages, int prot,
			  int *error)
{
	void *mapped = mapcache_backend_xen.map(state, address, gfn, pages, prot, error);

	if (!failing)
		return mapped;
	errno = ENOMEM;
	return NULL;
}

static void start(struct bed *bed, struct mapcache_backend *backend)
{
	*backend = mapcache_backend_xen;
	backend->map = map_and_fail;
	failing = false;
	bed_start(bed, &(struct rig_options){ .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD,
							 .backend = backend } });
}

static void a_first_map_call_that_fails_leaves_nothing_mapped(void **state)
{
	struct mapcache_backend backend;
	struct bed bed;

	(void)state;
	start(&bed, &backend);
	failing = true;
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(bed_error(bed.client, GPA, 8, PROT_READ), ENOMEM);
		assert_int_equal(bed_totals().foreign_pages, 0);
	}
	failing = false;
	assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
	bed_stop(&bed);
}

/* In a fresh slot, beside what is current, and over what is stale. */
static void a_later_map_call_that_fails_leaves_what_was_there_before(void **state)
{
	struct mapcache_backend backend;
	struct bed bed;

	(void)state;
	start(&bed, &backend);
	bed_read(bed.client, GPA);
	mapcache_invalidate(bed.cache);
	for (unsigned int i = 0; i < 3; i++) {
		uint64_t other = BED_BUCKET / 2 + i * BED_PAGE * 8, before;

		bed_read(bed.client, GPA);
		bed_reclaim(&bed);
		before = bed_totals().foreign_pages;
		failing = true;
		assert_int_equal(bed_error(bed.client, other, 8, PROT_READ), ENOMEM);
		failing = false;
		bed_reclaim(&bed);
		assert_int_equal(bed_totals().foreign_pages, before);
		assert_int_equal(bed_read(bed.client, GPA), bed_value(GFN));
		assert_int_equal(bed_read(bed.client, other), bed_value(other / BED_PAGE));
		mapcache_invalidate(bed.cache);
	}
	bed_stop(&bed);
}

/* Nothing can be mapped, nor unmapped: what had been retired is still there, and is counted. */
static int refuse(struct spy *spy, const struct spy_call *call)
{
	(void)call;
	return spy->data ? -ENOMEM : 0;
}

static void what_cannot_be_undone_is_counted_and_tried_again(void **state)
{
	struct spy spy = { .before = refuse };
	struct mapcache_stats before;
	struct bed bed;
	bool refusing;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .ram_pages = 16 * 256,
					       .cache = { .backend = &spy_backend,
							  .backend_data = &spy,
							  .bucket_shift = RIG_BUCKET_SHIFT,
							  .max_bytes = 12 * BED_BUCKET,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	for (uint64_t i = 0; i < 8; i++)
		bed_read(bed.client, i * BED_BUCKET);
	mapcache_invalidate(bed.cache);
	mapcache_reclaim(bed.cache, 0);
	bed_read(bed.client, 15 * BED_BUCKET);
	before = bed_stats(&bed);
	assert_true(before.stale_bytes >= 4 * BED_BUCKET);
	spy.data = &refusing;
	for (uint64_t i = 8; i < 15; i++) {
		/* All of a bucket, where something is retired. */
		assert_int_equal(bed_error(bed.client, i * BED_BUCKET, BED_BUCKET, PROT_READ),
				 ENOMEM);
		assert_int_equal(bed_stats(&bed).mapped_bytes, before.mapped_bytes);
		assert_int_equal(bed_stats(&bed).stale_bytes, before.stale_bytes);
	}
	spy.data = NULL;
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_reclaim(&bed), 0);
	assert_int_equal(bed_totals().foreign_pages, 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_first_map_call_that_fails_leaves_nothing_mapped),
		cmocka_unit_test(a_later_map_call_that_fails_leaves_what_was_there_before),
		cmocka_unit_test(what_cannot_be_undone_is_counted_and_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
