/* SPDX-License-Identifier: MIT */
/*
 * The miss path where not everything can be mapped: holes, and memory that can only be read. What
 * is there is served, and what changes without a word from Xen is noticed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <tests/support/bed.h>
#include <lib/cache.h>

#define BOTH (PROT_READ | PROT_WRITE)

static void a_page_that_appears_in_a_hole_is_found_without_a_word(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (uint64_t gfn = 1; gfn < 40; gfn += 3)
		bed_remove(&bed, gfn);
	for (unsigned int epoch = 0; epoch < 3; epoch++) {
		for (uint64_t gfn = 1 + epoch * 12; gfn < 13 + epoch * 12; gfn += 3) {
			assert_int_equal(bed_error(bed.client, gfn * BED_PAGE, 8, PROT_READ),
					 EFAULT);
			assert_int_equal(bed_read(bed.client, (gfn + 1) * BED_PAGE),
					 bed_value(gfn + 1));
			bed_populate(&bed, gfn, gfn);
			assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), gfn);
			assert_int_equal(bed_read(bed.client, (gfn + 1) * BED_PAGE),
					 bed_value(gfn + 1));
		}
		mapcache_invalidate(bed.cache);
	}
	bed_stop(&bed);
}

static void a_bucket_all_of_holes_but_one_page_serves_that_page(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	for (unsigned int i = 0; i < 3; i++) {
		uint64_t gfn = 2048 + 77;

		if (i == 0)
			assert_int_equal(bed_error(bed.client, gfn * BED_PAGE, 8, PROT_READ),
					 EFAULT);
		if (i == 0)
			bed_populate(&bed, gfn, 3);
		assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), 3);
		assert_int_equal(bed_error(bed.client, (gfn + 1) * BED_PAGE, 8, BOTH), EFAULT);
		assert_int_equal(bed_error(bed.client, (gfn - 1) * BED_PAGE, 8, PROT_READ), EFAULT);
		assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), 3);
		mapcache_invalidate(bed.cache);
	}
	bed_stop(&bed);
}

/* The memory of the map of single pages comes and goes with the holes. */
static void holes_cost_memory_only_while_they_are_there(void **state)
{
	uint64_t memory;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_read(bed.client, 0);
	memory = mapcache_load_relaxed(&bed.cache->accounts.memory_bytes);
	bed_remove(&bed, 9);
	mapcache_invalidate(bed.cache);
	assert_int_equal(bed_error(bed.client, 9 * BED_PAGE, 8, BOTH), EFAULT);
	assert_int_equal(bed_read(bed.client, 10 * BED_PAGE), bed_value(10));
	assert_true(mapcache_load_relaxed(&bed.cache->accounts.memory_bytes) > memory);
	bed_populate(&bed, 9, 1);
	mapcache_invalidate(bed.cache);
	bed_read(bed.client, 9 * BED_PAGE);
	bed_reclaim(&bed);
	assert_int_equal(mapcache_load_relaxed(&bed.cache->accounts.memory_bytes), memory);
	bed_stop(&bed);
}

/* ---- read-only ------------------------------------------------------------------------------ */

static void read_only_pages_are_read_and_their_neighbours_written(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_true(xensim_p2m_set_type(bed.domain, 20, 1, XENSIM_DENIED) >= 0);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(bed_read(bed.client, 20 * BED_PAGE), bed_value(20));
		assert_int_equal(bed_read(bed.client, 21 * BED_PAGE), i ? i - 1 : bed_value(21));
		bed_write(bed.client, 21 * BED_PAGE, i);
		assert_int_equal(bed_guest(&bed, 21 * BED_PAGE), i);
		assert_int_equal(bed_error(bed.client, 20 * BED_PAGE, 8, BOTH), EACCES);
		assert_int_equal(bed_read(bed.client, 20 * BED_PAGE), bed_value(20));
		assert_int_equal(bed_read(bed.client, 200 * BED_PAGE), bed_value(200));
		if (i % 2)
			mapcache_invalidate(bed.cache);
	}
	bed_stop(&bed);
}

/* Both kinds of granules stand in one slot. */
static void reads_of_one_page_and_writes_of_another_do_not_move_their_bucket_each_time(void **state)
{
	uint64_t calls;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_true(xensim_p2m_set_type(bed.domain, 20, 1, XENSIM_DENIED) >= 0);
	assert_true(xensim_p2m_set_type(bed.domain, 50, 1, XENSIM_DENIED) >= 0);
	for (unsigned int epoch = 0; epoch < 3; epoch++) {
		calls = bed_stats(&bed).map_calls;
		for (unsigned int i = 0; i < 100; i++) {
			assert_int_equal(bed_read(bed.client, 20 * BED_PAGE), bed_value(20));
			bed_write(bed.client, 200 * BED_PAGE, i);
			assert_int_equal(bed_guest(&bed, 200 * BED_PAGE), i);
			assert_int_equal(bed_read(bed.client, 50 * BED_PAGE), bed_value(50));
			bed_write(bed.client, 100 * BED_PAGE, i);
			assert_int_equal(bed_error(bed.client, 20 * BED_PAGE, 8, BOTH), EACCES);
		}
		/* But those who want to write what cannot be are told by Xen, each time. */
		assert_in_range(bed_stats(&bed).map_calls - calls, 100, 110);
		mapcache_invalidate(bed.cache);
	}
	bed_stop(&bed);
}

static void a_hole_is_asked_for_by_one_map_call(void **state)
{
	uint64_t calls;
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	bed_remove(&bed, 9);
	bed_read(bed.client, 8 * BED_PAGE);
	for (unsigned int i = 0; i < 5; i++) {
		calls = bed_stats(&bed).map_calls;
		assert_int_equal(bed_error(bed.client, 9 * BED_PAGE, 8, i % 2 ? BOTH : PROT_READ),
				 EFAULT);
		assert_int_equal(bed_stats(&bed).map_calls, calls + 1);
	}
	bed_stop(&bed);
}

static void memory_that_becomes_writable_is_written_without_a_word(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, BED_QUIET);
	assert_true(xensim_p2m_set_type(bed.domain, 0, 256, XENSIM_DENIED) >= 0);
	for (uint64_t gfn = 0; gfn < 256; gfn += 5)
		assert_int_equal(bed_read(bed.client, gfn * BED_PAGE), bed_value(gfn));
	assert_int_equal(bed_error(bed.client, 0, BED_BUCKET, PROT_READ), 0);
	assert_int_equal(bed_error(bed.client, 0, 8, BOTH), EACCES);
	assert_true(xensim_p2m_set_type(bed.domain, 0, 256, XENSIM_RAM) >= 0);
	bed_write(bed.client, 8, 1);
	assert_int_equal(bed_guest(&bed, 8), 1);
	assert_int_equal(bed_read(bed.client, 0), bed_value(0));
	bed_stop(&bed);
}

/* A whole bucket that can only be read, where there is hardly room for two attempts. */
static void read_only_buckets_are_served_within_a_tiny_budget(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, &(struct rig_options){ .cache = { .bucket_shift = 16,
							  .max_bytes = 6 << 16,
							  .stripes = 4,
							  .flags = MAPCACHE_NO_RECLAIM_THREAD } });
	for (uint64_t gfn = 3; gfn < 1024; gfn += 16)
		assert_true(xensim_p2m_set_type(bed.domain, gfn, 1, XENSIM_DENIED) >= 0);
	for (uint64_t i = 0; i < 100; i++) {
		struct iovec iov[3];

		if (i % 3 == 0)
			mapcache_invalidate(bed.cache);
		assert_int_equal(
			mapcache_pin_iov(bed.client, i % 62 << 16, 3 << 16, PROT_READ, iov, 3), 3);
		for (unsigned int j = 0; j < 3; j++)
			assert_int_equal(mapcache_client_unpin(bed.client, iov[j].iov_base, 0), 0);
	}
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_that_appears_in_a_hole_is_found_without_a_word),
		cmocka_unit_test(a_bucket_all_of_holes_but_one_page_serves_that_page),
		cmocka_unit_test(holes_cost_memory_only_while_they_are_there),
		cmocka_unit_test(read_only_pages_are_read_and_their_neighbours_written),
		cmocka_unit_test(
			reads_of_one_page_and_writes_of_another_do_not_move_their_bucket_each_time),
		cmocka_unit_test(a_hole_is_asked_for_by_one_map_call),
		cmocka_unit_test(memory_that_becomes_writable_is_written_without_a_word),
		cmocka_unit_test(read_only_buckets_are_served_within_a_tiny_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
