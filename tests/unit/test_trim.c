/* SPDX-License-Identifier: MIT */
/* Stale granules beside current ones: which go, which stay, and what when they cannot go. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/spy.h>
#include <lib/cache.h>
#include <lib/reclaim/reclaim.h>

#define GRANULE (UINT64_C(16) << 10)
#define PAGES 4 /* of a granule */

static void start(struct bed *bed, struct spy *spy)
{
	struct rig_options options = { .cache = { .bucket_shift = RIG_BUCKET_SHIFT,
						  .flags = MAPCACHE_NO_RECLAIM_THREAD |
							   MAPCACHE_NO_BATCHES } };

	if (spy) {
		options.cache.backend = &spy_backend;
		options.cache.backend_data = spy;
	}
	bed_start(bed, &options);
}

static void read_granule(struct bed *bed, uint64_t granule)
{
	assert_int_equal(bed_read(bed->client, granule * GRANULE), bed_value(granule * PAGES));
}

/* Granules 0, 10, 11 and 20 of a bucket were mapped one by one; 0 has been again since. */
static void leave_granules(struct bed *bed)
{
	read_granule(bed, 0);
	mapcache_invalidate(bed->cache);
	read_granule(bed, 0);
	read_granule(bed, 20);
	read_granule(bed, 10);
	assert_int_equal(mapcache_reclaim(bed->cache, UINT64_MAX), 0);
	mapcache_invalidate(bed->cache);
	read_granule(bed, 0);
	read_granule(bed, 11);
	mapcache_invalidate(bed->cache);
	read_granule(bed, 0);
	assert_int_equal(bed_totals().foreign_pages, 4 * PAGES);
	assert_int_equal(bed_stats(bed).stale_bytes, 3 * GRANULE);
}

struct going {
	unsigned int calls;
	uint64_t mask; /* granules */
};

static void note_removing(void *data, enum mapcache_event event, uint64_t gpa, void *address,
			  uint64_t len)
{
	struct going *going = data;

	(void)address;
	if (event != MAPCACHE_EVENT_REMOVING)
		return;
	going->calls++;
	for (uint64_t at = gpa; at < gpa + len; at += GRANULE)
		going->mask |= UINT64_C(1) << (at / GRANULE);
}

static void neighbours_go_in_one_call_and_the_embedder_is_told(void **state)
{
	struct going going = { 0, 0 };
	uint64_t unmaps;
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD |
								   MAPCACHE_NO_BATCHES,
							  .notify = note_removing,
							  .notify_data = &going } });
	leave_granules(&bed);
	unmaps = bed_stats(&bed).unmap_calls;
	going = (struct going){ 0, 0 };
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_int_equal(bed_stats(&bed).unmap_calls, unmaps + 2);
	assert_true(going.mask == (UINT64_C(3) << 10 | UINT64_C(1) << 20));
	assert_int_equal(bed_totals().foreign_pages, PAGES);
	/* There is nothing more to do. */
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_int_equal(bed_stats(&bed).unmap_calls, unmaps + 2);
	bed_stop(&bed);
}

/* A granule with a hole in it is no whole one, but current. */
static void a_granule_with_a_hole_stays(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	start(&bed, NULL);
	leave_granules(&bed);
	bed_remove(&bed, 1);
	mapcache_invalidate(bed.cache);
	mapcache_begin(bed.client);
	pointer = bed_ptr(bed.client, 0, PROT_READ);
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_int_equal(*pointer, bed_value(0));
	assert_int_equal(mapcache_end(bed.client), 0);
	assert_int_equal(bed_error(bed.client, BED_PAGE, 8, PROT_READ), EFAULT);
	bed_stop(&bed);
}

static int reclaim_meanwhile(struct spy *spy, const struct spy_call *call)
{
	struct bed *bed = spy->data;

	if (call->map && call->gfn == 30 * PAGES) {
		assert_int_equal(mapcache_reclaim(bed->cache, UINT64_MAX), 3 * GRANULE);
		assert_int_equal(bed_totals().foreign_pages, 4 * PAGES);
	}
	return 0;
}

static void a_bucket_that_is_being_mapped_is_left_alone(void **state)
{
	struct spy spy = { .before = reclaim_meanwhile };
	struct bed bed;

	(void)state;
	spy.data = &bed;
	start(&bed, &spy);
	leave_granules(&bed);
	read_granule(&bed, 30);
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_int_equal(bed_totals().foreign_pages, 2 * PAGES);
	bed_stop(&bed);
}

/* The bucket is used by others while its granules go. */
static int look_meanwhile(struct spy *spy, const struct spy_call *call)
{
	struct bed *bed = spy->data;

	if (!call->map) {
		read_granule(bed, 0);
		assert_int_equal(mapcache_reclaim(bed->cache, 0), 3 * GRANULE);
		spy->before = NULL;
	}
	return 0;
}

static void hits_go_on_meanwhile(void **state)
{
	struct spy spy = { 0 };
	struct bed bed;

	(void)state;
	spy.data = &bed;
	start(&bed, &spy);
	leave_granules(&bed);
	spy.before = look_meanwhile;
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_null(spy.before);
	bed_stop(&bed);
}

static int fail_to_unmap(struct spy *spy, const struct spy_call *call)
{
	(void)spy;
	return call->map ? 0 : -ENOMEM;
}

static void what_cannot_go_is_counted_and_tried_again(void **state)
{
	struct spy spy = { 0 };
	struct bed bed;

	(void)state;
	start(&bed, &spy);
	leave_granules(&bed);
	spy.before = fail_to_unmap;
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 3 * GRANULE);
	assert_int_equal(bed_totals().foreign_pages, 4 * PAGES);
	read_granule(&bed, 0);
	spy.before = NULL;
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_int_equal(bed_totals().foreign_pages, PAGES);
	for (uint64_t granule = 0; granule < 30; granule++)
		read_granule(&bed, granule);
	bed_stop(&bed);
}

/* The thread's way: marked once, gone the next time, unless it was mapped in between. */
static void what_is_mapped_again_is_young_again(void **state)
{
	struct bed bed;

	(void)state;
	start(&bed, NULL);
	leave_granules(&bed);
	assert_int_equal(trim(bed.cache, UINT64_MAX, true, true), 0);
	assert_true(trim_mark(bed.cache));
	read_granule(&bed, 10);
	mapcache_invalidate(bed.cache);
	read_granule(&bed, 0);
	assert_int_equal(bed_stats(&bed).refreshed_in_place, 3);
	assert_int_equal(trim(bed.cache, UINT64_MAX, true, true), 2 * GRANULE);
	assert_int_equal(bed_stats(&bed).stale_bytes, GRANULE);
	assert_int_equal(trim(bed.cache, UINT64_MAX, true, true), 0);
	assert_true(trim_mark(bed.cache));
	assert_int_equal(trim(bed.cache, UINT64_MAX, true, true), GRANULE);
	assert_false(trim_mark(bed.cache));
	assert_int_equal(bed_totals().foreign_pages, PAGES);
	bed_stop(&bed);
}

/* ---- work under a lock ----------------------------------------------------------------------- */

static uint64_t steps;

struct mapping *__wrap_stripe_newer(struct mapping *mapping);
struct mapping *__real_stripe_newer(struct mapping *mapping);

struct mapping *__wrap_stripe_newer(struct mapping *mapping)
{
	steps++;
	return __real_stripe_newer(mapping);
}

/* Steps along a stripe's order for unmapping a stale granule of each of its buckets. */
static uint64_t steps_to_trim(unsigned int buckets)
{
	struct bed bed;

	bed_start(&bed, &(struct rig_options){ .ram_pages = buckets * 16,
					       .cache = { .bucket_shift = 16,
							  .stripes = 1,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD |
								   MAPCACHE_NO_BATCHES } });
	for (unsigned int epoch = 0; epoch < 3; epoch++) {
		for (uint64_t bucket = 0; bucket < buckets; bucket++)
			for (uint64_t granule = 0; granule < (epoch == 1 ? 4 : 1); granule += 2)
				assert_int_equal(bed_error(bed.client,
							   (bucket << 16) + granule * GRANULE, 8,
							   PROT_READ),
						 0);
		if (epoch < 2)
			mapcache_invalidate(bed.cache);
	}
	/* What was retired is none of it. */
	while (retired_pending(bed.cache))
		retired_advance(bed.cache);
	steps = 0;
	assert_int_equal(trim(bed.cache, UINT64_MAX, false, false), buckets * GRANULE);
	bed_stop(&bed);
	return steps;
}

static void the_work_under_a_lock_is_linear_in_what_is_unmapped(void **state)
{
	(void)state;
	assert_in_range(steps_to_trim(200), 200, 3 * 200);
	assert_in_range(steps_to_trim(1000), 1000, 3 * 1000);
}

/* Pinned buckets are the oldest, and others come and go. */
static void eviction_passes_over_a_pinned_bucket_once(void **state)
{
	const uint64_t pinned = 300, others = 600;
	volatile uint64_t *pins[300];
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .ram_pages = 2048,
					       .cache = { .bucket_shift = 12,
							  .stripes = 1,
							  .max_bytes = 400 << 12,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD |
								   MAPCACHE_NO_BATCHES } });
	for (uint64_t i = 0; i < pinned; i++)
		pins[i] = bed_pin(bed.client, i * BED_PAGE);
	steps = 0;
	for (uint64_t i = 0; i < others; i++)
		assert_int_equal(bed_read(bed.other, (1000 + i) * BED_PAGE), bed_value(1000 + i));
	assert_true(bed_stats(&bed).evictions >= 400);
	/* One in eight is put on probation at each, and each pin is met when its turn has come. */
	assert_in_range(steps, 0, others * (400 / 8 + 1) + 8 * (pinned + others));
	for (uint64_t i = 0; i < pinned; i++)
		assert_int_equal(mapcache_unpin(bed.cache, (void *)pins[i], 0), 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_go_in_one_call_and_the_embedder_is_told),
		cmocka_unit_test(a_granule_with_a_hole_stays),
		cmocka_unit_test(a_bucket_that_is_being_mapped_is_left_alone),
		cmocka_unit_test(hits_go_on_meanwhile),
		cmocka_unit_test(what_is_mapped_again_is_young_again),
		cmocka_unit_test(what_cannot_go_is_counted_and_tried_again),
		cmocka_unit_test(the_work_under_a_lock_is_linear_in_what_is_unmapped),
		cmocka_unit_test(eviction_passes_over_a_pinned_bucket_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
