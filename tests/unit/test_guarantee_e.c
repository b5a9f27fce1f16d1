/* SPDX-License-Identifier: MIT */
/*
 * Guarantee E: with the reclaim thread an unused stale mapping is unmapped within reclaim_ms;
 * without it, by as many calls of mapcache_reclaim() as the budget needs. Past
 * max_stale_bytes the mapping path helps, never the answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <tests/support/peer.h>

#define RECLAIM_MS 20
/* How much longer it may take on a machine that is busy with something else. */
#define PATIENCE 100
#define BUCKETS 16u

#define THREAD                                                                                     \
	&(struct rig_options)                                                                      \
	{                                                                                          \
		.ram_pages = BUCKETS * 256, .cache = { .reclaim_ms = RECLAIM_MS },                 \
	}
/* Each bucket by itself. */
#define PARTS_THREAD                                                                               \
	&(struct rig_options)                                                                      \
	{                                                                                          \
		.ram_pages = BUCKETS * 256,                                                        \
		.cache = { .flags = MAPCACHE_NO_BATCHES, .reclaim_ms = RECLAIM_MS },               \
	}
#define LOOP                                                                                       \
	&(struct rig_options)                                                                      \
	{                                                                                          \
		.ram_pages = BUCKETS * 256,                                                        \
		.cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD, .max_stale_bytes = 4 << 20 },      \
	}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void map_all(struct bed *bed)
{
	for (uint64_t bucket = 0; bucket < BUCKETS; bucket++)
		assert_int_equal(bed_read(bed->client, bucket * BED_BUCKET),
				 bed_value(bucket * 256));
}

static bool nothing_is_mapped(void *data)
{
	(void)data;
	return bed_totals().foreign_mappings == 0;
}

static bool nothing_is_held(void *data)
{
	(void)data;
	return bed_totals().pages_held == 0;
}

static void the_thread_unmaps_what_nobody_uses_within_reclaim_ms(void **state)
{
	struct bed bed;
	uint64_t since;

	(void)state;
	bed_start(&bed, THREAD);
	for (unsigned int i = 0; i < 5; i++) {
		map_all(&bed);
		since = now_ms();
		mapcache_invalidate(bed.cache);
		assert_true(eventually(nothing_is_mapped, NULL));
		assert_in_range(now_ms() - since, 0, RECLAIM_MS * PATIENCE);
	}
	assert_int_equal(bed_stats(&bed).mapped_bytes, 0);
	assert_int_equal(bed_stats(&bed).vmas, 0);
	bed_stop(&bed);
}

/* Lazy: what may be used again soon is left for that long. */
static void the_thread_leaves_what_is_younger(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache.reclaim_ms = 3600000 });
	bed_read(bed.client, 0);
	mapcache_invalidate(bed.cache);
	usleep(50000);
	assert_int_equal(bed_totals().foreign_mappings, 1);
	bed_stop(&bed);
}

/* Page 0 is in use all the time. */
static void storm_until_nothing_is_held(struct bed *bed)
{
	uint64_t since = now_ms();

	while (bed_totals().pages_held) {
		mapcache_invalidate(bed->cache);
		assert_int_equal(bed_read(bed->client, 0), bed_value(0));
		usleep(500);
		assert_in_range(now_ms() - since, 0, RECLAIM_MS * PATIENCE);
	}
	assert_int_equal(bed_read(bed->client, 0), bed_value(0));
}

/* Age counts from the first invalidation that was not swept: a storm keeps nothing. */
static void a_storm_does_not_keep_what_is_cold(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, THREAD);
	map_all(&bed);
	bed_remove(&bed, 5 * 256);
	storm_until_nothing_is_held(&bed);
	bed_stop(&bed);
}

static void the_thread_unmaps_what_was_pinned_soon_after_its_unpin(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, THREAD);
	pointer = bed_pin(bed.client, 0);
	bed_remove(&bed, 0);
	mapcache_invalidate(bed.cache);
	usleep(4 * RECLAIM_MS * 1000);
	assert_int_equal(bed_totals().pages_held, 1);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	assert_true(eventually(nothing_is_held, NULL));
	bed_stop(&bed);
}

static void each_call_of_reclaim_does_what_its_budget_allows(void **state)
{
	uint64_t left, stale = BUCKETS * BED_BUCKET;
	struct bed bed;

	(void)state;
	bed_start(&bed, LOOP);
	map_all(&bed);
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_int_equal(bed_totals().foreign_mappings, BUCKETS);
	mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_reclaim(bed.cache, 0), stale);
	assert_int_equal(bed_totals().foreign_mappings, BUCKETS);
	for (unsigned int calls = 1; calls <= BUCKETS / 2; calls++) {
		left = mapcache_reclaim(bed.cache, 2 * BED_BUCKET);
		assert_int_equal(left, stale - 2 * calls * BED_BUCKET);
		assert_int_equal(bed_totals().foreign_mappings, left / BED_BUCKET);
		assert_int_equal(bed_stats(&bed).stale_bytes, left);
	}
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	bed_stop(&bed);
}

static void reclaim_counts_what_a_pin_keeps_as_still_stale(void **state)
{
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, LOOP);
	map_all(&bed);
	pointer = bed_pin(bed.client, 0);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_reclaim(&bed), BED_BUCKET);
	assert_int_equal(bed_stats(&bed).pinned_stale_bytes, BED_BUCKET);
	assert_int_equal(mapcache_unpin(bed.cache, (void *)pointer, 0), 0);
	assert_int_equal(bed_reclaim(&bed), 0);
	bed_stop(&bed);
}

static void an_idle_cache_is_left_alone_by_reclaim(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, LOOP);
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_int_equal(mapcache_reclaim(NULL, UINT64_MAX), 0);
	mapcache_invalidate(bed.cache);
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_int_equal(bed_stats(&bed).unmap_calls, 0);
	bed_stop(&bed);
}

/* Nobody calls reclaim here. 16 buckets become stale at once; 4 may be. */
static void past_the_stale_budget_whoever_maps_unmaps_as_well(void **state)
{
	uint64_t before = BUCKETS, left;
	struct bed bed;

	(void)state;
	bed_start(&bed, LOOP);
	map_all(&bed);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_totals().foreign_mappings, BUCKETS);
	for (uint64_t bucket = 0; bucket < BUCKETS; bucket++) {
		bed_read(bed.client, bucket * BED_BUCKET);
		left = bed_stats(&bed).stale_bytes / BED_BUCKET;
		/* Each step of mapping gets rid of more than it makes, once the first is over. */
		assert_true(bucket < 2 || left < before || left <= 5);
		/* Each step of mapping gets rid of more than it makes. */
		before = left;
	}
	assert_in_range(before, 0, 5);
	bed_stop(&bed);
}

static void stale_bytes_stay_within_the_budget_in_an_endless_storm(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, LOOP);
	for (uint64_t i = 0; i < 300; i++) {
		mapcache_invalidate(bed.cache);
		assert_int_equal(
			bed_error(bed.client, i % BUCKETS * BED_BUCKET, BED_BUCKET, PROT_READ), 0);
		/* What one step maps may be stale before the next can help. */
		assert_in_range(bed_stats(&bed).stale_bytes, 0, 7 * BED_BUCKET);
	}
	assert_in_range(bed_stats(&bed).stale_bytes_max, BED_BUCKET, 7 * BED_BUCKET);
	bed_stop(&bed);
}

/* ---- parts of buckets that are in use -------------------------------------------------------- */

#define GRANULE (UINT64_C(16) << 10)
#define PARTS 3u /* of each bucket, and far apart */

static uint64_t part_of(uint64_t bucket, unsigned int part)
{
	return bucket * BED_BUCKET + 5 * part * GRANULE;
}

static void read_part(struct bed *bed, uint64_t bucket, unsigned int part)
{
	uint64_t gpa = part_of(bucket, part);

	assert_int_equal(bed_read(bed->client, gpa), bed_value(gpa / BED_PAGE));
}

/* Each bucket has its first part refreshed in place, and the others left as they were. */
static void leave_parts(struct bed *bed)
{
	map_all(bed);
	mapcache_invalidate(bed->cache);
	for (uint64_t bucket = 0; bucket < BUCKETS; bucket++)
		for (unsigned int part = 0; part < PARTS; part++)
			read_part(bed, bucket, part);
	assert_int_equal(mapcache_reclaim(bed->cache, UINT64_MAX), 0);
	assert_int_equal(bed_totals().foreign_pages, BUCKETS * PARTS * 4);
	mapcache_invalidate(bed->cache);
	for (uint64_t bucket = 0; bucket < BUCKETS; bucket++)
		read_part(bed, bucket, 0);
}

static bool one_part_each_is_mapped(void *data)
{
	(void)data;
	return bed_totals().foreign_pages == BUCKETS * 4;
}

static void reclaim_unmaps_what_is_stale_beside_what_is_in_use(void **state)
{
	uint64_t stale = BUCKETS * (PARTS - 1) * GRANULE, left;
	volatile uint64_t *pointer;
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .ram_pages = BUCKETS * 256,
					       .cache.flags = MAPCACHE_NO_RECLAIM_THREAD |
							      MAPCACHE_NO_BATCHES });
	leave_parts(&bed);
	assert_int_equal(bed_stats(&bed).stale_bytes, stale);
	assert_int_equal(bed_stats(&bed).refreshed_in_place, BUCKETS);
	bed_remove(&bed, part_of(1, 1) / BED_PAGE);
	mapcache_begin(bed.client);
	pointer = bed_ptr(bed.client, part_of(2, 0), PROT_READ);
	assert_int_equal(mapcache_reclaim(bed.cache, 0), stale);
	left = mapcache_reclaim(bed.cache, GRANULE);
	assert_in_range(left, stale - (PARTS - 1) * GRANULE, stale - GRANULE);
	assert_int_equal(mapcache_reclaim(bed.cache, UINT64_MAX), 0);
	assert_int_equal(bed_totals().pages_held, 0);
	assert_true(one_part_each_is_mapped(NULL));
	assert_int_equal(bed_stats(&bed).vmas, 2 * BUCKETS);
	/* What is in use was not disturbed, and the rest is mapped again. */
	assert_int_equal(*pointer, bed_value(2 * 256));
	assert_int_equal(mapcache_end(bed.client), 0);
	for (uint64_t bucket = 2; bucket < BUCKETS; bucket++)
		for (unsigned int part = 0; part < PARTS; part++)
			read_part(&bed, bucket, part);
	bed_stop(&bed);
}

static void the_thread_unmaps_what_is_stale_beside_what_is_in_use(void **state)
{
	struct bed bed;
	uint64_t since;

	(void)state;
	bed_start(&bed, PARTS_THREAD);
	for (unsigned int i = 0; i < 5; i++) {
		/* A bucket's other parts may be gone before they were left, on a slow machine. */
		map_all(&bed);
		for (unsigned int epoch = 0; epoch < 2; epoch++) {
			mapcache_invalidate(bed.cache);
			for (uint64_t bucket = 0; bucket < BUCKETS; bucket++)
				for (unsigned int part = 0; part < (epoch ? 1 : PARTS); part++)
					read_part(&bed, bucket, part);
		}
		since = now_ms();
		while (bed_stats(&bed).stale_bytes) {
			read_part(&bed, 0, 0);
			assert_in_range(now_ms() - since, 0, RECLAIM_MS * PATIENCE);
		}
	}
	bed_stop(&bed);
}

/* The bucket is used, and refreshed in place, all the time; one of its pages is given up. */
static void a_storm_does_not_keep_a_part_that_is_cold(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, PARTS_THREAD);
	bed_read(bed.client, 0);
	mapcache_invalidate(bed.cache);
	for (unsigned int part = 0; part < PARTS; part++)
		read_part(&bed, 0, part);
	bed_remove(&bed, part_of(0, 1) / BED_PAGE);
	storm_until_nothing_is_held(&bed);
	bed_stop(&bed);
}

/* Three granules of each of 256 small buckets, then one; four buckets may be stale. */
static void past_the_stale_budget_parts_are_unmapped_as_well(void **state)
{
	const uint64_t budget = 4 << 16, buckets = 256;
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .ram_pages = buckets * 16,
					       .cache = { .flags = MAPCACHE_NO_RECLAIM_THREAD |
								   MAPCACHE_NO_BATCHES,
							  .bucket_shift = 16,
							  .max_stale_bytes = budget } });
	for (unsigned int epoch = 0; epoch < 8; epoch++) {
		for (uint64_t i = 0; i < buckets * (epoch % 2 ? 1 : 3); i++) {
			uint64_t gpa = (i % buckets << 16) + i / buckets * GRANULE;

			assert_int_equal(bed_read(bed.client, gpa), bed_value(gpa / BED_PAGE));
		}
		assert_in_range(bed_stats(&bed).stale_bytes, 0, budget);
		mapcache_invalidate(bed.cache);
	}
	assert_in_range(bed_stats(&bed).refreshed_in_place, buckets / 8, UINT64_MAX);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_thread_unmaps_what_nobody_uses_within_reclaim_ms),
		cmocka_unit_test(the_thread_leaves_what_is_younger),
		cmocka_unit_test(a_storm_does_not_keep_what_is_cold),
		cmocka_unit_test(the_thread_unmaps_what_was_pinned_soon_after_its_unpin),
		cmocka_unit_test(each_call_of_reclaim_does_what_its_budget_allows),
		cmocka_unit_test(reclaim_counts_what_a_pin_keeps_as_still_stale),
		cmocka_unit_test(an_idle_cache_is_left_alone_by_reclaim),
		cmocka_unit_test(past_the_stale_budget_whoever_maps_unmaps_as_well),
		cmocka_unit_test(stale_bytes_stay_within_the_budget_in_an_endless_storm),
		cmocka_unit_test(reclaim_unmaps_what_is_stale_beside_what_is_in_use),
		cmocka_unit_test(the_thread_unmaps_what_is_stale_beside_what_is_in_use),
		cmocka_unit_test(a_storm_does_not_keep_a_part_that_is_cold),
		cmocka_unit_test(past_the_stale_budget_parts_are_unmapped_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
